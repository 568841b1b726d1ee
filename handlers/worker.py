"""A TorchServe worker: it checks and loads its archive, then answers batches of requests."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from itertools import compress, islice
from pathlib import Path
from typing import Any

import numpy as np

from .engine.prefault import prefault
from .model.digests import check_digests
from .model.distributions import Distributions
from .model.goldens import check_goldens, read_goldens
from .model.loading import load, reopen
from .model.predictor import IdsIn, ModelFile, Predictor
from .request.answers import render, render_refusal
from .request.compatibility import validate_for_model
from .request.compression import unpacked
from .request.describe import render_description
from .request.explain import TimeBudget, check_explainable, explain
from .request.protocol import Request, parse
from .request.refusals import Refusal
from .runtime import torchserve_patch as sockets
from .runtime.draining import Switch, refusal
from .runtime.metrics import Metrics
from .runtime.report import write_report
from .runtime.sampling import Sampling
from .runtime.threads import ThreadAllocator, count_workers, from_environment
from .text.batch import Batch
from .text.encoder import TextEncoder
from .text.files import load_encoder

log = logging.getLogger("lexport")

_JSON = "application/json"
# Headers of every answer: which version and which variant gave it.
VERSION, VARIANT = "Lexport-Version", "Lexport-Variant"
_RETRY_AFTER = "1"  # seconds, with every 503


def load_checked(folder: Path, *, threads: int, device: str) -> tuple[Predictor, int]:
    """Check and load an extracted archive. Return the predictor and the number of goldens.

    All mapped files are in memory then. Raises ValueError or RuntimeError if the digests or goldens fail.
    """
    check_digests(folder)
    predictor = load(folder, threads=threads, device=device)
    goldens = check_goldens(predictor, read_goldens(folder / "golden.jsonl"))
    prefault(folder)
    return predictor, goldens


class Worker:
    """The worker that the archive's `handler.py` calls."""

    def __init__(self, context: Any) -> None:
        """Load the model that TorchServe's `context` names and check its goldens."""
        # Outside TorchServe, in a user's process, these settings stay unchanged.
        in_torchserve = getattr(context, "metrics", None) is not None
        if in_torchserve:
            # Otherwise several log lines per batch go through a pipe to the frontend.
            logging.getLogger().setLevel(logging.WARNING)
            # Otherwise TorchServe parses JSON and decodes text before the handler, and logs what it cannot decode.
            os.environ["TS_DECODE_INPUT_REQUEST"] = "false"
        properties = context.system_properties
        gpu = properties.get("gpu_id")
        device = "cpu" if gpu is None else f"cuda:{gpu}"
        folder = Path(properties["model_dir"])
        cores, threads = from_environment()
        self.predictor, goldens = load_checked(folder, threads=threads, device=device)
        predictor, model = self.predictor, self.predictor.model
        texts = Distributions(predictor.decoder, predictor.labels, model.threshold)
        self.metrics = Metrics(model.name, model.version, texts)
        """What it counts."""
        self._sampling: Sampling | None = None
        if predictor.spec.knows_words:
            self._sampling = Sampling(model.name, model.version, partial(_text_code, predictor, folder))
        self._switch = Switch()
        self._in_torchserve = in_torchserve
        if in_torchserve:
            self.metrics.start()
        facts = {"version": model.version, "device": device, "ready": True, "goldens": goldens}
        report = partial(write_report, model.name, **facts, chunked=in_torchserve and sockets.install())
        report(threads=threads if model.parallel else 1)
        if in_torchserve and model.parallel and device == "cpu" and cores > 1:

            def change(threads: int) -> None:
                reopen(self.predictor, folder, threads=threads, device=device)
                report(threads=threads)

            ThreadAllocator(cores, threads, partial(count_workers, os.getppid())).watch(change)

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch of requests; only a bad one is refused, with its own status."""
        self._switch.busy[0] = 1
        try:
            return self._refuse(data, context) if self._switch.stopping[0] else self._handle(data, context)
        finally:
            self._switch.busy[0] = 0

    def _refuse(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        replies = _Replies(context, len(data), self.predictor.model)
        for position in range(len(data)):
            replies.refuse(position, refusal())
        self.metrics.record_requests(len(data), replies.refused)
        return replies.bodies

    def _handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        model, languages = self.predictor.model, self.predictor.languages
        replies = _Replies(context, len(data), model)
        requests: dict[int, Request] = {}
        to_explain: dict[int, Request] = {}
        for position, parameters in enumerate(data):
            try:
                headers = context.get_all_request_header(position)
                if self._in_torchserve and not any(type(value) is str for value in headers.values()):
                    # Over gRPC there are no headers but those of fields. TorchServe's StreamPredictions ends the
                    # worker if it does not find this one in the answer.
                    context.set_response_header(position, "ts_stream_next", "false")
                if headers.get("describe") == "True":  # set by TorchServe for GET /models/NAME?customized=true
                    replies.bodies[position] = render_description(self.predictor)
                    continue
                request = parse(unpacked(parameters, headers), _content_type(headers))
                validate_for_model(request, model, languages)
                if headers.get("explain") == "True":
                    check_explainable(request, self.predictor)
                    to_explain[position] = request
                else:
                    requests[position] = request
            except Exception as error:
                replies.refuse(position, error)
        try:
            if requests:
                self._answer(requests, replies)
        except Exception:
            log.exception("A batch of %d requests failed; answering them one by one.", len(requests))
            for position, request in requests.items():
                try:
                    self._answer({position: request}, replies)
                except Exception as error:
                    replies.refuse(position, error)
        if to_explain:
            self._explain(to_explain, replies)
        self.metrics.record_requests(len(data), replies.refused)
        return replies.bodies

    def _explain(self, requests: Mapping[int, Request], replies: _Replies) -> None:
        """Explain the requests one after the other until their time is over, the first in any case."""
        model = self.predictor.model
        budget = TimeBudget(sum(len(request.texts) for request in requests.values()))
        for number, (position, request) in enumerate(requests.items()):
            try:
                if number:
                    budget.check()
                explained = explain(self.predictor, request, budget)
                whole = request._replace(top_k=None, threshold=None)
                replies.bodies[position] = render(whole, explained, model.name, model.version)
            except Exception as error:
                replies.refuse(position, error)

    def _answer(self, requests: Mapping[int, Request], replies: _Replies) -> None:
        asked, predictor = requests.values(), self.predictor
        texts = [text for request in asked for text in request.texts]
        languages = [language for request in asked for language in request.languages or ()]
        images = [image for request in asked for image in request.images or ()]
        began = time.perf_counter()
        raw = predictor.raw_outputs(Batch(texts, languages or None)) if texts else None
        for_texts = predictor.answers(*raw) if raw is not None else []
        for_images = predictor.predict_images(np.array(images, np.float32)) if images else []
        self.metrics.record_batch(raw, len(images), time.perf_counter() - began)
        if self._sampling is not None and self._sampling.on:
            self._sample(requests.values(), for_texts)
        of_texts, of_images = iter(for_texts), iter(for_images)
        model = predictor.model
        for position, request in requests.items():
            if request.images is None:
                own = list(islice(of_texts, len(request.texts)))
            else:
                own = list(islice(of_images, len(request.images)))
            try:
                replies.bodies[position] = render(request, own, model.name, model.version)
            except Refusal as refusal:
                replies.refuse(position, refusal)

    def _sample(self, requests: Iterable[Request], answers: Iterable[Mapping[str, Any]]) -> None:
        """Collect unknown words of the texts that have any; a problem with that harms no request."""
        of_texts = iter(answers)
        try:
            for request in requests:
                own = [answer["unknown"] for answer in islice(of_texts, len(request.texts))]
                languages = None if request.languages is None else list(compress(request.languages, own))
                if any(own):
                    assert self._sampling is not None
                    self._sampling.add(list(compress(request.texts, own)), languages)
        except Exception:
            log.exception("Unknown words of a batch were not collected.")


class _Replies:
    """The answers to a batch, one body of bytes each."""

    def __init__(self, context: Any, count: int, model: ModelFile) -> None:
        self.bodies = [b""] * count
        self.refused = 0
        self._context = context
        for position in range(count):
            context.set_response_content_type(position, _JSON)
            context.set_response_header(position, VERSION, model.version)
            context.set_response_header(position, VARIANT, model.variant)

    def refuse(self, position: int, error: Exception) -> None:
        """Answer one request with a refusal's status, or with 500 for any other error."""
        if not isinstance(error, Refusal):
            log.error("A request failed.", exc_info=error)
            error = Refusal(
                500,
                f"The model failed: {type(error).__name__}.",
                "an answer; the worker's log says more",
                code="LX-HTTP-067",
            )
        self.refused += 1
        self.bodies[position] = render_refusal(error)
        self._context.set_response_status(code=error.status, idx=position)
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._context.set_response_header(position, "Retry-After", _RETRY_AFTER)


def _text_code(predictor: Predictor, folder: Path) -> TextEncoder:
    """Return the text code of a model; that of a text-in model is in its graph, and here once more."""
    return predictor.encoder if isinstance(predictor, IdsIn) else load_encoder(folder)


def _content_type(headers: Mapping[str, Any]) -> str:
    # The two usual spellings first, then any mix of cases. For form requests this value is a field, not a string.
    found = headers.get("Content-Type") or headers.get("content-type")
    if isinstance(found, str):
        return found
    for name, value in headers.items():
        if name.lower() == "content-type" and isinstance(value, str):
            return value
    return ""
