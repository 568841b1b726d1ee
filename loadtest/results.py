"""The results of a load test: frozen dataclasses, the same in memory, in results.json and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measured run: an archive, a worker set and a number of users. Times are in ms, of answered requests."""

    archive: str
    """NAME-VERSION, and the file's stem where two archives share it."""
    workers: str
    """Such as `cpu:2`, of TorchServe; of another engine with its name, `embedded cpu:2`."""
    users: int
    seconds: float
    """Length of the measured window."""
    answered: int
    """Requests answered with 200 and a label or vector."""
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

    @property
    def failure_share(self) -> float:
        """Failed requests among all, 0 to 1; 1 where nothing was sent."""
        total = self.answered + self.failures
        return self.failures / total if total else 1.0

    @property
    def label(self) -> str:
        """Archive, worker set and users in words."""
        return f"{self.archive} {self.workers} {self.users} user{'s' if self.users != 1 else ''}"


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
    out: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether every row meets every objective; true without objectives, false if nothing was run."""
        return not self.objectives or (bool(self.rows) and all(verdict.passed for verdict in self.verdicts))

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
            place = (row.archive, row.workers, row.users)
            return [v.objective.partition(" ")[0] for v in missed if (v.archive, v.workers, v.users) == place]
        return [
            f"{verdict.archive + ' ' if len(self.archives) > 1 else ''}{verdict.workers} at {verdict.users} "
            f"user{'s' if verdict.users != 1 else ''}: {verdict.objective}, was {verdict.value}"
            for verdict in missed
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return asdict(self) | {"passed": self.passed, "out": str(self.out) if self.out else None}
