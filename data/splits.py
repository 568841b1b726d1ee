"""Split data into train, validation and test by a hash of the text.

The part of a text depends only on its characters: not on a seed, the order of rows, or other rows. So a new row moves
no other row, a model trained today was not trained on tomorrow's test texts, and runs with different seeds have the
same test set. For texts with images the image decides, because one image often has several texts. A sample set may
define the parts itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

from ..errors import InputError
from ..storage.compression import listed
from .dataset import Dataset

_PARTS = ("train", "validation", "test")


LabelSets = Callable[[Dataset], list[tuple[str, ...]]]


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset, about 80, 10 and 10 % of its texts, each in the dataset's order."""

    train: Dataset
    validation: Dataset
    test: Dataset


def part_of(text: str) -> str:
    """Return the part a text belongs to: "train", "validation" or "test".

    The first 8 bytes of SHA-256 over its UTF-8, as a big-endian number, modulo 10: 8 is validation, 9 test.
    """
    return _part_of(text.encode())


def _part_of(content: bytes) -> str:
    remainder = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") % 10
    return {8: "validation", 9: "test"}.get(remainder, "train")


def parts_of(dataset: Dataset) -> list[str]:
    """Return the part of each row: that of the dataset, else by its image (float32 bytes), else by its text."""
    if dataset.parts is not None:
        return dataset.parts
    if dataset.images is not None:
        return [_part_of(image.astype("<f4").tobytes()) for image in dataset.images]
    return [part_of(text) for text in dataset.texts]


def _one_label(dataset: Dataset) -> list[tuple[str, ...]]:
    return [(label,) for label in dataset.labels]


def split(dataset: Dataset, label_sets: LabelSets | None = _one_label) -> Splits:
    """Divide `dataset` by `parts_of` its rows.

    `label_sets` returns the labels of each text; None if none are learned.
    Raises InputError if a part would be empty, or if a language or such a label would not occur in train.
    """
    rows: dict[str, list[int]] = {name: [] for name in _PARTS}
    for row, part in enumerate(parts_of(dataset)):
        rows[part].append(row)
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in rows.items())
    if not all(rows.values()):
        raise InputError(
            f"{dataset.name}: {len(dataset):,} texts are too few to split ({sizes}); every part needs at "
            f"least one. Add rows; a hundred different {'texts' if dataset.images is None else 'images'} are "
            "nearly always enough.",
            code="LX-DATA-029",
        )
    splits = Splits(**{name: dataset.take(part, f"{dataset.name}:{name}") for name, part in rows.items()})
    if label_sets is not None:
        every, trained = (chain.from_iterable(label_sets(part)) for part in (dataset, splits.train))
        _check_trained(dataset, "label", every, trained, sizes)
    _check_trained(dataset, "language", dataset.languages or (), splits.train.languages or (), sizes)
    return splits


def _check_trained(dataset: Dataset, what: str, every: Iterable[str], trained: Iterable[str], sizes: str) -> None:
    known = set(every)
    untrained = sorted(known - set(trained))
    if untrained:
        raise InputError(
            f"{dataset.name}: of {len(known):,} {what}s {len(untrained):,} would have no training "
            f"text ({listed(untrained)}; the split is {sizes}). Add rows, ten a {what} are nearly always enough, "
            f"or remove these {what}s.",
            code="LX-DATA-030",
        )
