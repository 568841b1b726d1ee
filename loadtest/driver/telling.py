"""What a process tells while it measures: a small file, written anew each second, of the answers since the last.

It costs one copy of the times and one small file a second; whoever reads it sorts and adds up, outside of Locust.
"""

from __future__ import annotations

import json
import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING or __package__:
    from .recorder import Recorder
else:  # Locust loads a locustfile by its path, with its folder on the path of modules
    from recorder import Recorder

EVERY = 1.0  # seconds
NAMES = "telling-*"  # of the files, one for each process


class Told(NamedTuple):
    """What one process told last."""

    second: float
    """Seconds since the measured window began."""
    span: float
    """Seconds that `finished` and `times` are of."""
    finished: int
    """Answers that came in these."""
    failures: int
    """Of all requests until then."""
    times: array[float]
    """ms of the answered requests, in no order."""


class Teller:
    """Tells what a recorder has heard since it last told."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        """Take the folder of the file, which is named by the process."""
        self._recorder, self._path = recorder, folder / NAMES.replace("*", str(os.getpid()))
        self._before = recorder.started
        self._times = self._finished = 0

    def run(self, sleep: Callable[[float], object]) -> None:
        """Tell each second, without end; for a greenlet of its own, which `sleep` lets others run."""
        while True:
            sleep(EVERY)
            self.tell(time.perf_counter())

    def tell(self, now: float) -> None:
        """Write the file, by the clock of `time.perf_counter`."""
        recorder, count = self._recorder, len(self._recorder.times)
        head = {
            "second": now - recorder.started,
            "span": now - self._before,
            "finished": recorder.finished - self._finished,
            "failures": recorder.reasons.total(),
        }
        content = json.dumps(head).encode() + b"\n" + recorder.times[self._times : count].tobytes()
        self._before, self._times, self._finished = now, count, recorder.finished
        partial = self._path.with_name(f".{self._path.name}")
        partial.write_bytes(content)
        partial.replace(self._path)


def read(path: Path) -> Told:
    """Return what a process told. Raises OSError or ValueError where there is no such file, or another."""
    head, _, content = path.read_bytes().partition(b"\n")
    values: dict[str, Any] = json.loads(head)
    times = array("d")
    times.frombytes(content)
    return Told(**values, times=times)
