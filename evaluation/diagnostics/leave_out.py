"""Leaving out of a training what a warning names: doubted labels, and held-out texts that training has too."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from ...data.dataset import Dataset
from ...data.splits import Splits
from ...errors import InputError
from ...handlers.text.encoder import TextEncoder
from .label_noise import doubted_rows
from .leakage import twins
from .warnings import TokenizedSplits

KINDS = ("doubted", "shared")


def check_kinds(kinds: Collection[str]) -> None:
    """Raise InputError for what nothing can be left out by."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise InputError(f"--leave-out {unknown[0]} is not known; there are: {', '.join(KINDS)}.")


def leave_out(
    kinds: Collection[str], encoder: TextEncoder, labels: Sequence[str], parts: Splits, tokens: TokenizedSplits
) -> tuple[Splits, dict[str, int]]:
    """`parts` without the rows of `kinds`, and how many of each that were.

    "doubted": training and validation texts whose label looks swapped; test texts stay, so that nothing flatters.
    "shared": validation and test texts that are to the model the same as a training text. Raises InputError where
    that would leave a part without texts.
    """
    counts = {}
    train, validation, test = parts.train, parts.validation, parts.test
    out: list[set[int]] = [set(), set(), set()]
    if "doubted" in kinds:
        two = (train, validation), (tokens.train, tokens.validation)
        doubted = doubted_rows(encoder.spec, labels, *two)
        counts["doubted"] = sum(map(len, doubted))
        out[0] |= set(doubted[0])
        out[1] |= set(doubted[1])
    if "shared" in kinds:
        for place, part, own in ((1, validation, tokens.validation), (2, test, tokens.test)):
            shared = {row for row, _ in twins(encoder, train, tokens.train, part, own)}
            counts["shared"] = counts.get("shared", 0) + len(shared)
            out[place] |= shared
    left = [_without(part, rows) for part, rows in zip((train, validation, test), out, strict=True)]
    return Splits(*left), counts


def _without(part: Dataset, rows: set[int]) -> Dataset:
    kept = [row for row in range(len(part)) if row not in rows]
    if not kept:
        raise InputError(
            f"{part.name}: all {len(part):,} of its texts would be left out, and none be left. Add texts, or do "
            "without --leave-out."
        )
    return dataclasses.replace(part.take(kept, part.name), dropped=part.dropped) if rows else part
