"""Leave out of training what a warning names: suspicious labels, and held-out texts that are in training too."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from ...data.dataset import Dataset
from ...data.splits import Splits
from ...errors import InputError
from ...handlers.text.encoder import TextEncoder
from .label_noise import suspicious_rows
from .leakage import cross_split_duplicates
from .tokenized import TokenizedSplits

KINDS = ("doubted", "shared")


def check_kinds(kinds: Collection[str]) -> None:
    """Raise InputError for an unknown kind."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise InputError(
            f"--leave-out {unknown[0]} is not known; choose one of: {', '.join(KINDS)}.", code="LX-EVAL-006"
        )


def leave_out(
    kinds: Collection[str], encoder: TextEncoder, labels: Sequence[str], parts: Splits, tokens: TokenizedSplits
) -> tuple[Splits, TokenizedSplits, dict[str, int]]:
    """Return `parts` and their `tokens` without the rows of `kinds`, and the number of rows of each kind.

    "doubted": training and validation texts whose label looks swapped; test texts stay.
    "shared": validation and test texts that are the same as a training text for the model. Raises InputError if a
    part would have no texts left.
    """
    counts = {}
    train, validation, test = parts.train, parts.validation, parts.test
    out: list[set[int]] = [set(), set(), set()]
    if "doubted" in kinds:
        two = (train, validation), (tokens.train, tokens.validation)
        suspicious = suspicious_rows(encoder.spec, labels, *two)
        counts["doubted"] = sum(map(len, suspicious))
        out[0] |= set(suspicious[0])
        out[1] |= set(suspicious[1])
    if "shared" in kinds:
        for place, part, own in ((1, validation, tokens.validation), (2, test, tokens.test)):
            shared = {row for row, _ in cross_split_duplicates(encoder, train, tokens.train, part, own)}
            counts["shared"] = counts.get("shared", 0) + len(shared)
            out[place] |= shared
    every = (train, validation, test)
    kept = [[row for row in range(len(part)) if row not in rows] for part, rows in zip(every, out, strict=True)]
    left = [_take(part, rows) for part, rows in zip(every, kept, strict=True)]
    return Splits(*left), tokens.take(*(np.array(rows, np.int64) for rows in kept)), counts


def _take(part: Dataset, rows: list[int]) -> Dataset:
    if not rows:
        raise InputError(
            f"{part.name}: all {len(part):,} of its texts would be left out. Add texts, or do not use --leave-out.",
            code="LX-EVAL-007",
        )
    return dataclasses.replace(part.take(rows, part.name), dropped=part.dropped) if len(rows) < len(part) else part
