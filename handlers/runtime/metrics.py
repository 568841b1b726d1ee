"""The counters of a worker, for Prometheus: sent to TorchServe at most once a second, for any load.

TorchServe reads its workers' output line by line and makes metrics of lines in its own format. One line per request
would cost more than the answer of a small model. So the counters are added up here, and a thread emits them, which
sleeps while there are no requests.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from ..engine.engines import Counts, Scores
from ..model.distributions import CONFIDENCES, LENGTHS, SUMS, Distributions
from .periodic import Periodic

COUNTERS = {
    "lexport_requests": "count",
    "lexport_refused": "count",
    "lexport_batches": "count",
    "lexport_images": "count",
    **{f"lexport_{name}": "count" for name in SUMS},
    "lexport_inference_seconds": "seconds",
}
# Of the texts since the last report.
RATIO = "lexport_unknown_ratio"
HISTOGRAMS = {"lexport_text_tokens": ("lengths", LENGTHS), "lexport_confidence": ("confidence", CONFIDENCES)}
"""Histograms of texts: the part of `Distributions.to_json` and the upper bounds of its buckets."""
LABELS = "lexport_predictions"
"""Texts by predicted label, which its dimension LABEL names as `distributions.quoted` does."""
LABEL = "Label"


class Metrics:
    """The counters of one worker's model."""

    def __init__(
        self, model: str, version: str, texts: Distributions, emit: Callable[[str], object] | None = None
    ) -> None:
        """Start at 0. `texts` counts what is answered. `emit` takes whole lines, by default to TorchServe."""
        # TorchServe splits a line at these.
        name, version = (re.sub(r"[|,#:\s]", "_", value) for value in (model, version))
        self._dimensions = f"ModelName:{name},ModelVersion:{version}"
        self._emit = _to_output if emit is None else emit
        self._texts = texts
        # Only the answering thread changes these, only the other one what it has reported: no lock is needed.
        self._counted = {"requests": 0, "refused": 0, "batches": 0, "images": 0, "inference_seconds": 0.0}
        self._reported: dict[tuple[str, str], float] = {}
        self._reporting = Periodic("lexport-metrics", self.report)

    def start(self) -> None:
        """Report the counters from now on, in a thread that ends with the process."""
        self._reporting.start()

    def record_requests(self, requests: int, refused: int) -> None:
        """Add requests, and the number of refused ones. Called last for a batch."""
        self._counted["requests"] += requests
        self._counted["refused"] += refused
        self._reporting.note()

    def record_batch(self, texts: tuple[Counts, Scores] | None, images: int, seconds: float) -> None:
        """Add a batch that took `seconds`: the counts and outputs of its texts, if it has any, and its images."""
        self._counted["batches"] += 1
        self._counted["inference_seconds"] += seconds
        self._counted["images"] += images
        if texts is not None:
            self._texts.add(*texts)

    @property
    def distributions(self) -> dict[str, Any]:
        """How the texts since the start are distributed, as `Distributions.to_json` has it."""
        return self._texts.to_json()

    def totals(self, texts: Mapping[str, Any]) -> dict[str, float]:
        """Return what was counted since the start, by the names of COUNTERS; `texts` are `distributions`."""
        found = self._counted | {name: texts[name] for name in SUMS}
        return {name: found[name.removeprefix("lexport_")] for name in COUNTERS}

    def report(self) -> None:
        """Emit what was counted since the last report."""
        texts = self.distributions
        before, now = self._reported, dict(self._series(texts))
        self._reported = now
        added = {key: more for key, total in now.items() if (more := total - before.get(key, 0))}
        lines = [
            self._line(name, COUNTERS.get(name, "count"), value, "COUNTER", dimension)
            for (name, dimension), value in added.items()
        ]
        if tokens := added.get(("lexport_tokens", "")):
            unknown = added.get(("lexport_unknown_tokens", ""), 0)
            lines.append(self._line(RATIO, "ratio", unknown / tokens, "GAUGE"))
        if lines:
            self._emit("".join(lines))

    def _series(self, texts: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
        """Yield every counter with its further dimension, "" for none, and its total."""
        for name, total in self.totals(texts).items():
            yield (name, ""), total
        for name, (part, bounds) in HISTOGRAMS.items():
            for upper, count in cumulative(bounds, texts.get(part, ())):
                yield (f"{name}_bucket", f",le:{upper}"), count
        for label, count in texts.get("labels", {}).items():
            yield (LABELS, f",{LABEL}:{label}"), count

    def _line(self, name: str, unit: str, value: float, kind: str, dimension: str = "") -> str:
        written = f"{value:.9f}".rstrip("0").rstrip(".")
        where = f"#hostname:{socket.gethostname()},{int(time.time())}"
        return f"[METRICS]{name}.{unit}:{written}|#{self._dimensions}{dimension}|#type:{kind}|{where}\n"


def cumulative(bounds: Sequence[float], counts: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield each upper bound, as Prometheus writes it, with how many values were at most as large; none for none."""
    if counts:
        yield from zip([*(f"{bound:g}" for bound in bounds), "+Inf"], accumulate(counts), strict=True)


def _to_output(lines: str) -> None:
    sys.stdout.write(lines)
    sys.stdout.flush()
