"""Successive halving: every candidate has short runs, the best third longer ones, until few are left for the final.

The search knows no servers: it asks a function for runs. What it decides follows from their figures and from the
seconds that they took alone, so that it decides the same again when the runs come from a journal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ...storage.progress import Say, silent
from ..measuring.figures import CERTAIN
from .ladder import best_of, climb, nearest_of, working_level
from .space import Candidate, server_of
from .trials import Measure, Run, Task, Trial

KEPT = 3  # one of so many goes on to the next stage
FINALISTS = 2  # beside the default and the start
SEARCH = 0.55  # share of the budget that the stages before the final may take at most
LEAST_SEARCH = 0.45  # share that they may take on any machine
ROUNDS = CERTAIN  # of the final that there is to be time for: the fewest with an interval of 95 %
FIRST = 0.75  # share of that for the first stage
PROBES = (2, 4)  # runs of a candidate in the first stage, and in later ones


@dataclass(frozen=True)
class Budget:
    """How long a search may take, in seconds, and how long its runs are."""

    seconds: float

    @property
    def short(self) -> float:
        """Length of a run in the first stage; it doubles with each stage, up to four times."""
        return min(5.0, max(0.5, self.seconds / 150))

    def length(self, stage: int) -> float:
        """Return the length of a run in a stage, the first of which is 0."""
        return self.short * min(4.0, 2.0**stage)

    @property
    def of_final(self) -> float:
        """Length of a run in the final, where many rounds say more than long ones."""
        return 1.5 * self.short


@dataclass(frozen=True)
class Standing:
    """A candidate, with what its runs in the latest stage found."""

    candidate: Candidate
    trials: Sequence[Trial]

    @property
    def best(self) -> Trial | None:
        """The run with the most requests/s within the objectives."""
        return best_of(self.trials)

    @property
    def score(self) -> float:
        """Its requests/s; 0 where none met them."""
        return self.best.requests_per_second if self.best else 0.0

    @property
    def level(self) -> float | None:
        """The load that the final is to have: with which it met the objectives, else came nearest."""
        working = working_level(self.trials)
        if working is not None:
            return working
        nearest = nearest_of(self.trials)
        return nearest.task.level if nearest else None


@dataclass(frozen=True)
class Found:
    """What the stages before the final have left."""

    standings: tuple[Standing, ...]
    """Every candidate that was tried, the best first."""
    finalists: tuple[Standing, ...]
    """Those of the final: the default first, then the start if there is one, then the best."""
    untried: tuple[Candidate, ...]
    """Those that there was no time for."""


def search(
    candidates: Sequence[Candidate],
    levels: Sequence[float],
    measure: Measure,
    budget: Budget,
    start: Candidate | None = None,
    say: Say = silent,
) -> Found:
    """Find the candidates for the final among `candidates`, of which the first is the default.

    The default and `start` are tried first and play the final whatever they do. The others are tried in their order
    as long as there is time, since the final has its share of the budget. `levels` are rising loads; `say` gets a
    line on each stage.
    """
    fixed = list(dict.fromkeys([candidates[0], start] if start else candidates[:1]))
    first_stage = [*fixed, *(one for one in candidates if one not in fixed)]
    standings: dict[Candidate, Standing] = {}
    field_, stage = first_stage, 0

    def until() -> float:
        return _until(budget, [one for each in standings.values() for one in each.trials], len(fixed))

    while True:
        say(f"stage {stage + 1}: {len(field_)} candidates, runs of {budget.length(stage):g} s")
        leader: Standing | None = None
        for candidate in field_:
            if candidate not in fixed and measure.spent >= until() * (1.0 if stage else FIRST):
                break
            before = standings.get(candidate) if stage else leader
            # Until some load is known to meet the objectives, it is searched for among all.
            most = PROBES[min(stage, 1)] if leader and leader.score else len(levels)
            standing = Standing(
                candidate,
                climb(
                    levels,
                    _first(levels, before),
                    _runner(measure, candidate, stage, budget),
                    most=most,
                    to_beat=leader.score if leader and not stage and candidate not in fixed else 0.0,
                ),
            )
            standings[candidate] = standing
            if leader is None or standing.score > leader.score:
                leader = standing
        ranked = rank([standings[one] for one in field_ if one in standings])
        if len(ranked) <= FINALISTS + len(fixed) or measure.spent >= until():
            break
        kept = [one.candidate for one in ranked if one.score][: math.ceil(len(ranked) / KEPT)]
        field_, stage = _by_server([*fixed, *(one for one in kept if one not in fixed)]), stage + 1
    others = [one for one in ranked if one.candidate not in fixed and one.score][:FINALISTS]
    return Found(
        tuple(rank(list(standings.values()))),
        (*(standings[one] for one in fixed), *others),
        tuple(one for one in first_stage if one not in standings),
    )


def _until(budget: Budget, trials: Sequence[Trial], fixed: int) -> float:
    """Return the seconds after which the final is due, given how long the runs took so far on this machine.

    It has the rest of the budget, which is to be enough for its rounds and the start of its servers, unless that left
    almost nothing for the search.
    """
    if not trials:
        return budget.seconds * SEARCH
    final = (FINALISTS + fixed) * (ROUNDS + 2) * median(one.took for one in trials)
    return min(budget.seconds * SEARCH, max(budget.seconds * LEAST_SEARCH, budget.seconds - final))


def rank(standings: Sequence[Standing]) -> list[Standing]:
    """Return the standings by their requests/s, the most first.

    Requests/s of runs of which the client was the limit say little of their servers: among themselves these standings
    are ordered by the server's processor time for a request.
    """
    ranked = sorted(standings, key=lambda one: -one.score)
    places = [place for place, one in enumerate(ranked) if one.best and one.best.client_limit]
    by_cpu = sorted((ranked[place] for place in places), key=_cpu)
    for place, standing in zip(places, by_cpu, strict=True):
        ranked[place] = standing
    return ranked


def _cpu(standing: Standing) -> float:
    cost = standing.best.cpu_of_request if standing.best else None
    return math.inf if cost is None else cost


def _first(levels: Sequence[float], standing: Standing | None) -> float:
    """Return the load to begin with: that with which a standing was best or nearest, else the middle one."""
    level = standing.level if standing else None
    return levels[len(levels) // 2] if level is None else level


def _runner(measure: Measure, candidate: Candidate, stage: int, budget: Budget) -> Run:
    seconds = budget.length(stage)
    return lambda level: measure(Task(candidate, f"search {stage + 1}", 0, level, seconds))


def _by_server(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with those of one server behind one another."""
    servers = dict.fromkeys(server_of(one) for one in candidates)
    return [one for server in servers for one in candidates if server_of(one) == server]
