"""The counters of a worker, for Prometheus: sent to TorchServe at most once a second, for any load.

TorchServe reads its workers' output line by line and makes metrics of lines in its own format. One line per request
would cost more than the answer of a small model. So the counters are added up here, and a thread emits them, which
sleeps while there are no requests.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Least seconds between two reports.
INTERVAL = 1.0

COUNTERS = {
    "lexport_requests": "count",
    "lexport_refused": "count",
    "lexport_batches": "count",
    "lexport_texts": "count",
    "lexport_images": "count",
    "lexport_tokens": "count",
    "lexport_unknown_tokens": "count",
    "lexport_truncated_texts": "count",
    "lexport_inference_seconds": "seconds",
}
# Of the texts since the last report.
RATIO = "lexport_unknown_ratio"


class Metrics:
    """The counters of one worker's model."""

    def __init__(self, model: str, version: str, emit: Callable[[str], object] | None = None) -> None:
        """Start all counters at 0. `emit` takes whole lines; by default it writes to the output for TorchServe."""
        # TorchServe splits a line at these.
        name, version = (re.sub(r"[|,#:\s]", "_", value) for value in (model, version))
        self._dimensions = f"ModelName:{name},ModelVersion:{version}"
        self._emit = _to_output if emit is None else emit
        # Only the answering thread changes the totals, only the other one what it has reported: no lock is needed.
        self._totals = dict.fromkeys(COUNTERS, 0.0)
        self._reported = dict(self._totals)
        self._dirty = threading.Event()

    def start(self) -> None:
        """Report the counters from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="lexport-metrics", daemon=True).start()

    def record_requests(self, requests: int, refused: int) -> None:
        """Add requests, and the number of refused ones. Called last for a batch."""
        totals = self._totals
        totals["lexport_requests"] += requests
        totals["lexport_refused"] += refused
        if not self._dirty.is_set():
            self._dirty.set()

    def record_batch(self, texts: Sequence[Mapping[str, Any]], images: int, seconds: float) -> None:
        """Add a batch that took `seconds`: the answers to its texts, with the counts they carry, and its images."""
        totals = self._totals
        totals["lexport_batches"] += 1
        totals["lexport_inference_seconds"] += seconds
        totals["lexport_texts"] += len(texts)
        totals["lexport_images"] += images
        tokens = unknown = truncated = 0
        for answer in texts:
            tokens += answer["tokens"]
            unknown += answer["unknown"]
            truncated += answer["truncated"]
        totals["lexport_tokens"] += tokens
        totals["lexport_unknown_tokens"] += unknown
        totals["lexport_truncated_texts"] += truncated

    @property
    def totals(self) -> dict[str, float]:
        """What was counted since the start, by the names of COUNTERS."""
        return dict(self._totals)

    def report(self) -> None:
        """Emit what was counted since the last report."""
        self._dirty.clear()
        totals = dict(self._totals)
        added = {name: total - self._reported[name] for name, total in totals.items()}
        self._reported = totals
        lines = [self._line(name, COUNTERS[name], value, "COUNTER") for name, value in added.items() if value]
        if added["lexport_tokens"]:
            ratio = added["lexport_unknown_tokens"] / added["lexport_tokens"]
            lines.append(self._line(RATIO, "ratio", ratio, "GAUGE"))
        if lines:
            self._emit("".join(lines))

    def _run(self) -> None:
        while True:
            self._dirty.wait()
            time.sleep(INTERVAL)
            self.report()

    def _line(self, name: str, unit: str, value: float, kind: str) -> str:
        written = f"{value:.9f}".rstrip("0").rstrip(".")
        where = f"#hostname:{socket.gethostname()},{int(time.time())}"
        return f"[METRICS]{name}.{unit}:{written}|#{self._dimensions}|#type:{kind}|{where}\n"


def _to_output(lines: str) -> None:
    sys.stdout.write(lines)
    sys.stdout.flush()
