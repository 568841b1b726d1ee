"""What made the winner fast, from the measurements: for each setting, two candidates that differ in it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .final import LEAST, Outcome
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

    Of several, the one with the default's value is taken, and the longest runs at the same load; requests/s count
    whatever the objectives are if both runs had the same load, else those within the objectives.
    """
    found = []
    for setting, name in SETTINGS.items():
        others = {one.task.candidate for one in trials if one.task.candidate.differences(winner) == [setting]}
        # A batch of one, and the embedded engine, have no delay: the difference that comes with it is none.
        others |= {one.task.candidate for one in trials if _differs_only(one.task.candidate, winner, setting)}
        chosen = sorted(others, key=lambda one: (getattr(one, setting) != getattr(default, setting), str(one)))
        for other in chosen[:1]:
            pair = _pair(winner, other, trials)
            if pair is not None:
                found.append(_effect(setting, name, *pair))
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


def _interval_in_words(rounds: int) -> str:
    """Return what the interval rests on."""
    words = "The interval is that of the median of the rounds' ratios, by the sign test"
    return f"{words}; {LEAST} rounds are the fewest for 95 %." if rounds < LEAST else f"{words}."


def _differs_only(other: Candidate, winner: Candidate, setting: str) -> bool:
    """Return whether the delay differs too, but means nothing to one of both."""
    if setting not in ("engine", "batch_size") or sorted(other.differences(winner)) != sorted(
        [setting, "batch_delay"]
    ):
        return False
    return any(one.engine == "embedded" or one.batch_size == 1 for one in (other, winner))


def _pair(winner: Candidate, other: Candidate, trials: Sequence[Trial]) -> tuple[Trial, Trial] | None:
    """Return a trial of each to compare: the longest with the same load, else the best of each; None of none."""
    own = [one for one in trials if one.task.candidate == winner and one.requests_per_second]
    its = [one for one in trials if one.task.candidate == other and one.requests_per_second]
    same = [
        (one, two)
        for one in own
        for two in its
        if (one.task.level, one.task.seconds) == (two.task.level, two.task.seconds)
    ]
    if same:
        return max(same, key=lambda pair: (pair[0].task.seconds, pair[0].task.level))
    best, least = best_of(own), best_of(its)
    return (best, least) if best and least else None


def _effect(setting: str, name: str, own: Trial, its: Trial) -> Effect:
    ratio = own.requests_per_second / its.requests_per_second
    value, other = (_value(setting, one.task.candidate) for one in (own, its))
    figures = f"{own.bounded} to {its.bounded} requests/s, p99 {_ms(own.p99_ms)} to {_ms(its.p99_ms)}"
    where = (
        f"with a load of {own.task.level:g}"
        if own.task.level == its.task.level
        else f"with loads of {own.task.level:g} and {its.task.level:g}"
    )
    if own.client_limit and its.client_limit:
        said = "the client was the limit of both"
    elif abs(ratio - 1) <= _SAME:
        said = "no difference that runs of this length show"
    else:
        said = f"{ratio:.2f} times the requests/s"
    words = f"{name} {value} instead of {other}: {said} ({figures}, {where}, runs of {own.task.seconds:g} s)"
    return Effect(name, value, other, ratio, words)


def _value(setting: str, candidate: Candidate) -> str:
    value = getattr(candidate, setting)
    if setting == "threads" and value is None:
        return "divided"
    return f"{value} ms" if setting == "batch_delay" else str(value)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"
