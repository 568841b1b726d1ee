"""Train, validation and test, told apart by a hash of the text.

A text's place depends on its own characters alone: not on a seed, the order of rows, or what else the file
holds. So a row added tomorrow moves no other row, a model trained today was never trained on tomorrow's test
texts, and five seeds are compared on the same test.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..errors import InputError
from .data import Dataset, digest
from .openers import listed


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset, about 80, 10 and 10 % of its texts, each in the dataset's order."""

    train: Dataset
    validation: Dataset
    test: Dataset


def part_of(text: str) -> str:
    """The part a text belongs to: "train", "validation" or "test".

    The first 8 bytes of SHA-256 over its UTF-8, as a big-endian number, modulo 10: 8 is validation, 9 test.
    """
    remainder = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10
    return {8: "validation", 9: "test"}.get(remainder, "train")


def split(dataset: Dataset) -> Splits:
    """Divide `dataset` by `part_of` its texts.

    Raises InputError if a part would be empty or a label would not occur in train.
    """
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    for text, label in zip(dataset.texts, dataset.labels, strict=True):
        rows[part_of(text)].append((text, label))
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in rows.items())
    if not all(rows.values()):
        raise InputError(
            f"{dataset.name}: {len(dataset):,} texts are too few to split ({sizes}); every part needs at "
            "least one. Add rows; a hundred are nearly always enough."
        )
    untrained = sorted(set(dataset.labels) - {label for _, label in rows["train"]})
    if untrained:
        raise InputError(
            f"{dataset.name}: of {len(dataset.classes):,} labels {len(untrained):,} would have no text to train "
            f"on ({listed(untrained)}; the split is {sizes}). Add rows, ten a label are nearly always enough, "
            "or remove these labels."
        )
    return Splits(**{name: _part(dataset, name, part) for name, part in rows.items()})


def _part(dataset: Dataset, name: str, rows: list[tuple[str, str]]) -> Dataset:
    texts = [text for text, _ in rows]
    labels = [label for _, label in rows]
    return Dataset(texts, labels, f"{dataset.name}:{name}", digest(texts, labels))
