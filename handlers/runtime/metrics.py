"""What a worker counts, for Prometheus: told to TorchServe once a second at most, whatever the load.

TorchServe reads its workers' output line by line and makes metrics of lines in a form of its own. A line a request
would cost more than many a model; counters are therefore added up here and told by a thread of their own, which
sleeps while nothing is asked.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# At least so many seconds between two tellings.
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
# Of the texts since the last telling.
RATIO = "lexport_unknown_ratio"


class Meters:
    """The counters of one worker's model."""

    def __init__(self, model: str, version: str, tell: Callable[[str], object] | None = None) -> None:
        """`tell` takes whole lines; without it they are written to the worker's output, which TorchServe reads."""
        # TorchServe splits a line at these.
        name, version = (re.sub(r"[|,#:\s]", "_", value) for value in (model, version))
        self._dimensions = f"ModelName:{name},ModelVersion:{version}"
        self._tell = _to_output if tell is None else tell
        # Only the thread that answers adds to the totals, only the other one remembers what it has told: no lock.
        self._totals = dict.fromkeys(COUNTERS, 0.0)
        self._told = dict(self._totals)
        self._something = threading.Event()

    def start(self) -> None:
        """Tell what is counted from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="lexport-meters", daemon=True).start()

    def count_requests(self, requests: int, refused: int) -> None:
        """Add requests, and how many of them were refused. The last thing to count of a batch."""
        totals = self._totals
        totals["lexport_requests"] += requests
        totals["lexport_refused"] += refused
        if not self._something.is_set():
            self._something.set()

    def count_batch(self, texts: Sequence[Mapping[str, Any]], images: int, seconds: float) -> None:
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

    def report(self) -> None:
        """Tell what was counted since the last time."""
        self._something.clear()
        totals = dict(self._totals)
        added = {name: total - self._told[name] for name, total in totals.items()}
        self._told = totals
        lines = [self._line(name, COUNTERS[name], value, "COUNTER") for name, value in added.items() if value]
        if added["lexport_tokens"]:
            ratio = added["lexport_unknown_tokens"] / added["lexport_tokens"]
            lines.append(self._line(RATIO, "ratio", ratio, "GAUGE"))
        if lines:
            self._tell("".join(lines))

    def _run(self) -> None:
        while True:
            self._something.wait()
            time.sleep(INTERVAL)
            self.report()

    def _line(self, name: str, unit: str, value: float, kind: str) -> str:
        written = f"{value:.9f}".rstrip("0").rstrip(".")
        where = f"#hostname:{socket.gethostname()},{int(time.time())}"
        return f"[METRICS]{name}.{unit}:{written}|#{self._dimensions}|#type:{kind}|{where}\n"


def _to_output(lines: str) -> None:
    sys.stdout.write(lines)
    sys.stdout.flush()
