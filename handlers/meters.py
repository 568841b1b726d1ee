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
from collections.abc import Callable, Iterable, Mapping
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
        self._lock = threading.Lock()
        self._counted = dict.fromkeys(COUNTERS, 0.0)
        self._something = threading.Event()

    def start(self) -> None:
        """Tell what is counted from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="lexport-meters", daemon=True).start()

    def count(self, **added: float) -> None:
        """Add to counters, named without `lexport_`."""
        with self._lock:
            for name, value in added.items():
                self._counted[f"lexport_{name}"] += value
        if not self._something.is_set():
            self._something.set()

    def count_texts(self, answers: Iterable[Mapping[str, Any]]) -> None:
        """Add the counts that the answers to texts carry."""
        texts = tokens = unknown = truncated = 0
        for answer in answers:
            texts += 1
            tokens += answer["tokens"]
            unknown += answer["unknown"]
            truncated += answer["truncated"]
        self.count(texts=texts, tokens=tokens, unknown_tokens=unknown, truncated_texts=truncated)

    def report(self) -> None:
        """Tell what was counted since the last time."""
        with self._lock:
            counted, self._counted = self._counted, dict.fromkeys(COUNTERS, 0.0)
            self._something.clear()
        lines = [self._line(name, COUNTERS[name], value, "COUNTER") for name, value in counted.items() if value]
        if counted["lexport_tokens"]:
            ratio = counted["lexport_unknown_tokens"] / counted["lexport_tokens"]
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
