"""Split data into train, validation and test: by a hash, by label, by group, by time, or as the data say.

By default the part of a text depends only on its characters: not on a seed, the order of rows, or other rows. So a
new row moves no other row, a model trained today was not trained on tomorrow's test texts, and runs with different
seeds have the same test set. For texts with images the image decides, because one image often has several texts. The
one exception: a label whose texts would all be held out keeps one in training.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..storage.compression import listed
from . import split_methods as methods
from .dataset import Dataset

PARTS = ("train", "validation", "test")
METHODS = ("hash", "stratified", "group", "time")

LabelSets = Callable[[Dataset], list[tuple[str, ...]]]


@dataclass(frozen=True)
class SplitOptions:
    """How to split data that do not say it themselves."""

    method: str = "hash"
    """One of METHODS: each text by its hash, the same shares of every label, whole groups, or the newest held out."""
    column: str | None = None
    """The column of the groups, or of the times."""
    shares: tuple[int, int, int] = (80, 10, 10)
    """Percent of the texts for train, validation and test."""

    @classmethod
    def parse(cls, split: str = "hash", shares: str | Sequence[int] = "80/10/10") -> SplitOptions:
        """Read `split`, as --split takes it, and `shares`: "80/10/10" or three numbers.

        Raises InputError for any other.
        """
        method, colon, column = split.partition(":")
        if method not in METHODS or bool(column) != (method in ("group", "time")) or (colon and not column):
            raise InputError(
                f"--split {split!r} is not known; expected hash, stratified, group:COLUMN or time:COLUMN.",
                code="LX-DATA-081",
            )
        try:
            numbers = [int(share) for share in (shares.split("/") if isinstance(shares, str) else shares)]
        except ValueError:
            numbers = []
        if len(numbers) != 3 or sum(numbers) != 100 or min(numbers) < 0 or not numbers[0]:
            given = shares if isinstance(shares, str) else "/".join(map(str, shares))
            raise InputError(
                f"--shares {given} are not three whole percentages that make 100, the first above 0; expected "
                "those of train, validation and test, such as 80/10/10.",
                code="LX-DATA-082",
            )
        return cls(method, column or None, (numbers[0], numbers[1], numbers[2]))

    def __str__(self) -> str:
        """Return the options as a person reads them."""
        by = f"{self.method}:{self.column}" if self.column else self.method
        return f"{by} {'/'.join(map(str, self.shares))}"


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset, each in the dataset's order."""

    train: Dataset
    validation: Dataset
    test: Dataset


def part_of(text: str) -> str:
    """Return the part that the default split gives to a text: "train", "validation" or "test".

    The first 8 bytes of SHA-256 over its UTF-8, as a big-endian number, modulo 10: 8 is validation, 9 test.
    """
    return methods.parts_at(_hashed([text.encode()]), SplitOptions().shares)[0]


def hashes_of(dataset: Dataset) -> methods.Hashes:
    """Return the hash of each row that `part_of` describes, uint64 [rows].

    It is that of the image (its float32 bytes) if there are images, else of the text.
    """
    if dataset.images is not None:
        return _hashed(image.astype("<f4").tobytes() for image in dataset.images)
    return _hashed(text.encode() for text in dataset.texts)


def check_keys(dataset: Dataset, options: SplitOptions) -> None:
    """Raise InputError if the data lack the column that `options` split by."""
    if options.column and dataset.keys is None:
        raise InputError(
            f"{dataset.name} has no column for --split {options.method}:{options.column}. Use a file with that "
            "column, or another --split.",
            code="LX-DATA-086",
        )


def keys_hashed(dataset: Dataset) -> methods.Hashes:
    """Return the hash of each row's key, that of its group, uint64 [rows]."""
    return _hashed(key.encode() for key in dataset.keys or [])


def _hashed(contents: Iterable[bytes]) -> methods.Hashes:
    firsts = bytearray()
    for content in contents:
        firsts += hashlib.sha256(content).digest()[:8]
    return np.frombuffer(firsts, dtype=">u8").astype(np.uint64)


def parts_of(dataset: Dataset) -> list[str]:
    """Return the part of each row: that of the dataset, else by the default split."""
    if dataset.parts is not None:
        return dataset.parts
    return methods.parts_at(hashes_of(dataset), SplitOptions().shares)


