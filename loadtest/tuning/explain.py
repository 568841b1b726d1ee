"""What a search found, in sentences: why the winner won, what each of its settings changed, and what it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ...export.evidence.load_results import load_in_words
from ..measuring.figures import CERTAIN, spread
from ..objectives import Objective
from ..planning.capacity import machines_for, served_by, stated
from ..results import workers_in_words
from .final import Finalist, Outcome
from .ladder import best_of
from .space import SETTINGS, Candidate
from .trials import Trial

_SAME = 0.05  # a difference of short runs that may be noise


@dataclass(frozen=True)
class Effect:
    """What one setting of the winner changed, by runs that differ from the winner's in it alone."""

    setting: str
    """Its name for people."""
    value: str
    """The winner's."""
    instead_of: str
    """The other candidate's."""
    ratio: float
    """The winner's requests/s by the other's."""
    words: str
    """All of it in a sentence."""


def effects(winner: Candidate, trials: Sequence[Trial], default: Candidate) -> tuple[Effect, ...]:
    """Return what each setting of the winner changed, where a run differs from its own in that setting alone.

    Of several, the one with the default's value is taken, and the stage and load with most runs of both; there
    requests/s count whatever the objectives are. Without a common load, the best of each within the objectives count.
    """
    found = []
    for setting, name in SETTINGS.items():
        others = {one.task.candidate for one in trials if one.task.candidate.differences(winner) == [setting]}
        chosen = sorted(others, key=lambda one: (getattr(one, setting) != getattr(default, setting), str(one)))
        for other in chosen[:1]:
            pair = _pair(winner, other, trials)
            if pair is not None:
                found.append(_effect(setting, name, pair))
    return tuple(found)


def why_it_won(outcome: Outcome) -> str:
    """Return why the winner is the winner, in sentences."""
    winner, default = outcome.winner, outcome.default
    assert winner is not None
    rounds = len(winner.trials)
    if winner is default:
        return (
            f"The defaults stay: in {rounds} rounds no other candidate was surely better within the objectives. "
            f"{_interval_in_words(rounds)}"
        )
    if not default.met:
        missed = next((trial.missed[0] for trial in default.trials if trial.missed), "no answer")
        return (
            f"The defaults missed the objectives in most of {rounds} rounds ({missed}); of those that met them, this "
            "candidate served most."
        )
    assert winner.ratio is not None
    ratio = winner.ratio
    if ratio.low > 1:
        least = "at least " if winner.limited else ""
        words = (
            f"{least}{ratio.median:.2f} times the requests/s of the defaults in {rounds} rounds "
            f"({ratio.confidence * 100:.3g}% interval {ratio.low:.2f} to {ratio.high:.2f})."
        )
        limit = " The client was the limit, so its requests/s are a lower bound." if winner.limited else ""
        return f"{words[0].upper()}{words[1:]}{limit} {_interval_in_words(rounds)}"
    assert winner.cpu_ratio is not None
    cost = winner.cpu_ratio
    return (
        f"The client was the limit of both, so requests/s compare clients, not servers. A request takes "
        f"{cost.median:.2f} times the processor time that it takes with the defaults "
        f"({cost.confidence * 100:.3g}% interval {cost.low:.2f} to {cost.high:.2f})."
    )


def capacity_of(
    winner: Finalist, arrivals: str, objectives: Sequence[Objective], need: float | None
) -> tuple[str, int | None]:
    """Return what the winner serves, in sentences, and the machines for `need`; None if the client limited it."""
    if winner.limited:
        return (
            "No capacity is stated: the client was the limit of the winner's runs, so "
            f"{winner.rate:,.0f} requests/s are a lower bound. More processes of Locust, or a client on another "
            "machine, may find it.",
            None,
        )
    candidate, rounds = winner.candidate, len(winner.trials)
    rates = [trial.requests_per_second for trial in winner.trials if trial.met]
    who = served_by(workers_in_words(candidate.engine, candidate.worker_set))
    words = stated(who, load_in_words(arrivals, winner.level), objectives, rates, need)
    if len(rates) < rounds:
        words += f" Rounds that missed the objectives are not in these figures: {rounds - len(rates)} of {rounds}."
    return words, None if need is None else machines_for(need, spread(rates).low)


