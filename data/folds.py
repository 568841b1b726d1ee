"""Divide data into folds for cross-validation: each text is tested in one of them."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np

from ..errors import InputError
from . import split_methods as methods
from .dataset import Dataset
from .splits import LabelSets, SplitOptions, check_keys, hashes_of, keys_hashed, what_training_needs

NOWHERE = ""
"""The part of a row that a fold leaves out."""

# Times that are in no fold's test: one to train on and one for validation.
_OLDEST = 2


def fold_parts(
    dataset: Dataset, folds: int, options: SplitOptions, label_sets: LabelSets | None
) -> Iterator[list[str]]:
    """Yield, for each of `folds`, the part of every row: "train", "validation", "test" or NOWHERE.

    Texts are dealt to the folds by label and hash, so that each has the same share of every label and the order of
    rows has no influence; equal texts stay together. With "group" whole groups are dealt. With "time" a fold is
    tested on what follows its training texts, and what comes later is left out. Validation has its share of what is
    not tested. Every label keeps a training text, so that a label with one text is tested nowhere; with "time" texts
    of labels that training lacks are left out. Raises InputError for fewer than 2 folds and for more than there are
    texts, groups or times.
    """
    check_keys(dataset, options)
    needs = what_training_needs(dataset, label_sets)
    by_time = options.method == "time"
    if by_time:
        times = methods.times(dataset.keys or [], dataset.name)
        count = len(set(times)) - _OLDEST
    else:
        units = keys_hashed(dataset) if options.method == "group" else hashes_of(dataset)
        count = len(np.unique(units))
    if not 2 <= folds <= count:
        raise InputError(
            f"--cv {folds}: {dataset.name} can be divided into 2 to {count:,} folds; 5 or 10 are usual."
            if count >= 2
            else f"--cv {folds}: {dataset.name} has too few different texts, groups or times for folds. Add rows.",
            code="LX-DATA-093",
        )
    share = options.shares[1] / (options.shares[0] + options.shares[1])
    if by_time:
        yield from _following(times, folds, share, needs)
    else:
        strata: list[tuple[str, ...]] = [()] * len(needs) if options.method == "group" else needs
        yield from _dealt(units, strata, folds, share, needs)


def _dealt(
    units: methods.Hashes,
    strata: list[tuple[str, ...]],
    folds: int,
    share: float,
    needs: list[tuple[str, ...]],
) -> Iterator[list[str]]:
    first = dict(zip(units.tolist()[::-1], strata[::-1], strict=True))
    order = sorted(first, key=lambda unit: (first[unit], unit))
    for fold in range(folds):
        part_of = dict.fromkeys(order[fold::folds], "test")
        rest = [unit for unit in order if unit not in part_of]
        held = round(len(rest) * share)
        # Evenly spread over labels, of which the order has one after the other.
        part_of |= {rest[int((place + 0.5) * len(rest) / held)]: "validation" for place in range(held)}
        parts = [part_of.get(unit, "train") for unit in units.tolist()]
        yield methods.keep_labels(parts, units, needs)[0]


def _following(times: list[float], folds: int, share: float, needs: list[tuple[str, ...]]) -> Iterator[list[str]]:
    order = sorted(times)
    distinct = sorted(set(times))
    edges: list[float] = []
    for block in range(1, folds + 1):
        # Blocks of as many rows, as far as each has a time of its own.
        wanted = bisect.bisect_left(distinct, order[round(len(order) * block / (folds + 1))])
        least = bisect.bisect_right(distinct, edges[-1]) if edges else _OLDEST
        edges.append(distinct[min(max(wanted, least), len(distinct) - 1 - folds + block)])
    blocks = [bisect.bisect_right(edges, time) for time in times]
    for fold in range(1, folds + 1):
        before = sorted(time for time, block in zip(times, blocks, strict=True) if block < fold)
        cut = before[round(len(before) * (1 - share)) - 1]
        newest = min(cut, max(time for time in before if time < before[-1]))
        parts = [
            "test" if block == fold else NOWHERE if block > fold else "train" if time <= newest else "validation"
            for time, block in zip(times, blocks, strict=True)
        ]
        trained = {one for part, own in zip(parts, needs, strict=True) if part == "train" for one in own}
        yield [
            part if part == "train" or trained.issuperset(own) else NOWHERE
            for part, own in zip(parts, needs, strict=True)
        ]