def _one_label(dataset: Dataset) -> list[tuple[str, ...]]:
    sets = {label: (label,) for label in dataset.classes}
    return [sets[label] for label in dataset.labels]


def with_parts(
    dataset: Dataset,
    options: SplitOptions = SplitOptions(),
    label_sets: LabelSets | None = _one_label,
    given: Collection[str] = (),
) -> Dataset:
    """Return `dataset` with the part of each row, as `assign` chooses it."""
    return assign(dataset, options, label_sets, given).dataset


class Assigned(NamedTuple):
    """A dataset with the part of each row."""

    dataset: Dataset
    """It, with a note of texts that were moved."""
    moved: list[int] | None
    """The rows that are not in their usual part, see `parts_of`; None if another way of splitting was chosen."""


def assign(
    dataset: Dataset, options: SplitOptions, label_sets: LabelSets | None, given: Collection[str] = ()
) -> Assigned:
    """Choose the part of each row.

    Parts that the dataset has stay, unless `options` ask for other ones. `label_sets` returns the labels of each
    text. `given`: the parts that other files hold; their share is trained on. Raises InputError for times that cannot
    be read.
    """
    check_keys(dataset, options)
    if dataset.parts is not None and options == SplitOptions():
        completed = _completed(dataset.parts, dataset, given)
        return Assigned(replace(dataset, parts=completed), _differing(completed, dataset.parts))
    hashes = hashes_of(dataset)
    usual: list[str] | None = None
    if options.method == "stratified":
        parts = methods.stratified(dataset.labels, hashes, options.shares, given)
    elif options.method == "time":
        parts = methods.by_time(methods.times(dataset.keys or [], dataset.name), options.shares, given)
    else:
        units = hashes if options.method == "hash" else keys_hashed(dataset)
        labels = what_training_needs(dataset, label_sets)
        usual = methods.parts_at(units, options.shares, given)
        parts, moved = methods.keep_labels(usual, units, labels)
        parts = methods.fill_empty(parts, units, labels, options.shares, given)
        if moved:
            note = f"{dataset.name}: texts moved to training, which would have had none of {listed(moved)}"
            dataset = replace(dataset, notes=(*dataset.notes, note))
    rows = _differing(parts, usual) if usual is not None and options == SplitOptions() and not given else None
    return Assigned(replace(dataset, parts=parts), rows)


def _differing(parts: Sequence[str], usual: Sequence[str]) -> list[int]:
    return [row for row, (part, other) in enumerate(zip(parts, usual, strict=True)) if part != other]


def _completed(parts: list[str], dataset: Dataset, given: Collection[str]) -> list[str]:
    """Return the parts that the data say; one that they lack, and no file holds, takes its share of training."""
    lacking = [part for part in PARTS[1:] if part not in parts and part not in given]
    usual = methods.parts_at(hashes_of(dataset), SplitOptions().shares) if lacking else parts
    found = ["train" if part in given else part for part in parts]
    return [other if part == "train" and other in lacking else part for part, other in zip(found, usual, strict=True)]


def what_training_needs(dataset: Dataset, label_sets: LabelSets | None) -> list[tuple[str, ...]]:
    """Return the labels and the language of each row, after the word "label" or "language"."""
    sets: list[tuple[str, ...]] = [()] * len(dataset) if label_sets is None else label_sets(dataset)
    languages: Sequence[str | None] = dataset.languages or [None] * len(dataset)
    # Most rows share theirs with others: one tuple for all of them.
    known: dict[tuple[tuple[str, ...], str | None], tuple[str, ...]] = {}
    found = []
    for key in zip(sets, languages, strict=True):
        if key not in known:
            names, language = key
            spoken = [] if language is None else [f"language {language}"]
            known[key] = (*(f"label {name}" for name in names), *spoken)
        found.append(known[key])
    return found


def split(dataset: Dataset, label_sets: LabelSets | None = _one_label) -> Splits:
    """Divide `dataset` by the parts of its rows (`with_parts` by default).

    `label_sets` returns the labels of each text; None if none are learned.
    Raises InputError if a part would be empty, or if a language or such a label would not occur in train.
    """
    parts = dataset.parts or with_parts(dataset, label_sets=label_sets).parts or []
    rows = {name: array("q") for name in PARTS}
    for row, part in enumerate(parts):
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
