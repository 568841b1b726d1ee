"""The model of an archive, which answers without its server.

The folder holds an archive as it was packed. Its own code answers, once its digests and its goldens are checked. It
needs the packages of requirements.txt and nothing of lexport.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any


class Refused(Exception):
    """A request that the model does not answer: the HTTP status, and why."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        super().__init__(f"{answer['error']} Expected: {answer['expected']}.")
        self.status = status


class ArchivedModel:
    """An archive's model."""

    def __init__(self, folder: Path) -> None:
        """Open the archive in `folder`. Raises ValueError if it is not as it was packed or answers otherwise."""
        # A compiled module would be a file that the archive did not have.
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(folder))
        from lexport_handlers.worker import Worker

        self._folder = folder
        self._worker = Worker(_Context(folder))
        self._lock = Lock()

    def answer(self, requests: Sequence[Mapping[str, Any]]) -> list[tuple[int, Any]]:
        """Return the HTTP status and the JSON answer of each request of a batch."""
        context = _Context(self._folder)
        bodies = [{"body": json.dumps(request).encode()} for request in requests]
        with self._lock:
            found = self._worker.handle(bodies, context)
        return [(context.statuses.get(place, 200), json.loads(body)) for place, body in enumerate(found)]

    def infer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request of the Open Inference Protocol v2. Raises Refused."""
        [(status, answer)] = self.answer([request])
        if status != 200:
            raise Refused(status, answer)
        return dict(answer)


class _Context:
    """What the archive's code asks of TorchServe: its folder, headers, and a place for statuses."""

    def __init__(self, folder: Path) -> None:
        self.system_properties = {"model_dir": str(folder), "gpu_id": None}
        self.statuses: dict[int, int] = {}

    def get_all_request_header(self, place: int) -> dict[str, str]:
        return {"content-type": "application/json"}

    def set_response_content_type(self, place: int, value: str) -> None:
        pass

    def set_response_header(self, place: int, name: str, value: str) -> None:
        pass

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.statuses[idx] = code
