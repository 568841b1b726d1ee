"""What a server counts itself during a run: batches, the time that requests wait for them and that they take.

Both engines publish the same counters, TorchServe's of the queue and those of lexport's handler (docs/http.md); the
embedded engine also publishes a histogram of requests by batch. Their difference over a run is the run's, with the
second before the measured window and the last answers after it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...handlers.runtime.periodic import INTERVAL
from ...serving.monitoring import figures
from .figures import ServerFigures

_REQUESTS = "ts_inference_requests_total"
_QUEUED = "ts_queue_latency_microseconds"
_BATCHES = "lexport_batches"
_TEXTS = ("lexport_texts", "lexport_images")
_INFERENCE = "lexport_inference_seconds"
_SIZES = "lexport_batch_requests_bucket"
_READINGS = 5  # at most, until two are the same


@dataclass(frozen=True)
class Counters:
    """A server's counters at one moment; None where the engine, or the archive's handler, has no such counter."""

    requests: float
    queue_seconds: float
    batches: float | None
    texts: float | None
    inference_seconds: float | None
    sizes: Mapping[str, float]
    """Batches of at most so many requests, cumulative; empty where the engine does not count them."""


def read_counters(metrics_url: str, *, at_rest: bool) -> Counters | None:
    """Return a server's counters; None where there is no metrics address, or it does not answer.

    TorchServe's workers report once a second. With `at_rest`, for a server that answers nothing now, the counters are
    read until two readings in a row are the same.
    """
    if not metrics_url:
        return None
    found = _read(metrics_url)
    for _ in range(_READINGS if at_rest and found is not None and found.batches is not None else 0):
        time.sleep(1.2 * INTERVAL)
        before, found = found, _read(metrics_url)
        if found == before:
            break
    return found


def _read(metrics_url: str) -> Counters | None:
    now = figures.read_at(metrics_url)
    if not now.samples:
        return None
    texts = [count for name in _TEXTS if (count := now.total(name)) is not None]
    return Counters(
        requests=now.total(_REQUESTS) or 0.0,
        queue_seconds=(now.total(_QUEUED) or 0.0) / 1e6,
        batches=now.total(_BATCHES),
        texts=sum(texts) if texts else None,
        inference_seconds=now.total(_INFERENCE),
        sizes=now.by(_SIZES, {}, "le"),
    )


def between(before: Counters | None, after: Counters | None) -> ServerFigures | None:
    """Return what was counted from one moment to another; None if either is not known, or counting began again."""
    if before is None or after is None:
        return None
    pairs = [
        (before.requests, after.requests),
        (before.queue_seconds, after.queue_seconds),
        # A counter that has not counted yet is not published by TorchServe.
        *((start or 0.0, end) for start, end in ((before.batches, after.batches), (before.texts, after.texts))),
        (before.inference_seconds or 0.0, after.inference_seconds),
    ]
    added = [None if end is None else end - start for start, end in pairs]
    if any(more is not None and more < 0 for more in added):
        return None
    requests, queued, batches, texts, inference = added
    cumulative = {bound: count - before.sizes.get(bound, 0.0) for bound, count in after.sizes.items()}
    sizes, below = [], 0.0
    for bound, count in sorted(cumulative.items(), key=lambda one: float(one[0])):
        sizes.append((None if bound == "+Inf" else float(bound), int(count - below)))
        below = count
    return _figures(
        requests=int(requests or 0),
        batches=None if batches is None else int(batches),
        texts=None if texts is None else int(texts),
        queue_seconds=queued or 0.0,
        inference_seconds=inference,
        sizes=tuple(sizes) or None,
    )


def together(several: Sequence[ServerFigures]) -> ServerFigures:
    """Return the figures of several runs of one server as those of one."""
    histograms = [one.batch_requests for one in several if one.batch_requests is not None]
    sizes = None
    if len(histograms) == len(several):
        sizes = tuple((same[0][0], sum(count for _, count in same)) for same in zip(*histograms, strict=True))
    return _figures(
        requests=sum(one.requests for one in several),
        batches=_sum([one.batches for one in several]),
        texts=_sum([one.texts for one in several]),
        queue_seconds=sum(one.queue_seconds for one in several),
        inference_seconds=_sum([one.inference_seconds for one in several]),
        sizes=sizes,
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _figures(
    *,
    requests: int,
    batches: float | None,
    texts: float | None,
    queue_seconds: float,
    inference_seconds: float | None,
    sizes: tuple[tuple[float | None, int], ...] | None,
) -> ServerFigures:
    return ServerFigures(
        requests=requests,
        batches=None if batches is None else int(batches),
        texts=None if texts is None else int(texts),
        queue_seconds=queue_seconds,
        inference_seconds=inference_seconds,
        batch_texts=texts / batches if texts is not None and batches else None,
        queue_ms=1000 * queue_seconds / requests if requests else None,
        inference_ms=1000 * inference_seconds / batches if inference_seconds is not None and batches else None,
        batch_requests=sizes,
    )
