"""The result of a search, as `tune.json` and `lexport tune --json` have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .explain import Effect
from .final import Outcome
from .space import Candidate
from .trials import Trial

SCHEMA = 1
"""Of tune.json."""


@dataclass(frozen=True)
class Point:
    """What a candidate does with one load: the medians of its runs in the final, else of its longest."""

    candidate: Candidate
    level: float
    runs: int
    seconds: float
    """Length of each."""
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    met: bool
    """Whether more than half of the runs met every objective."""
    limited: bool
    """Whether the client may have been the limit of one of them."""


@dataclass(frozen=True)
class TuneReport:
    """A whole search; `out` is the folder with its journal, `tune.json` and the winner's file, if there is one."""

    started: str
    """ISO 8601, UTC."""
    objectives: tuple[str, ...]
    arrivals: str
    """`closed` or `open`: what a load is, users or requests/s."""
    trials: tuple[Trial, ...]
    """Every run, in order."""
    untried: tuple[Candidate, ...]
    """Candidates that there was no time for."""
    front: tuple[Point, ...]
    """The points that no other one beats in requests/s and p99, the fewest requests/s first."""
    outcome: Outcome
    """The final and its winner."""
    why: str
    """Why it won."""
    effects: tuple[Effect, ...]
    """What each of its settings changed."""
    capacity: str
    """What it serves, in sentences."""
    need: float | None
    """The requests/s that were asked for."""
    machines: int | None
    """Such machines that serve them."""
    commands: tuple[str, ...]
    """The command lines that serve the model so."""
    file: str | None
    """The file in `out` with the winner's batches; None where none is needed."""
    warnings: tuple[str, ...]
    seconds: float
    """What all runs took, those of an earlier search too."""
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    out: Path

    @property
    def winner(self) -> Candidate:
        """The settings to serve with."""
        assert self.outcome.winner is not None
        return self.outcome.winner.candidate

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return {"schema": SCHEMA} | asdict(self) | {"winner": asdict(self.winner), "out": str(self.out)}


def points(trials: Sequence[Trial]) -> list[Point]:
    """Return a point for each candidate and load with answers, of the runs in the final, else of the longest."""
    found = []
    for candidate, level in dict.fromkeys((one.task.candidate, one.task.level) for one in trials):
        own = [one for one in trials if (one.task.candidate, one.task.level) == (candidate, level)]
        best = max(own, key=lambda one: (one.task.stage == "final", one.task.seconds)).task
        runs = [one for one in own if one.task.stage == best.stage and one.p99_ms is not None]
        if runs:
            found.append(_point(candidate, level, best.seconds, runs))
    return found


def front(found: Sequence[Point]) -> tuple[Point, ...]:
    """Return the Pareto front: the points than which no other has as many requests/s and as low a p99."""
    ordered = sorted(found, key=lambda one: (-one.requests_per_second, one.p99_ms))
    kept: list[Point] = []
    for one in ordered:
        if not kept or one.p99_ms < kept[-1].p99_ms:
            kept.append(one)
    return tuple(reversed(kept))


def _point(candidate: Candidate, level: float, seconds: float, runs: Sequence[Trial]) -> Point:
    return Point(
        candidate,
        level,
        len(runs),
        seconds,
        median([one.requests_per_second for one in runs]),
        median([one.p50_ms or 0.0 for one in runs]),
        median([one.p99_ms or 0.0 for one in runs]),
        met=sum(one.met for one in runs) > len(runs) / 2,
        limited=any(one.client_limit for one in runs),
    )
