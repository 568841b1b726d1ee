"""The ways to choose a part for each row; `splits.py` says which one applies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..storage.compression import shown

Shares = tuple[int, int, int]
"""Percent for train, validation and test."""
Hashes = npt.NDArray[np.uint64]


def parts_at(values: Hashes, shares: Shares, given: Collection[str] = ()) -> list[str]:
    """Return the part of each hash in `values`; the share of a part in `given` belongs to train.

    The last decimal digit decides, then the one before it: with 80/10/10 values that end in 8 are validation, those
    that end in 9 test.
    """
    places = values % np.uint64(10) * np.uint64(10) + values // np.uint64(10) % np.uint64(10)
    names = ["train" if part in given else part for part in ("train", "validation", "test")]
    ends = np.array([shares[0], shares[0] + shares[1]], np.uint64)
    return [names[part] for part in np.searchsorted(ends, places, side="right").tolist()]


def keep_labels(
    parts: Sequence[str], units: Hashes, labels: Sequence[tuple[str, ...]]
) -> tuple[list[str], list[str]]:
    """Return `parts` in which every label occurs in train, and the labels for which rows were moved there.

    `units` has a number for each row; rows with the same number stay together. Of a label without training rows the
    unit with the lowest number moves.
    """
    found = list(parts)
    trained = {label for part, own in zip(found, labels, strict=True) if part == "train" for label in own}
    if all(label in trained for own in labels for label in own):
        return found, []
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for row, unit in enumerate(units.tolist()):
        rows[unit].append(row)
    moved = []
    # Units in order: the first with a label that is not trained moves, and all of its labels with it.
    for unit in sorted(rows):
        missing = [label for row in rows[unit] for label in labels[row] if label not in trained]
        if missing:
            for row in rows[unit]:
                found[row] = "train"
                trained.update(labels[row])
            moved += list(dict.fromkeys(missing))
    return found, moved


def fill_empty(
    parts: Sequence[str],
    units: Hashes,
    labels: Sequence[tuple[str, ...]],
    shares: Shares,
    given: Collection[str] = (),
) -> list[str]:
    """Return `parts` with a unit in each held-out part that has a share and no row, where few rows left it empty.

    The unit with the highest number moves there from train, unless a label would lose its last training row.
    """
    found = list(parts)
    for part, share in zip(("validation", "test"), shares[1:], strict=True):
        if share and part not in given and part not in found:
            rows: defaultdict[int, list[int]] = defaultdict(list)
            trained: defaultdict[str, set[int]] = defaultdict(set)
            for row, unit in enumerate(units.tolist()):
                if found[row] == "train":
                    rows[unit].append(row)
                    for label in labels[row]:
                        trained[label].add(unit)
            for unit in sorted(rows, reverse=True)[: len(rows) - 1]:
                if all(len(trained[label]) > 1 for row in rows[unit] for label in labels[row]):
                    for row in rows[unit]:
                        found[row] = part
                    break
    return found


def stratified(labels: Sequence[str], hashes: Hashes, shares: Shares, given: Collection[str] = ()) -> list[str]:
    """Return parts in which each label has the same shares, as far as whole texts allow; each keeps one in train.

    Of each label the texts with the lowest hashes are tested, so that the order of rows has no influence. What one
    label's rounding leaves over goes to the next, so that the shares of all texts together are met.
    """
    parts = ["train"] * len(labels)
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    order = hashes.tolist()
    held = {
        part: share for part, share in (("test", shares[2]), ("validation", shares[1])) if share and part not in given
    }
    owed = dict.fromkeys(held, 0.0)
    for label in sorted(rows):
        own = sorted(rows[label], key=order.__getitem__)
        free = len(own) - 1
        for part, share in held.items():
            owed[part] += len(rows[label]) * share / 100
            count = min(max(round(owed[part]), 0), free)
            owed[part] -= count
            for row in own[:count]:
                parts[row] = part
            own, free = own[count:], free - count
    return parts


def by_time(times: Sequence[float], shares: Shares, given: Collection[str] = ()) -> list[str]:
    """Return parts in the order of time: train is the oldest, test the newest; equal times stay in one part."""
    order = sorted(range(len(times)), key=times.__getitem__)
    parts = ["train"] * len(times)
    held = [share if part not in given else 0 for part, share in zip(("validation", "test"), shares[1:], strict=True)]
    ends = [round(len(order) * (100 - sum(held)) / 100), round(len(order) * (100 - held[1]) / 100)]
    part = "train"
    for place, row in enumerate(order):
        if not place or times[row] != times[order[place - 1]]:
            part = "train" if place < ends[0] else "validation" if place < ends[1] else "test"
        parts[row] = part
    return parts


def times(values: Sequence[str], name: str) -> list[float]:
    """Return the cells of a column of times as numbers: numbers as they are, else ISO 8601 dates in seconds.

    A time without zone is read as UTC. Raises InputError for others.
    """
    try:
        return [float(value) for value in values]
    except ValueError:
        pass
    found = []
    for value in values:
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            raise InputError(
                f"{name}: the time {shown(value)} is neither a number nor a date in ISO 8601, such as 2026-01-31 or "
                "2026-01-31T12:00:00. Convert the column.",
                code="LX-DATA-083",
            ) from None
        found.append((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    return found
