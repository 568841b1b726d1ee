"""The results of a load test: frozen dataclasses, the same in memory, in results.json and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .series import Slot

SCHEMA = 2
"""Of results.json; 1, without a number, had only closed loops."""


@dataclass(frozen=True)
class Row:
    """One measured run: an archive, a worker set and a load. Times are in ms, of answered requests."""

    archive: str
    """NAME-VERSION, and the file's stem where two archives share it."""
    workers: str
    """Such as `cpu:2`, of TorchServe; of another engine with its name, `embedded cpu:2`; of a server that ran, its
    address."""
    users: int
    """Users of a closed loop; 0 in an open one."""
    seconds: float
    """Length of the measured window."""
    answered: int
    """Requests with an answer that counts."""
    failures: int
    reasons: Mapping[str, int]
    """Failures by reason."""
    requests_per_second: float
    p50_ms: float | None
    """None where nothing was answered."""
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    curve: tuple[tuple[float, float], ...]
    """(percentile, ms), rising."""
    client_cpu: float
    """The client's share of one core, 0 to 1."""
    client_cpu_machine: float
    """The client's share of all cores."""
    machine_cpu: float
    """Share of all cores that was busy, client and server together."""
    unknown_share: float
    """Share of the sent tokens that were invented words."""
    server_cpu: float | None = None
    """Cores that all processes of the server took on average; None where the system does not say."""
    server_memory: int | None = None
    """Bytes of all processes of the server at the end, what they share counted once; None as above."""
    arrivals: str = "closed"
    """The pattern of the arrivals."""
    rate: float = 0.0
    """Requests/s of the pattern; 0 in a closed loop."""
    due_per_second: float | None = None
    """Requests/s that were due in the window, answered or not."""
    lag_p99_ms: float | None = None
    """How much later than planned requests were sent, the 99th percentile; None in a closed loop."""
    slowest_failure_ms: float | None = None
    """The longest time to an answer that counted as failed; None without one."""
    processes: int = 1
    """Processes of Locust."""
    client_limit: str | None = None
    """Why the client may have set the figures, so that they are lower bounds of the server's; None where not."""
    knee: float | None = None
    """Of a ramp: the requests/s from which on the server did not keep up; None where it did, or the client not."""
    recovery: float | None = None
    """Of a spike: seconds after its end until requests went as before it; None where they did not."""
    series: tuple[Slot, ...] = ()
    """The window in slots of equal length."""

    @property
    def failure_share(self) -> float:
        """Failed requests among all, 0 to 1; 1 where nothing was sent."""
        total = self.answered + self.failures
        return self.failures / total if total else 1.0

    @property
    def label(self) -> str:
        """Archive, worker set and load in words."""
        return f"{self.archive} {self.workers} {self.load}"

    @property
    def load(self) -> str:
        """The load in words, such as `16 users` or `20 requests/s (spike)`."""
        return load_in_words(self.arrivals, self.level)

    @property
    def level(self) -> float:
        """The users of a closed loop, the rate of an open one."""
        return self.users if self.arrivals == "closed" else self.rate


def load_in_words(arrivals: str, level: float) -> str:
    """Return a load in words, such as `16 users` or `20 requests/s (spike)`."""
    if arrivals == "closed":
        return f"{level:g} user{'s' if level != 1 else ''}"
    return f"{level:,.4g} requests/s ({arrivals})"


@dataclass(frozen=True)
class NotRun:
    """A worker set that was requested and could not be run."""

    archive: str
    workers: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The result of comparing one row with one objective."""

    objective: str
    """Such as p99 <= 50 ms."""
    archive: str
    workers: str
    users: int
    value: str
    """What was measured, with its unit."""
    passed: bool
    arrivals: str = "closed"
    rate: float = 0.0


@dataclass(frozen=True)
class Capacity:
    """What a worker set serves within the objectives, from loads of which the client was not the limit."""

    archive: str
    workers: str
    words: str
    """All of it in sentences; where nothing can be claimed, why."""
    load: str = ""
    """The load with the most requests/s within the objectives."""
    runs: int = 0
    """Runs of this load."""
    requests_per_second: float | None = None
    """Median of the runs; None where nothing can be claimed."""
    low: float | None = None
    """The lower end of the interval of that median; None of one run."""
    high: float | None = None
    """Its upper end."""
    confidence: float | None = None
    """That the true median lies between them, 0 to 1."""
    need: float | None = None
    """The requests/s that were asked for."""
    machines: int | None = None
    """Such machines that serve them, counted with the lower end of the interval."""


@dataclass(frozen=True)
class LoadReport:
    """A whole load test; `out` is the folder with report.html, results.csv and results.json, if any."""

    started: str
    """ISO 8601, UTC."""
    rows: tuple[Row, ...]
    not_run: tuple[NotRun, ...]
    objectives: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By archive, as packed."""
    capacities: tuple[Capacity, ...] = ()
    """Of each worker set; empty without objectives."""
    out: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether every row meets every objective; true without objectives, false if one was judged in no row."""
        return not self.objectives or (not self.unjudged and all(verdict.passed for verdict in self.verdicts))

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The objectives that were judged in no row: nothing was run, or the client was the limit in all of them."""
        judged = {verdict.objective for verdict in self.verdicts}
        return tuple(objective for objective in self.objectives if objective not in judged)

    @property
    def archives(self) -> tuple[str, ...]:
        """The labels of the archives under test, in order."""
        return tuple(
            dict.fromkeys([row.archive for row in self.rows] + [missing.archive for missing in self.not_run])
        )

    def misses(self, row: Row | None = None) -> list[str]:
        """Return each missed objective in words, with its row and value; for one row, only the metrics' names."""
        missed = [verdict for verdict in self.verdicts if not verdict.passed]
        if row:
            place = (row.archive, row.workers, row.users, row.rate)
            return [v.objective.partition(" ")[0] for v in missed if (v.archive, v.workers, v.users, v.rate) == place]
        return [
            f"{verdict.archive + ' ' if len(self.archives) > 1 else ''}{verdict.workers} at "
            f"{load_in_words(verdict.arrivals, verdict.users or verdict.rate)}: "
            f"{verdict.objective}, was {verdict.value}"
            for verdict in missed
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return {"schema": SCHEMA} | asdict(self) | {"passed": self.passed, "out": str(self.out) if self.out else None}
