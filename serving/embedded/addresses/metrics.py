"""The metrics address, and its text for Prometheus: TorchServe's names where it has them, and histograms of ours.

Prometheus' own client library ends the names of all counters with `_total`, which TorchServe's do not have.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from ....handlers.runtime.metrics import COUNTERS, HISTOGRAMS, LABEL, LABELS, RATIO, cumulative
from ..http import Request, Response
from ..statistics import SECONDS, SIZES
from . import answers, descriptions
from .answers import segments

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    "Requests2XX": "Answers with a status from 200 to 299.",
    "Requests4XX": "Answers with a status from 400 to 499.",
    "Requests5XX": "Answers with a status from 500 to 599.",
    "ts_inference_requests_total": "Requests that a model has answered.",
    "ts_inference_latency_microseconds": "Microseconds from receiving requests to their answers, added up.",
    "ts_queue_latency_microseconds": "Microseconds that requests waited for their batch, added up.",
    RATIO: "Share of unknown tokens since the start.",
    "lexport_text_tokens_bucket": "Texts of at most so many tokens.",
    "lexport_confidence_bucket": "Texts whose highest score is at most so high.",
    LABELS: "Texts by predicted label.",
    "lexport_request_seconds": "From the last byte of a request to its answer.",
    "lexport_batch_seconds": "Time that a batch takes the model.",
    "lexport_batch_requests": "Requests of a batch.",
    "lexport_queue_requests": "Requests that wait for a model.",
    "lexport_refused_requests": "Requests that the server refused by itself, by the code of docs/errors.md.",
    "lexport_connections": "Open connections.",
    "lexport_workers": "Processes that are ready.",
    "lexport_worker_restarts": "Processes that died and were started again.",
}


def render(found: Mapping[str, Any], workers: int, restarts: int, names: Iterable[str] = ()) -> bytes:
    """Return the metrics of all processes together, as text; only those of `names` if there are any.

    `found` is the sum of what the processes count: `models` by "NAME VERSION" (`statistics`, `handler`, `texts`,
    `waiting`), `statuses` of answers that no model gave, `refused` by code, and `connections` where
    it knows them.
    """
    text = _Text(frozenset(names))
    statuses: dict[str, int] = dict(found.get("statuses", {}))
    models = found.get("models", {})
    for one in models.values():
        for status, count in one["statistics"]["statuses"].items():
            statuses[status] = statuses.get(status, 0) + count
    host = {"Level": "Host", "Hostname": socket.gethostname()}
    for first in (2, 4, 5):
        total = sum(count for status, count in statuses.items() if status.startswith(str(first)))
        text.add(f"Requests{first}XX", "counter", [(host, total)])
    both = [(_labels(key), one) for key, one in sorted(models.items())]
    lower = [
        ({"model_name": one["ModelName"], "model_version": one["ModelVersion"], "hostname": one["Hostname"]}, counted)
        for one, counted in both
    ]
    text.add(
        "ts_inference_requests_total",
        "counter",
        [(labels, sum(one["statistics"]["statuses"].values())) for labels, one in lower],
    )
    text.add(
        "ts_inference_latency_microseconds",
        "counter",
        [(labels, one["statistics"]["latency"]["total"] * 1e6) for labels, one in lower],
    )
    text.add(
        "ts_queue_latency_microseconds",
        "counter",
        [(labels, one["statistics"]["queued"] * 1e6) for labels, one in lower],
    )
    for name in COUNTERS:
        text.add(name, "counter", [(labels, one["handler"][name]) for labels, one in both])
    text.add(RATIO, "gauge", [(labels, _ratio(one["handler"])) for labels, one in both])
    _add_texts(text, both)
    for name, key, bounds in (
        ("lexport_request_seconds", "latency", SECONDS),
        ("lexport_batch_seconds", "inference", SECONDS),
        ("lexport_batch_requests", "sizes", SIZES),
    ):
        text.add_histogram(name, bounds, [(labels, one["statistics"][key]) for labels, one in both])
    text.add("lexport_queue_requests", "gauge", [(labels, one["waiting"]) for labels, one in both])
    refused = sorted(found.get("refused", {}).items())
    text.add("lexport_refused_requests", "counter", [({"code": code}, count) for code, count in refused])
    if "connections" in found:
        text.add("lexport_connections", "gauge", [({}, found["connections"])])
    text.add("lexport_workers", "gauge", [({}, workers)])
    text.add("lexport_worker_restarts", "counter", [({}, restarts)])
    return text.encoded()


def _add_texts(text: _Text, models: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]]) -> None:
    """Add how the texts of each model are distributed."""
    every = list(models)
    for name, (part, bounds) in HISTOGRAMS.items():
        buckets = [
            ({**labels, "le": upper}, count)
            for labels, one in every
            for upper, count in cumulative(bounds, one["texts"].get(part, ()))
        ]
        text.add(f"{name}_bucket", "counter", buckets)
    predicted = [
        ({**labels, LABEL: label}, count)
        for labels, one in every
        for label, count in sorted(one["texts"].get("labels", {}).items())
    ]
    text.add(LABELS, "counter", predicted)


class MetricsAddress:
    """Answers what TorchServe's metrics address answers, without a token, as there."""

    def __init__(self, collect: Callable[[list[str]], Awaitable[bytes]]) -> None:
        """Have `collect` return the text of the metrics with these names, or of all."""
        self._collect = collect
        self._fields = answers.fields_of(_CONTENT_TYPE)

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        return answers.identified(await self._route(request), request)

    async def _route(self, request: Request) -> Response:
        match request.method, segments(request):
            case _, ["metrics"]:
                names = [value for name, value in parse_qsl(request.query) if name == "name[]"]
                return Response(200, await self._collect(names), self._fields)
            case "OPTIONS", []:
                return answers.answer(descriptions.metrics())
            case _, ["api-description"]:
                return answers.answer(descriptions.metrics())
            case _, []:
                return answers.wrong_method().response
            case _:
                return answers.not_found().response


class _Text:
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._lines: list[str] = []

    def add(self, name: str, kind: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        if not self._names or name in self._names:
            self._head(name, kind)
            self._lines += [f"{name}{_written(labels)} {_number(value)}" for labels, value in values]

    def add_histogram(
        self, name: str, bounds: Iterable[float], values: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]]
    ) -> None:
        if self._names and name not in self._names:
            return
        self._head(name, "histogram")
        uppers = [*(_number(bound) for bound in bounds), "+Inf"]
        for labels, one in values:
            total = 0
            for upper, count in zip(uppers, one["counts"], strict=True):
                total += count
                self._lines.append(f"{name}_bucket{_written({**labels, 'le': upper})} {total}")
            self._lines.append(f"{name}_sum{_written(labels)} {_number(one['total'])}")
            self._lines.append(f"{name}_count{_written(labels)} {total}")

    def encoded(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()

    def _head(self, name: str, kind: str) -> None:
        what = _HELP.get(name, "Counted by the model's handler.")
        self._lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]


def _labels(key: str) -> dict[str, str]:
    name, _, version = key.rpartition(" ")
    return {"ModelName": name, "ModelVersion": version, "Hostname": socket.gethostname()}


def _ratio(counted: Mapping[str, float]) -> float:
    """Return the share of unknown tokens, of all since the start."""
    tokens = counted["lexport_tokens"]
    return counted["lexport_unknown_tokens"] / tokens if tokens else 0.0


def _written(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
