"""Watching a run while it goes on: what Locust's processes told last, put together each second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..reports.numbers import measured
from .driver.recorder import rank
from .driver.telling import EVERY, NAMES, Told, read


@dataclass(frozen=True)
class Moment:
    """What the last second of a run showed, of all of Locust's processes together."""

    label: str
    """Which run it is, such as `films-1.0 cpu:1 16 users`."""
    left: float | None
    """Seconds until the end of the measured window; None where it has not begun."""
    requests_per_second: float = 0.0
    p99_ms: float | None = None
    """None where nothing was answered."""
    failures: int = 0
    """Since the window began."""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.label}  {self._figures()}"

    def within(self, width: int) -> str:
        """Return it as a line of so many characters at most: the label loses its beginning, the figures nothing."""
        room = width - len(self._figures()) - 2
        label = self.label if len(self.label) <= room else "…" + self.label[len(self.label) - max(0, room - 1) :]
        return f"{label}  {self._figures()}"

    def _figures(self) -> str:
        if self.left is None:
            return "starting"
        left = round(self.left)
        p99 = "no answers" if self.p99_ms is None else f"p99 {measured(self.p99_ms)} ms"
        rate = f"{self.requests_per_second:,.0f}/s"
        return f"{left // 60}:{left % 60:02d} left  {rate}  {p99}  {self.failures:,} failed"


Watch = Callable[[Moment], None]
"""Called about each second of a run, from a thread of its own."""


def look(folder: Path, label: str, seconds: float) -> Moment:
    """Return what the processes that measure `seconds` told last, in `folder`."""
    told: list[Told] = []
    for path in folder.glob(NAMES):
        with suppress(OSError, ValueError, TypeError):  # it was just being written
            told.append(read(path))
    if not told:
        return Moment(label, None)
    written = max(path.stat().st_mtime for path in folder.glob(NAMES))
    second = max(one.second for one in told) + max(0.0, time.time() - written)
    times = sorted(ms for one in told for ms in one.times)
    return Moment(
        label,
        max(0.0, seconds - second),
        sum(one.finished / one.span for one in told if one.span > 0),
        rank(times, 99),
        sum(one.failures for one in told),
    )


@contextmanager
def watched(folder: Path, label: str, seconds: float, watch: Watch | None) -> Iterator[None]:
    """Call `watch` about each second while the body runs Locust in `folder`, where anybody watches."""
    for old in folder.glob(NAMES):
        old.unlink()
    if watch is None:
        yield
        return
    ended = threading.Event()

    def watching() -> None:
        while not ended.wait(EVERY):
            watch(look(folder, label, seconds))

    thread = threading.Thread(target=watching, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