def _interval_in_words(rounds: int) -> str:
    """Return what the interval rests on."""
    words = "The interval is that of the median of the rounds' ratios, by the sign test"
    return f"{words}; {CERTAIN} rounds are the fewest for 95 %." if rounds < CERTAIN else f"{words}."


@dataclass(frozen=True)
class _Pair:
    """Runs of the winner and of another candidate, by turns: those of one stage and load, or the best of each."""

    own: tuple[Trial, ...]
    its: tuple[Trial, ...]

    @property
    def ratio(self) -> float:
        """The median of the ratios of the requests/s."""
        return median(a.requests_per_second / b.requests_per_second for a, b in zip(self.own, self.its, strict=True))


def _pair(winner: Candidate, other: Candidate, trials: Sequence[Trial]) -> _Pair | None:
    """Return the runs to compare: of the stage and load with most of both, the longest; else the best of each."""
    ran = [one for one in trials if one.requests_per_second]
    own = {_when(one): one for one in ran if one.task.candidate == winner}
    its = {_when(one): one for one in ran if one.task.candidate == other}
    stages: dict[tuple[float, str, float], list[tuple[Trial, Trial]]] = {}
    for stage, level, seconds, turn in own.keys() & its.keys():
        when = (stage, level, seconds, turn)
        stages.setdefault((seconds, stage, level), []).append((own[when], its[when]))
    if stages:
        most = max(stages, key=lambda stage: (len(stages[stage]), stage))
        pairs = sorted(stages[most], key=lambda pair: pair[0].task.turn)
        return _Pair(tuple(one for one, _ in pairs), tuple(one for _, one in pairs))
    best, least = best_of(list(own.values())), best_of(list(its.values()))
    return _Pair((best,), (least,)) if best and least else None


def _when(trial: Trial) -> tuple[str, float, float, int]:
    task = trial.task
    return task.stage, task.level, task.seconds, task.turn


def _effect(setting: str, name: str, pair: _Pair) -> Effect:
    one, two = pair.own[0], pair.its[0]
    value, other = (_value(setting, trial.task.candidate) for trial in (one, two))
    rates = " to ".join(_rate(runs) for runs in (pair.own, pair.its))
    latencies = " to ".join(_ms(median(trial.p99_ms or 0.0 for trial in runs)) for runs in (pair.own, pair.its))
    where = (
        f"with a load of {one.task.level:g}"
        if one.task.level == two.task.level
        else f"with loads of {one.task.level:g} and {two.task.level:g}"
    )
    if all(any(trial.client_limit for trial in runs) for runs in (pair.own, pair.its)):
        said = "the client was the limit of both"
    elif abs(pair.ratio - 1) <= _SAME:
        said = "no difference that runs of this length show"
    else:
        said = f"{pair.ratio:.2f} times the requests/s"
    runs = f"{len(pair.own)} run{'s' * (len(pair.own) > 1)} of {one.task.seconds:g} s"
    words = f"{name} {value} instead of {other}: {said} ({rates} requests/s, p99 {latencies}, {where}, {runs})"
    return Effect(name, value, other, pair.ratio, words)


def _rate(runs: Sequence[Trial]) -> str:
    limited = any(trial.client_limit for trial in runs)
    return f"{'≥ ' if limited else ''}{median(trial.requests_per_second for trial in runs):,.0f}"


def _value(setting: str, candidate: Candidate) -> str:
    value = getattr(candidate, setting)
    if setting == "threads" and value is None:
        return "divided"
    return f"{value} ms" if setting == "batch_delay" else str(value)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"
