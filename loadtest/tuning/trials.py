"""One measured run of a candidate, as the search, the journal and the report have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ...storage.validation import build
from ..objectives import Objective
from ..results import Row
from .space import Candidate


@dataclass(frozen=True)
class Task:
    """A run that the search asks for."""

    candidate: Candidate
    stage: str
    """`search 1`, `search 2` …, or `final`."""
    turn: int
    """Of the final, the round; 0 else."""
    level: float
    """Users of a closed loop, or requests/s of an open one."""
    seconds: float
    """Length of the measured window."""


@dataclass(frozen=True)
class Trial:
    """What a run measured. Times in ms, of answered requests."""

    task: Task
    requests_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    failure_share: float
    met: bool
    """Whether it met every objective."""
    missed: tuple[str, ...]
    """The objectives that it missed, with what was measured."""
    client_limit: str | None
    """Why the client may have been the limit, so that its requests/s are a lower bound."""
    server_cpu: float | None
    """Cores that the server's processes took on average."""
    server_memory: int | None
    """Bytes of the server's processes."""
    took: float
    """Seconds from the beginning, with a server's start, to the end."""
    problem: str = ""
    """Why nothing was measured: the server could not start with these settings."""

    @property
    def cpu_of_request(self) -> float | None:
        """Seconds of the server's processor time for one request."""
        if self.server_cpu is None or not self.requests_per_second:
            return None
        return self.server_cpu / self.requests_per_second

    @property
    def bounded(self) -> str:
        """The requests/s, as a lower bound where the client was the limit."""
        return f"{'≥ ' if self.client_limit else ''}{self.requests_per_second:,.0f}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)

    @classmethod
    def parse(cls, facts: Any) -> Trial:
        """Return what `as_dict` wrote. Raises `storage.validation.Invalid` for anything else."""
        return build(cls, facts)


class Measure(Protocol):
    """Runs tasks; `spent` are the seconds that all of them took, those of an earlier run too."""

    spent: float

    def __call__(self, task: Task) -> Trial:
        """Run a task, or return what an earlier run has measured of it."""


def trial_of(task: Task, row: Row, objectives: Sequence[Objective], took: float) -> Trial:
    """Return a run as a trial, judged by its own figures; a client that is the limit only makes them worse."""
    verdicts = [objective.judge(row) for objective in objectives]
    missed = tuple(f"{verdict.objective}, was {verdict.value}" for verdict in verdicts if not verdict.passed)
    return Trial(
        task,
        row.requests_per_second,
        row.p50_ms,
        row.p99_ms,
        row.failure_share,
        met=not missed and row.answered > 0,
        missed=missed,
        client_limit=row.client_limit,
        server_cpu=row.server_cpu,
        server_memory=row.server_memory,
        took=took,
    )


def unable(task: Task, problem: str, took: float) -> Trial:
    """Return the trial of settings with which the server could not start."""
    return Trial(task, 0.0, None, None, 1.0, False, (), None, None, None, took, problem)


Run = Callable[[float], Trial]
"""Runs a candidate with a load."""
