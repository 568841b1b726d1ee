"""How far counts of texts have moved from those of the held-out texts: two distances, and what chance alone gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..handlers.model.distributions import CONFIDENCES, LENGTHS, SUMS

CHANGED, SHIFTED = 0.1, 0.25
"""Population stability indices from which on a distribution has changed a little, and a lot.

They are the usual ones: N. Siddiqi, Credit Risk Scorecards, Wiley 2006, takes an index below 0.10 for no
significant change, one from 0.10 to 0.25 for a small one to be looked into, and a higher one for a shift.
"""
# Added to every count, so that an empty bucket has no share of 0, of which there is no logarithm.
_SMOOTHING = 0.5
# The standard normal's quantile of 0.999.
_SURE = 3.0902


@dataclass(frozen=True)
class Texts:
    """How texts are distributed, as `Distributions.to_json` has it."""

    sums: Mapping[str, int]
    """SUMS by name."""
    lengths: list[int]
    """Texts by bucket of LENGTHS."""
    confidence: list[int]
    """Texts by bucket of CONFIDENCES; none for a model whose answers have no scores."""
    labels: Mapping[str, int]
    """Texts by predicted label, as `distributions.quoted` writes it."""

    @property
    def count(self) -> int:
        """How many texts there are."""
        return self.sums["texts"]

    @property
    def unknown_share(self) -> float:
        """Unknown tokens among all tokens; 0 without any."""
        return self.sums["unknown_tokens"] / self.sums["tokens"] if self.sums["tokens"] else 0.0


def texts_of(variant: Any) -> Texts | None:
    """Return how the held-out texts are distributed by the evidence of a variant; None if it does not say."""
    try:
        found = variant["reference"]
        texts = Texts(
            {name: int(found[name]) for name in SUMS},
            list(map(int, found["lengths"])),
            list(map(int, found.get("confidence", ()))),
            {str(label): int(count) for label, count in found.get("labels", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    # Another lexport may have other buckets.
    fits = len(texts.lengths) == len(LENGTHS) + 1 and len(texts.confidence) in (0, len(CONFIDENCES) + 1)
    return texts if fits and texts.count else None


@dataclass(frozen=True)
class Limits:
    """From where on requests have drifted."""

    unknown: float | None = None
    """The largest share of unknown tokens; None for twice that of the held-out texts, at least 2 %."""
    lengths: float = SHIFTED
    """The largest stability index of the lengths of texts."""
    labels: float = SHIFTED
    """The largest stability index of the predicted labels."""
    confidence: float = SHIFTED
    """The largest stability index of the highest scores."""
    least: int = 100
    """With fewer texts than this nothing is judged."""

    def check(self) -> None:
        """Raise InputError for a limit that cannot be."""
        for name, value in asdict(self).items():
            if value is not None and not (0 <= value <= 1 if name == "unknown" else 0 <= value < float("inf")):
                expected = "a share from 0 to 1" if name == "unknown" else "0 or more"
                raise InputError(f"The limit {name} is {value}; expected {expected}.", code="LX-SERVE-214")


@dataclass(frozen=True)
class Measure:
    """One thing that is compared."""

    name: str
    """`unknown`, `lengths`, `labels` or `confidence`."""
    reference: float | None
    """Of the held-out texts: the share of unknown tokens, the mean length in tokens; else None."""
    found: float | None
    """The same of the requests."""
    index: float | None
    """The population stability index; None for `unknown`, which is compared as it is."""
    variation: float | None
    """The total variation distance, 0 to 1; None for `unknown`."""
    by_chance: float | None
    """What the index stays below by chance alone, 999 times in 1,000; None for `unknown`."""
    limit: float
    """The largest `found`, or index."""
    beyond: bool
    """Whether it is beyond the limit and not by chance."""


def compare(reference: Texts, now: Texts, limits: Limits) -> list[Measure]:
    """Return what has moved from `reference` to `now`, and whether beyond `limits`; both have texts."""
    usual, share = reference.unknown_share, now.unknown_share
    most = most_unknown(usual) if limits.unknown is None else limits.unknown
    found = [Measure("unknown", usual, share, None, None, None, most, share > most)]
    means = [texts.sums["tokens"] / texts.count for texts in (reference, now)]
    found.append(_shift("lengths", reference.lengths, now.lengths, limits.lengths, *means))
    if reference.confidence:
        labels = aligned(reference.labels, now.labels)
        found.append(_shift("labels", *labels, limits.labels))
        found.append(_shift("confidence", reference.confidence, now.confidence, limits.confidence))
    return found


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


def _shift(
    name: str,
    reference: list[int],
    now: list[int],
    limit: float,
    usual: float | None = None,
    found: float | None = None,
) -> Measure:
    index = stability_index(reference, now)
    chance = index_by_chance(reference, now)
    variation = total_variation(reference, now)
    return Measure(name, usual, found, index, variation, chance, limit, index > max(limit, chance))
