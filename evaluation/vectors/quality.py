"""How well vectors agree with what people said of words, and how many neighbours fewer bits keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...storage.progress import Progress, silent
from .sets import ANALOGIES, Analogy, Pair, analogies, pairs
from .table import WordTable

KEPT_OF = 10
"""The number of neighbours that are compared."""


@dataclass(frozen=True)
class Judged:
    """One set in one precision."""

    name: str
    """Of the set."""
    precision: str
    """Of the table."""
    value: float | None
    """Spearman's rank correlation, or of analogies the share that is right; None if nothing could be judged."""
    judged: int
    """Pairs or analogies whose words all have a vector."""
    asked: int
    """All of the set."""
    groups: dict[str, float] = field(default_factory=dict)
    """Of analogies, the share that is right in each group."""


@dataclass(frozen=True)
class Kept:
    """How many of a word's nearest ten are the same in another precision, on average."""

    precision: str
    kept: float
    """0 to 10."""
    words: int
    """Of how many words the neighbours were compared, spread evenly over the table."""
    among: int
    """The words that could be neighbours."""


def judge_pairs(table: WordTable, name: str, given: Sequence[Pair] | None = None) -> Judged:
    """Return Spearman's correlation of cosines with people's scores on a set of pairs. Raises as `sets.pairs`."""
    known = []
    every = pairs(name) if given is None else given
    for pair in every:
        places = _places(table, (pair.first, pair.second))
        if places is not None:
            known.append((*places, pair.score))
    value = None
    if len(known) > 1:
        firsts, seconds = (np.array([row[at] for row in known], np.int64) for at in (0, 1))
        cosines = np.einsum("ij,ij->i", table.nearest.units(firsts), table.nearest.units(seconds))
        value = spearman(cosines.astype(np.float64), np.array([row[2] for row in known]))
    return Judged(name, table.rows.precision, value, len(known), len(every))


def judge_analogies(
    table: WordTable, given: Sequence[Analogy] | None = None, *, progress: Progress = silent
) -> Judged:
    """Return the share of analogies whose fourth word is the nearest one to second - first + third.

    The three words that were asked with are left out. Raises as `sets.analogies`.
    """
    every = analogies() if given is None else given
    known = []
    for one in every:
        places = _places(table, (one.first, one.second, one.third, one.fourth))
        if places is not None:
            known.append((*places, one.group))
    if not known:
        return Judged(ANALOGIES, table.rows.precision, None, 0, len(every))
    first, second, third, fourth = (np.array([row[at] for row in known], np.int64) for at in range(4))
    units = table.nearest.units
    asked = units(second) - units(first) + units(third)
    usable = np.linalg.norm(asked, axis=1) > 1e-6
    asked[~usable] = 1  # any direction: it is counted as wrong
    without = list(np.stack([first, second, third], axis=1))
    found = table.nearest.find(asked, 1, without, progress=progress)
    right = usable & np.array(
        [len(rows) > 0 and rows[0] == place for (rows, _), place in zip(found, fourth.tolist(), strict=True)]
    )
    names = np.array([row[4] for row in known])
    groups = {str(name): float(right[names == name].mean()) for name in dict.fromkeys(names.tolist())}
    return Judged(ANALOGIES, table.rows.precision, float(right.mean()), len(known), len(every), groups)


def _places(table: WordTable, words: Sequence[str]) -> list[int] | None:
    """Return the rows of words, None unless each has a direction. Sets have capitals: a table may lack them."""
    found = []
    for word in words:
        place = table.place(word)
        if place is None:
            place = table.place(word.lower())
        if place is None or np.isnan(table.nearest.inverse[place]):
            return None
        found.append(place)
    return found


def kept_neighbours(
    table: WordTable, others: Sequence[WordTable], sample: int = 1000, *, progress: Progress = silent
) -> list[Kept]:
    """Return how many of ten neighbours each of `others`, the same words in another precision, has too.

    Asked are at most `sample` words, spread evenly over those that have a direction; nothing is returned if these are
    not more than eleven, of which each is a neighbour of any other.
    """
    usable = table.usable()
    if not others or len(usable) <= KEPT_OF + 1:
        return []
    asked = usable[np.linspace(0, len(usable) - 1, min(sample, len(usable))).astype(np.int64)]
    without = [asked[at : at + 1] for at in range(len(asked))]
    own, *found = (
        of.nearest.find(of.nearest.units(asked), KEPT_OF, without, progress=progress) for of in (table, *others)
    )
    kept = []
    for other, theirs in zip(others, found, strict=True):
        shared = [len(np.intersect1d(one[0], two[0])) for one, two in zip(own, theirs, strict=True)]
        kept.append(Kept(other.rows.precision, float(np.mean(shared)), len(asked), len(usable)))
    return kept


def spearman(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float | None:
    """Return the rank correlation of two series of n values each, equal values at their mean rank.

    None if one of them has the same value everywhere.
    """
    ranks = np.stack([_ranks(first), _ranks(second)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(ranks, axis=1)
    return float(ranks[0] @ ranks[1] / lengths.prod()) if lengths.all() else None


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: npt.NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse]
    return found
