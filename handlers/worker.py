"""One TorchServe worker: checks and loads its archive, then answers batches of requests."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .digests import check_digests
from .goldens import check_goldens, read_goldens
from .predictor import Predictor
from .protocol import Refusal, Request, parse, render, render_refusal
from .report import write_report

log = logging.getLogger("lexport")

_JSON = "application/json"


def load_checked(folder: Path, *, threads: int, device: str) -> tuple[Predictor, int]:
    """Load an extracted archive whose digests and goldens hold; the predictor and the goldens' number.

    Raises ValueError or RuntimeError saying what does not hold.
    """
    check_digests(folder)
    predictor = Predictor.load(folder, threads=threads, device=device)
    return predictor, check_goldens(predictor, read_goldens(folder / "golden.jsonl"))


class Worker:
    """What the archive's `handler.py` delegates to."""

    def __init__(self, context: Any) -> None:
        """Load what TorchServe's `context` names; every golden must be answered as recorded."""
        # Several lines a batch travel over a pipe to the frontend otherwise.
        logging.getLogger().setLevel(logging.WARNING)
        # TorchServe would parse JSON and decode text before the handler sees them, and log what it cannot.
        os.environ["TS_DECODE_INPUT_REQUEST"] = "false"
        properties = context.system_properties
        gpu = properties.get("gpu_id")
        device = "cpu" if gpu is None else f"cuda:{gpu}"
        threads = int(os.environ.get("LEXPORT_THREADS", "1"))
        self.predictor, goldens = load_checked(Path(properties["model_dir"]), threads=threads, device=device)
        model = self.predictor.model
        write_report(model.name, version=model.version, device=device, ready=True, goldens=goldens)

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch of requests; a bad one is refused alone, with its own status."""
        results: list[bytes] = [b""] * len(data)
        requests: dict[int, Request] = {}
        for position, parameters in enumerate(data):
            context.set_response_content_type(position, _JSON)
            try:
                headers = context.get_all_request_header(position)
                if headers.get("explain") == "True":
                    raise Refusal(404, "This archive gives no explanations.", "POST /predictions/NAME")
                requests[position] = parse(parameters, _content_type(headers))
            except Refusal as refusal:
                results[position] = render_refusal(refusal)
                context.set_response_status(code=refusal.status, idx=position)
        try:
            self._answer(requests, results)
        except Exception:
            log.exception("A batch of %d requests failed; answering them one by one.", len(requests))
            for position, request in requests.items():
                self._answer_alone(position, request, results, context)
        return results

    def _answer(self, requests: Mapping[int, Request], results: list[bytes]) -> None:
        texts = [text for request in requests.values() for text in request.texts]
        if not texts:
            return
        answers = self.predictor.predict(texts)
        model, first = self.predictor.model, 0
        for position, request in requests.items():
            own = answers[first : first + len(request.texts)]
            first += len(request.texts)
            results[position] = render(request, own, model.name, model.version)

    def _answer_alone(self, position: int, request: Request, results: list[bytes], context: Any) -> None:
        try:
            self._answer({position: request}, results)
        except Exception as error:
            log.exception("A request failed.")
            results[position] = json.dumps({"error": f"The model failed: {type(error).__name__}."}).encode()
            context.set_response_status(code=500, idx=position)


def _content_type(headers: Mapping[str, Any]) -> str:
    for name, value in headers.items():
        if name.lower() == "content-type" and isinstance(value, str):
            return value
    return ""
