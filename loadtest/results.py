"""The results of a load test: frozen dataclasses, the same in memory, in results.json and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..export.evidence.load_results import SCHEMA, load_in_words
from .judging.comparison import Comparison
from .measuring.figures import GpuUse, Repeat, ServerFigures, Spread, share_of
from .series import Slot


@dataclass(frozen=True)
class Row:
    """A cell: an archive, a worker set and a load, run once or several times. Times are in ms, of answered requests.

    Percentiles are exact (nearest rank), over the requests of all runs together; requests/s are the median of the
    runs, counts are added up, and shares of processors are means.
    """

    archive: str
    """NAME-VERSION, and the file's stem where two archives share it."""
    workers: str
    """Such as `cpu:2`, of TorchServe; of another engine with its name, `embedded cpu:2`; of a server that ran, its
    address."""
    users: int
    """Users of a closed loop; 0 in an open one."""
    seconds: float
    """Length of the measured windows, added up."""
    answered: int
    """Requests with an answer that counts."""
    failures: int
    reasons: Mapping[str, int]
    """Failures by reason."""
    requests_per_second: float
    p50_ms: float | None
    """None where nothing was answered."""
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p99_9_ms: float | None
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
    """Processes of Locust, or threads of another driver, at most."""
    client_limit: str | None = None
    """Why the client may have set the figures, so that they are lower bounds of the server's; None where not."""
    other_cpu: float | None = None
    """Share of all cores that neither the client nor the server took; None where the server's is not known."""
    other_work: str | None = None
    """Why the figures may be due to other work on the machine; None where they are not, or that is not known."""
    server: ServerFigures | None = None
    """What the server counted; None of a server that lexport did not start."""
    gpus: tuple[GpuUse, ...] | None = None
    """The GPUs of the machine; None where there is no `nvidia-smi`, or the server is not on this machine."""
    knee: float | None = None
    """Of a ramp: the requests/s from which on the server did not keep up; None where it did, or the client not."""
    recovery: float | None = None
    """Of a spike: seconds after its end until requests went as before it; None where they did not."""
    series: tuple[Slot, ...] = ()
    """The window in slots of equal length; of several runs that with the median of requests/s."""
    repeats: tuple[Repeat, ...] = ()
    """Each run, in the order in which they were made."""
    spread: Mapping[str, Spread] = field(default_factory=dict)
    """How requests/s and the percentiles differ between the runs, by field; empty of a single run."""
    driver: str = "locust"
    """What loaded the server: `locust`, `wrk` or `k6`."""
    driver_version: str = ""
    """Of a program in the place of Locust, whose own version is among `versions`."""
    unchecked: str | None = None
    """What such a program did not check, and how its figures differ from Locust's; None of Locust."""

    @property
    def failure_share(self) -> float:
        """Failed requests among all, 0 to 1; 1 where nothing was sent."""
        return share_of(self.failures, self.answered)

    @property
    def runs(self) -> int:
        """How often it was run."""
        return max(1, len(self.repeats))

    @property
    def parts(self) -> str:
        """What `processes` counts."""
        return "processes of Locust" if self.driver == "locust" else f"threads of {self.driver}"

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


def workers_in_words(engine: str, workers: str) -> str:
    """Return a worker set as results name it: `cpu:2` of TorchServe, `embedded cpu:2` of another engine."""
    return workers if engine == "torchserve" else f"{engine} {workers}"


@dataclass(frozen=True)
class NotRun:
    """A worker set that was requested and could not be run."""

    archive: str
    workers: str
    reason: str


@dataclass(frozen=True)
class LoadedModel:
    """A model under test: that of an archive, or of a server that ran."""

    name: str
    version: str | None
    """None of a server that ran."""
    variant: str | None
    """None of a model that lexport did not make."""
    digest: str | None
    """SHA-256 of what was exported of it (`export.evidence.load.model_digest`), the same in every archive of the
    same export; None of a model that lexport did not make."""


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
    """By the value of all runs together."""
    arrivals: str = "closed"
    rate: float = 0.0
    doubt: str | None = None
    """Why another test may come to the other result: the limit lies within the noise of the repeats; else None."""

    @property
    def metric(self) -> str:
        """The objective's metric, such as `p99`."""
        return self.objective.partition(" ")[0]


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
    """A whole load test; `out` is the folder with its files, if any."""

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
    tested: Mapping[str, LoadedModel] = field(default_factory=dict)
    """What was tested, by archive."""
    comparison: Comparison | None = None
    """With an earlier test (`--baseline`)."""
    capacities: tuple[Capacity, ...] = ()
    """Of each worker set; empty without objectives."""
    out: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether every objective is shown to be met, and nothing is shown to be worse than in an earlier test.

        True without either; false if one of these was judged in no row, or not because of other work on the machine.
        """
        met = not self.unjudged and not self.disturbed and not self.doubtful
        compared = self.comparison is None or self.comparison.passed
        return met and compared and all(verdict.passed for verdict in self.verdicts)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The objectives that were judged in no row: nothing was run, or what limited it was never the server."""
        judged = {verdict.objective for verdict in self.verdicts}
        return tuple(objective for objective in self.objectives if objective not in judged)

    @property
    def disturbed(self) -> tuple[Row, ...]:
        """The rows in which an objective was not judged because of other work on the machine."""
        return tuple(row for row in self.rows if row.other_work and not row.client_limit and self._unjudged_of(row))

    @property
    def doubtful(self) -> tuple[Verdict, ...]:
        """The verdicts that an objective was met, but by less than the runs differ."""
        return tuple(verdict for verdict in self.verdicts if verdict.passed and verdict.doubt)

    def verdicts_of(self, row: Row) -> list[Verdict]:
        """Return the verdicts on one row."""
        place = (row.archive, row.workers, row.users, row.rate)
        return [one for one in self.verdicts if (one.archive, one.workers, one.users, one.rate) == place]

    def judgement(self, row: Row) -> str:
        """Return the verdict on a row: `met`, `missed METRICS`, `uncertain METRICS`, or `not judged: REASON`."""
        if missed := self.misses(row):
            return f"missed {', '.join(missed)}"
        if self._unjudged_of(row):
            return f"not judged: {'the client was the limit' if row.client_limit else 'the machine had other work'}"
        uncertain = [one.metric for one in self.verdicts_of(row) if one.doubt]
        return f"uncertain {', '.join(uncertain)}" if uncertain else "met"

    def _unjudged_of(self, row: Row) -> list[str]:
        judged = {verdict.objective for verdict in self.verdicts_of(row)}
        return [objective for objective in self.objectives if objective not in judged]

    @property
    def archives(self) -> tuple[str, ...]:
        """The labels of the archives under test, in order."""
        return tuple(
            dict.fromkeys([row.archive for row in self.rows] + [missing.archive for missing in self.not_run])
        )

    def misses(self, row: Row | None = None) -> list[str]:
        """Return each missed objective in words, with its row and value; for one row, only the metrics' names."""
        if row:
            return [verdict.metric for verdict in self.verdicts_of(row) if not verdict.passed]
        return [self.in_words(verdict) for verdict in self.verdicts if not verdict.passed]

    def in_words(self, verdict: Verdict) -> str:
        """Return a verdict's row, objective and value in words."""
        return (
            f"{verdict.archive + ' ' if len(self.archives) > 1 else ''}{verdict.workers} at "
            f"{load_in_words(verdict.arrivals, verdict.users or verdict.rate)}: "
            f"{verdict.objective}, was {verdict.value}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return {"schema": SCHEMA} | asdict(self) | {"passed": self.passed, "out": str(self.out) if self.out else None}
