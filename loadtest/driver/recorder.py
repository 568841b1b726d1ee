"""What one process measures of the requests due in a window, and the figures of all processes together."""

from __future__ import annotations

import math
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psutil  # Locust itself requires it

NAMED = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}  # percentiles that results name
PERCENTS = [*range(1, 100), *(99 + step / 10 for step in range(1, 10)), 99.95, 99.99]
SLOTS = 60  # of a series, at most
LENGTHS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds of a slot


class Recorder:
    """The requests due in a measured window: each one's time in ms, failures by reason, CPU used.

    A request is due when it is sent in a closed loop, and when it was planned in an open one. Its time runs from then
    to its answer, so that what had to wait for a stalled server counts, whoever made it wait.
    """

    def __init__(self, started: float = math.inf, ended: float = math.inf) -> None:
        """Take the window on the clock of `time.perf_counter`; without one nothing is recorded."""
        self.started, self.ended = started, ended
        self.due = array("d")  # seconds since the window began, of answered requests
        self.times = array("d")  # ms
        self.failed_due = array("d")
        self.failed_times = array("d")  # ms; infinite where nothing came back
        self.lags = array("d")  # ms between when a request was due and when it was sent
        self.reasons: Counter[str] = Counter()
        self.finished = 0  # answers that arrived inside the window, whenever due
        self.client_seconds = self.machine_share = self.interrupt_share = self.began = 0.0

    def begin(self) -> None:
        """Take the time and the readings of the processors as the window begins."""
        self.began = time.time()
        self._cpu, self._machine = time.process_time(), psutil.cpu_times()

    def end(self) -> None:
        """Take them as it ends; answers to what was due inside it are still recorded."""
        self.client_seconds = time.process_time() - self._cpu
        now = psutil.cpu_times()
        spent = sum(now) - sum(self._machine)
        idle = now.idle - self._machine.idle + getattr(now, "iowait", 0) - getattr(self._machine, "iowait", 0)
        self.machine_share = min(1.0, max(0.0, 1 - idle / spent)) if spent > 0 else 0.0
        # The system's part of every request, which it counts for no process.
        interrupts = sum(getattr(now, kind, 0) - getattr(self._machine, kind, 0) for kind in ("irq", "softirq"))
        self.interrupt_share = max(0.0, interrupts / spent) if spent > 0 else 0.0

    def request(self, due: float, sent: float, answered: float, problem: str | None) -> None:
        """Keep one request, by its times on the clock of `time.perf_counter`; `sent` infinite: it was not sent."""
        if problem is None and self.started <= answered < self.ended:
            self.finished += 1
        if not self.started <= due < self.ended:
            return
        if sent < math.inf:
            self.lags.append((sent - due) * 1000)
        if problem is None:
            self.due.append(due - self.started)
            self.times.append((answered - due) * 1000)
        else:
            self.failed_due.append(due - self.started)
            self.failed_times.append((answered - due) * 1000)
            self.reasons[problem] += 1

    def part(self) -> dict[str, Any]:
        """Return what this process measured, to be merged: times in ms, CPU in seconds and shares."""
        return {
            "due": list(self.due),
            "times": list(self.times),
            "failed_due": list(self.failed_due),
            "failed_times": list(self.failed_times),
            "lags": list(self.lags),
            "reasons": dict(self.reasons),
            "began": self.began,
            "seconds": self.ended - self.started,
            "finished": self.finished,
            "client_seconds": self.client_seconds,
            "machine_share": self.machine_share,
            "interrupt_share": self.interrupt_share,
        }


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the measurements of all processes: times in ms (nearest rank, of answered requests), CPU in seconds."""
    times = sorted(time for part in parts for time in part["times"])
    lags = sorted(lag for part in parts for lag in part["lags"])
    refused = [time for part in parts for time in part["failed_times"] if time < math.inf]
    seconds = max(part["seconds"] for part in parts)
    reasons: Counter[str] = Counter()
    for part in parts:
        reasons.update(part["reasons"])
    return {
        "began": min(part["began"] for part in parts),
        "answered": len(times),
        "failures": reasons.total(),
        "reasons": dict(reasons.most_common()),
        "seconds": seconds,
        "requests_per_second": sum(part["finished"] / part["seconds"] for part in parts),
        "due_per_second": (len(times) + reasons.total()) / seconds,
        **latencies(times),
        "slowest_failure_ms": max(refused, default=None),
        "lag_p99_ms": rank(lags, 99),
        "series": series(parts, seconds),
        "client_seconds": sum(part["client_seconds"] for part in parts),
        "busiest_client": max(part["client_seconds"] / part["seconds"] for part in parts),
        "machine_share": max(part["machine_share"] for part in parts),
        "interrupt_share": max(part["interrupt_share"] for part in parts),
        "processes": len(parts),
    }


def latencies(times: Sequence[float]) -> dict[str, Any]:
    """Return the percentiles of sorted times, the largest, and a curve of (percentile, ms), all by the nearest rank.

    The curve has a percentile only if at least one time is above it.
    """
    return {
        **{f"{name}_ms": rank(times, percent) for name, percent in NAMED.items()},
        "max_ms": times[-1] if times else None,
        "curve": [[point, rank(times, point)] for point in PERCENTS if len(times) * (100 - point) >= 100],
    }


def rank(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile of sorted values, by the nearest rank; None of none."""
    return values[max(0, math.ceil(percent / 100 * len(values) - 1e-9) - 1)] if values else None


def series(parts: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Return the window in slots of equal length: what was due in each, and how that ended."""
    length = next((one for one in LENGTHS if seconds / one <= SLOTS), LENGTHS[-1])
    slots: list[tuple[list[float], list[float]]] = [([], []) for _ in range(max(1, round(seconds / length)))]
    for part in parts:
        for kind, (due, times) in enumerate((("due", "times"), ("failed_due", "failed_times"))):
            for second, time_ in zip(part[due], part[times], strict=True):
                slots[min(int(second / length + 1e-9), len(slots) - 1)][kind].append(time_)
    found = []
    for place, (answered, failed) in enumerate(slots):
        answered.sort()
        found.append(
            {
                "second": round(place * length, 3),
                "seconds": length,
                "answered": len(answered),
                "failures": len(failed),
                "p50_ms": rank(answered, 50),
                "p99_ms": rank(answered, 99),
                "max_ms": answered[-1] if answered else None,
            }
        )
    return found
