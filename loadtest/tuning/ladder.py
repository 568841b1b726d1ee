"""The most requests/s of one candidate within the objectives: which loads are tried, and in what order."""

from __future__ import annotations

from collections.abc import Sequence

from .trials import Run, Trial

USERS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""The loads of a closed loop, unless others are given."""
GAIN = 1.03
"""More users are tried as long as a step brings 3 % more requests/s."""
FAR = 1.5
"""A candidate whose requests/s are so many times below another's is not run with more users."""
NOISE = 1.1
"""How much a short run may be below what a longer one would find."""


def climb(levels: Sequence[float], first: float, run: Run, *, most: int, to_beat: float = 0.0) -> list[Trial]:
    """Run a candidate with some of `levels`, rising numbers, beginning with `first`; return the trials in order.

    Steps grow until a load that meets the objectives has one that does not above it; the rest is bisected. It ends
    after `most` runs, where a step up brings no more requests/s, and where the client is the limit. A candidate that
    misses with a load, and has fewer requests/s there than `to_beat`, is given up: with less load it has not more; so
    is one that meets the objectives with less than two thirds of `to_beat`.
    """
    found: dict[int, Trial] = {}
    place, step = levels.index(first), 1
    low, high = -1, len(levels)  # the highest that met, the lowest that missed
    while True:
        trial = found[place] = run(levels[place])
        if trial.problem:
            break
        if trial.met:
            low, below = place, _below(found, place)
            saturated = below is not None and trial.requests_per_second < GAIN * below.requests_per_second
            if saturated or trial.client_limit or trial.requests_per_second * FAR < to_beat:
                break
        else:
            high = place
            if trial.requests_per_second * NOISE < to_beat:
                break
        if high - low <= 1 or len(found) == most:
            break
        if low < 0:
            place = max(0, high - step)
        elif high == len(levels):
            place = min(high - 1, low + step)
        else:
            place = (low + high) // 2
        step *= 2
    return list(found.values())


def _below(found: dict[int, Trial], place: int) -> Trial | None:
    """Return the trial with the next lower load that met the objectives."""
    lower = [other for other, trial in found.items() if other < place and trial.met]
    return found[max(lower)] if lower else None


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that met the objectives with the most requests/s; None if none did."""
    return max((trial for trial in trials if trial.met), key=lambda one: one.requests_per_second, default=None)


def nearest_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that came nearest: the fewest failures, then the lowest p99; None of none that ran."""
    ran = [trial for trial in trials if not trial.problem]
    return min(ran, key=lambda one: (one.failure_share, one.p99_ms or float("inf")), default=None)


def working_level(trials: Sequence[Trial]) -> float | None:
    """Return the lowest load with which a candidate came within 3 % of its best, and met the objectives."""
    best = best_of(trials)
    if best is None:
        return None
    enough = best.requests_per_second / GAIN
    return min(trial.task.level for trial in trials if trial.met and trial.requests_per_second >= enough)
