"""A server's figures, read at its metrics address: requests, latency, unknown words of each version of a model."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..state import Server
from ..torchserve.http import request

_SAMPLE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?')
_ANSWERED = "ts_inference_requests_total"
_BUCKET = "lexport_request_seconds_bucket"
_UNNAMED = "default"  # TorchServe's version of requests that name none

Buckets = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Counted:
    """What was counted of one version of a model since the engine started."""

    requests: float | None
    """Requests that it has answered, refusals among them; None where the engine does not say."""
    tokens: float
    unknown: float
    buckets: Buckets = ()
    """Upper bounds in seconds with the requests that were answered within them; () where the engine has none."""

    def since(self, before: Counted) -> Counted | None:
        """Return what came after `before`; None if counting has begun again meanwhile, or was not known then."""
        if self.requests is not None and before.requests is None:
            return None
        requests = None if self.requests is None else self.requests - (before.requests or 0.0)
        earlier = dict(before.buckets)
        buckets = tuple((bound, count - earlier.get(bound, 0.0)) for bound, count in self.buckets)
        found = Counted(requests, self.tokens - before.tokens, self.unknown - before.unknown, buckets)
        numbers = (found.requests or 0.0, found.tokens, found.unknown, *(count for _, count in buckets))
        return None if min(numbers) < 0 else found

    def to_json(self) -> dict[str, Any]:
        """Return p50_seconds, p99_seconds and unknown_share, each None where nothing was counted for it."""
        return {
            "p50_seconds": quantile(self.buckets, 0.5),
            "p99_seconds": quantile(self.buckets, 0.99),
            "unknown_share": self.unknown / self.tokens if self.tokens else None,
        }


@dataclass(frozen=True)
class Figures:
    """The samples of a metrics address at one moment."""

    samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]] = field(default_factory=dict)
    """Labels and value by the name of the metric; empty where the address does not answer."""
    at: float = 0.0
    """Seconds on the monotonic clock."""

    def of(self, name: str, version: str, *, own: bool, alone: bool) -> Counted:
        """Return what was counted of a version of a model.

        `own`: whether lexport's handler answers, which counts by itself; `alone`: whether no other version of the
        name is served, which is what TorchServe's counter needs, since it does not say which version a request met
        that names none.
        """
        labels = {"ModelName": name, "ModelVersion": version}
        requests = None
        if _ANSWERED in self.samples:
            if own:
                requests = self._sum("lexport_requests", labels)
            elif alone:
                requests = sum(
                    self._sum(_ANSWERED, {"model_name": name, "model_version": one}) for one in (version, _UNNAMED)
                )
        buckets = {
            float(found["le"]): value for found, value in self.samples.get(_BUCKET, ()) if _matches(found, labels)
        }
        return Counted(
            requests,
            self._sum("lexport_tokens", labels),
            self._sum("lexport_unknown_tokens", labels),
            tuple(sorted(buckets.items())),
        )

    def by(self, metric: str, labels: Mapping[str, str], name: str) -> dict[str, float]:
        """Return the sums of a metric's samples with these labels, by the value of the label `name`."""
        sums: dict[str, float] = {}
        for found, value in self.samples.get(metric, ()):
            if _matches(found, labels) and name in found:
                sums[found[name]] = sums.get(found[name], 0.0) + value
        return sums

    def total(self, metric: str) -> float | None:
        """Return the sum of a metric's samples, of all models; None where there is none."""
        found = self.samples.get(metric)
        return sum(value for _, value in found) if found else None

    def _sum(self, metric: str, labels: Mapping[str, str]) -> float:
        return sum(value for found, value in self.samples.get(metric, ()) if _matches(found, labels))


def read(server: Server) -> Figures:
    """Return the figures of a running server; no samples where its metrics address does not answer."""
    return read_at(server.metrics_url)


def read_at(metrics_url: str) -> Figures:
    """Return the figures of the server with this metrics address; no samples where it does not answer."""
    try:
        status, text = request("GET", metrics_url, "/metrics", token="")
    except OSError:
        return Figures(at=time.monotonic())
    at = time.monotonic()
    return Figures(parse(text), at) if status == 200 and isinstance(text, str) else Figures(at=at)


def parse(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the samples of Prometheus' text format by metric; one that was declared and not counted has none."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            samples.setdefault(line.split(" ")[2], [])
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        samples.setdefault(match[1], []).append((dict(_LABEL.findall(match[2] or "")), value))
    return samples


def quantile(buckets: Buckets, share: float) -> float | None:
    """Return a quantile of a cumulative histogram in seconds, as Prometheus' `histogram_quantile` estimates it.

    Within a bucket it is interpolated; beyond the last finite bound it is that bound. None for an empty histogram.
    """
    if not buckets or not buckets[-1][1]:
        return None
    rank = share * buckets[-1][1]
    lower = below = 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == float("inf"):
                break
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower


def recent(now: Counted, before: Counted | None, seconds: float) -> dict[str, Any] | None:
    """Return what happened in the `seconds` since `before`; None for a first look, or if counting began again."""
    added = None if before is None or seconds <= 0 else now.since(before)
    if added is None:
        return None
    rate = None if added.requests is None else added.requests / seconds
    return {"seconds": seconds, "requests_per_second": rate, **added.to_json()}


def _matches(found: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(found.get(name) == value for name, value in labels.items())
