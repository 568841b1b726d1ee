"""How far counts of texts have moved from those of the held-out texts: two distances, and what chance alone gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

CHANGED, SHIFTED = 0.1, 0.25
"""Population stability indices from which on a distribution has changed a little, and a lot.

They are the usual ones: N. Siddiqi, Credit Risk Scorecards, Wiley 2006, takes an index below 0.10 for no
significant change, one from 0.10 to 0.25 for a small one to be looked into, and a higher one for a shift.
"""
# Added to every count, so that an empty bucket has no share of 0, of which there is no logarithm.
_SMOOTHING = 0.5
# The standard normal's quantile of 0.999.
_SURE = 3.0902


def stability_index(reference: Sequence[int], found: Sequence[int]) -> float:
    """Return the population stability index of two histograms with the same buckets: 0 for the same shares.

    The sum of (q - p) · ln(q / p) over the buckets, p and q the shares of a bucket in either, after half a text was
    added to each of its counts.
    """
    shares = zip(_shares(reference, _SMOOTHING), _shares(found, _SMOOTHING), strict=True)
    return sum((q - p) * math.log(q / p) for p, q in shares)


def total_variation(reference: Sequence[int], found: Sequence[int]) -> float:
    """Return half the sum of the differences of shares: how many of the texts would have to change, 0 to 1."""
    shares = zip(_shares(reference), _shares(found), strict=True)
    return sum(abs(q - p) for p, q in shares) / 2


def index_by_chance(reference: Sequence[int], found: Sequence[int]) -> float:
    """Return what 999 in 1,000 stability indices stay below if both histograms are of the same kind of texts.

    Then the index is, about, a chi-square of B - 1 degrees times (1/n + 1/m), for B buckets and n and m texts
    (B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University 2018). Buckets
    that both leave empty do not count. The quantile is Wilson's and Hilferty's approximation (1931).
    """
    degrees = sum(1 for pair in zip(reference, found, strict=True) if any(pair)) - 1
    if degrees < 1:
        return 0.0
    part = 2 / (9 * degrees)
    quantile = degrees * (1 - part + _SURE * math.sqrt(part)) ** 3
    return quantile * (1 / sum(reference) + 1 / sum(found))


def aligned(reference: Mapping[str, int], found: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Return the counts of two histograms by name as lists of the same order; a name that one lacks has 0 there."""
    names = sorted({*reference, *found})
    return [reference.get(name, 0) for name in names], [found.get(name, 0) for name in names]


def most_unknown(share: float) -> float:
    """Return the share of unknown tokens that is still usual where it is `share` in held-out texts.

    Twice as many, but at least 2 %; where most are unknown already, half way to all of them.
    """
    return max(0.02, min(2 * share, (1 + share) / 2))


def _shares(counts: Sequence[int], more: float = 0.0) -> list[float]:
    """Return the share of each count after `more` was added to it; the counts have a sum above 0."""
    total = sum(counts) + more * len(counts)
    return [(count + more) / total for count in counts]
