"""The Mann–Whitney U test, exact and one-sided, for a few values on each side.

Mann, Whitney: "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other" (1947). It
asks nothing of how the values are distributed. Equal values get their mean rank, and the chance is taken over all
ways to deal out the ranks, so it is exact with them too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ALPHA = 0.01
"""The chance at most by which one comparison finds a difference where there is none."""


def chance_larger(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the chance of ranks of `after` as high as these, or higher, if both came of one distribution.

    Both need a value at least, and together at most some hundred. Raises ValueError for none.
    """
    if not before or not after:
        raise ValueError("both sides need values")
    ranks = _doubled_ranks([*before, *after])
    found = sum(ranks[len(before) :])
    ways = _sums(ranks, len(after))
    return sum(count for total, count in ways.items() if total >= found) / math.comb(len(ranks), len(after))


def least_chance(before: int, after: int) -> float:
    """Return the smallest chance that so many values on each side can have: that all on one side are larger."""
    return 1 / math.comb(before + after, after)


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each value, in their order, so that the mean ranks of equal ones are whole."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    last = {value: place for place, value in enumerate(ordered)}
    return [first[value] + last[value] + 2 for value in values]


def _sums(ranks: Sequence[int], chosen: int) -> dict[int, int]:
    """Return in how many ways `chosen` of the ranks have each sum."""
    ways: list[dict[int, int]] = [{0: 1}, *({} for _ in range(chosen))]
    for rank in ranks:
        for size in range(chosen, 0, -1):
            for total, count in ways[size - 1].items():
                ways[size][total + rank] = ways[size].get(total + rank, 0) + count
    return ways[chosen]
