"""The paired final: the best few against the default, in turns, and who wins it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...storage.progress import Say, silent
from ..measuring.figures import Spread, spread
from .search import ROUNDS, Budget, Standing
from .space import Candidate
from .trials import Measure, Task, Trial

MOST = 20  # rounds
HURRIED = 3  # rounds where the budget is used up


@dataclass(frozen=True)
class Finalist:
    """The runs of a candidate in the final, one a round, and how they compare with the default's."""

    candidate: Candidate
    level: float
    """The load of its runs."""
    trials: tuple[Trial, ...]
    ratio: Spread | None
    """Its requests/s by those of the default in the same round; None of the default itself."""
    cpu_ratio: Spread | None
    """The same of the server's processor time for a request; None where the system does not say."""

    @property
    def met(self) -> bool:
        """Whether more than half of the runs met every objective."""
        return sum(trial.met for trial in self.trials) > len(self.trials) / 2

    @property
    def limited(self) -> bool:
        """Whether the client may have been the limit in half of the runs or more."""
        return sum(trial.client_limit is not None for trial in self.trials) >= len(self.trials) / 2

    @property
    def rate(self) -> float:
        """The median of its requests/s."""
        return spread([trial.requests_per_second for trial in self.trials]).median


@dataclass(frozen=True)
class Outcome:
    """The final, the default first, and its winner; None where no candidate met the objectives."""

    finalists: tuple[Finalist, ...]
    winner: Finalist | None

    @property
    def default(self) -> Finalist:
        """What `lexport serve` does if it is told nothing."""
        return self.finalists[0]


def play(standings: Sequence[Standing], measure: Measure, budget: Budget, say: Say = silent) -> Outcome:
    """Let the finalists, the default first, run in turns until the budget is used up, and return who won."""
    ready = [one for one in standings if one.level is not None]
    say(f"final: {len(ready)} candidates in turns, runs of {budget.of_final:g} s")
    spent: list[float] = []  # after each round

    def has_time(rounds: int) -> bool:
        spent.append(measure.spent)
        if rounds < HURRIED:
            return True
        # Six rounds are played if they take no more than a quarter beyond the budget. The first starts the servers.
        longest = max(after - before for before, after in pairwise(spent[1:]))
        until = budget.seconds * (1.25 if rounds < ROUNDS else 1.0)
        return rounds < MOST and measure.spent + longest <= until

    trials = alternate(ready, measure, "final", budget.of_final, has_time)
    return outcome([(one.candidate, trials[one.candidate]) for one in ready])


def alternate(
    standings: Sequence[Standing], measure: Measure, stage: str, seconds: float, more: Callable[[int], bool]
) -> dict[Candidate, list[Trial]]:
    """Run candidates in turns while `more`, given the rounds so far, says so; return the trials of each by round.

    In each round each runs once, with the load of its standing; every second round runs backwards, from another
    beginning, so that none always follows the same neighbour.
    """
    trials: dict[Candidate, list[Trial]] = {one.candidate: [] for one in standings}
    rounds = 0
    while more(rounds):
        place = rounds % len(standings)
        order = [*standings[place:], *standings[:place]]
        for one in order[:: 1 if rounds % 2 == 0 else -1]:
            level = one.level
            assert level is not None
            trials[one.candidate].append(measure(Task(one.candidate, stage, rounds, level, seconds)))
        rounds += 1
    return trials


def outcome(played: Sequence[tuple[Candidate, Sequence[Trial]]]) -> Outcome:
    """Return the result of a final of these runs, the default's first, as many of each.

    The default wins unless another that met the objectives is surely better: the interval of the median ratio lies
    above 1. Where the client was the limit of both, requests/s compare clients, and the interval of the servers'
    processor time for a request must lie below 1. Among several the one with the highest median ratio wins. Where the
    default did not meet the objectives, the one that did with the most requests/s wins.
    """
    default = played[0][1]
    finalists = tuple(
        Finalist(
            candidate,
            trials[0].task.level,
            tuple(trials),
            ratio=ratio_of(trials, default) if trials is not default else None,
            cpu_ratio=_cpu_ratio(trials, default) if trials is not default else None,
        )
        for candidate, trials in played
    )
    able = [one for one in finalists if one.met]
    if not able:
        return Outcome(finalists, None)
    if not finalists[0].met:
        return Outcome(finalists, max(able, key=lambda one: one.rate))
    better = [one for one in able[1:] if is_better(one, finalists[0])]
    return Outcome(finalists, max(better, key=_merit, default=finalists[0]))


def is_better(one: Finalist, default: Finalist) -> bool:
    """Return whether a finalist is surely better than the default."""
    if one.ratio is not None and one.ratio.low > 1:
        return True
    return one.limited and default.limited and one.cpu_ratio is not None and one.cpu_ratio.high < 1


def _merit(one: Finalist) -> tuple[float, float]:
    """Return what the better ones are compared by: the ratio; among those that the client limited, processor time."""
    ratio = one.ratio.median if one.ratio else 1.0
    cost = one.cpu_ratio.median if one.cpu_ratio else 1.0
    return (round(ratio, 1), -cost) if one.limited else (ratio, 0.0)


def ratio_of(trials: Sequence[Trial], default: Sequence[Trial]) -> Spread:
    """Return the median ratio of the requests/s, round by round, with its interval."""
    # A default that answered nothing is not to divide by nothing.
    return spread(
        [
            one.requests_per_second / max(other.requests_per_second, 1e-9)
            for one, other in zip(trials, default, strict=True)
        ]
    )


def _cpu_ratio(trials: Sequence[Trial], default: Sequence[Trial]) -> Spread | None:
    pairs = [(one.cpu_of_request, other.cpu_of_request) for one, other in zip(trials, default, strict=True)]
    ratios = [own / its for own, its in pairs if own is not None and its]
    return spread(ratios) if len(ratios) == len(pairs) else None
