"""An archive's own handler in this process, loaded exactly as a TorchServe worker loads it, without Java."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, RefusedError, SystemProblem
from .reader import extracted


class Context:
    """What the handler needs of TorchServe's context: where it is, and statuses and types per request."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the extracted archive."""
        self.system_properties: dict[str, Any] = {"model_dir": str(folder), "gpu_id": None}
        self.headers: list[dict[str, str]] = []
        self.statuses: dict[int, int] = {}

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        """The request's headers."""
        return self.headers[idx]

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Ignored: there is no transport here."""

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Ignored likewise."""

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Remember a status that is not 200."""
        self.statuses[idx] = code


class Archived:
    """A loaded archive that answers texts and raw requests."""

    def __init__(self, handler: Any, context: Context) -> None:
        """`handler` has been initialised with `context`."""
        self._handler = handler
        self._context = context

    @property
    def folder(self) -> Path:
        """Where the archive is extracted, as long as it is open."""
        return Path(self._context.system_properties["model_dir"])

    def request(self, bodies: Sequence[tuple[bytes, str]], *, explain: bool = False) -> list[tuple[int, bytes]]:
        """Answer one batch of (body, content type) as (status, body), or explain each."""
        asked = {"explain": "True"} if explain else {}
        self._context.headers = [{"content-type": kind} | asked for _, kind in bodies]
        self._context.statuses = {}
        results = self._handler.handle([{"body": body} for body, _ in bodies], self._context)
        return [(self._context.statuses.get(position, 200), result) for position, result in enumerate(results)]

    def predict(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """One answer per text, through the same JSON that a client would send and get.

        `languages` names each text's language, for models that have languages. Raises InputError with the
        handler's own words if it refuses.
        """

        def body(chosen: slice) -> dict[str, Any]:
            own = {} if languages is None else {"lang": list(languages[chosen])}
            return {"texts": list(texts[chosen])} | own

        return self._predict(len(texts), body, "texts")

    def explain(self, texts: Sequence[str], language: str | None = None) -> list[dict[str, Any]]:
        """An explanation of each text, as `/explanations` gives it. Raises InputError as `predict` does."""
        found = []
        for text in texts:
            own = {} if language is None else {"lang": language}
            body = json.dumps({"text": text} | own).encode()
            [(status, answer)] = self.request([(body, "application/json")], explain=True)
            value = json.loads(answer)
            if status != 200:
                raise InputError(f"The model gave no explanation: {value['error']} Expected: {value['expected']}")
            found.append(value)
        return found

    def predict_images(self, images: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
        """One answer per image of a joint model, through the same JSON. Raises InputError as `predict` does."""

        def body(chosen: slice) -> dict[str, Any]:
            return {"images": [[float(value) for value in image] for image in images[chosen]]}

        return self._predict(len(images), body, "images")

    def _predict(self, count: int, body: Callable[[slice], dict[str, Any]], what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        size = 256
        while len(found) < count:
            sent = json.dumps(body(slice(len(found), len(found) + size))).encode()
            [(status, answer)] = self.request([(sent, "application/json")])
            value = json.loads(answer)
            if status == 413 and size > 1:  # many labels make long answers
                size //= 2
            elif status != 200:
                raise InputError(f"The model refused the {what}: {value['error']} Expected: {value['expected']}")
            else:
                found += value
        return found


@contextmanager
def opened(path: Path) -> Iterator[Archived]:
    """Extract, check and load an archive; everything is gone afterwards.

    Raises InputError for a bad archive, RefusedError where digests or goldens do not hold, SystemProblem where
    a package is missing.
    """
    with extracted(path) as folder:
        context = Context(folder)
        with _importing(folder) as handler_module:
            handler = handler_module.Handler()
            try:
                handler.initialize(context)
            except ValueError as error:
                raise RefusedError(f"{path} does not hold: {error}") from error
            except (RuntimeError, OSError) as error:
                raise SystemProblem(f"{path} cannot be loaded: {error}") from error
            yield Archived(handler, context)


@contextmanager
def _importing(folder: Path) -> Iterator[Any]:
    """The archive's `handler.py`, with the modules beside it; other archives' copies do not meet it."""
    before = {name: module for name, module in sys.modules.items() if _own(name)}
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        importlib.invalidate_caches()
        yield importlib.import_module("handler")
    finally:
        sys.dont_write_bytecode = compiles
        sys.path[:] = [entry for entry in sys.path if entry != str(folder)]
        for name in [name for name in sys.modules if _own(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _own(name: str) -> bool:
    return name == "handler" or name.partition(".")[0] == "lexport_handlers"
