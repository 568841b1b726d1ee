"""A dataset: texts, their labels and whatever else is known of each, column by column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..storage.compression import shown

SEPARATOR = "|"
"""Stands between the labels of a text that has several."""

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dataset:
    """Texts and their labels, equally many, in the order of their source.

    `name` is the file's name without its folder, or the sample set's. `dropped` counts the rows that
    cleaning took out: "duplicates", "conflicting" (more than one label for the same), "empty". Where the source
    has them, one for every text: `languages`, `pairs` (a second text), `images` (float32 [texts, values]) and
    `parts` ("train", "validation" or "test", which `split` then follows).
    """

    texts: list[str]
    labels: list[str]
    name: str
    digest: str
    dropped: dict[str, int] = field(default_factory=lambda: {"duplicates": 0, "conflicting": 0, "empty": 0})
    languages: list[str] | None = None
    pairs: list[str] | None = None
    images: Images | None = field(default=None, compare=False)  # the digest covers them
    parts: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The labels that occur, each once, sorted by code point: the order of a model's outputs."""
        return sorted(set(self.labels))

    def take(self, rows: Sequence[int], name: str) -> Dataset:
        """The texts at `rows`, in that order, with all that is known of them, as a dataset of its own."""

        def chosen(column: list[str]) -> list[str]:
            return [column[row] for row in rows]

        return dataset_of(
            chosen(self.texts),
            chosen(self.labels),
            name,
            languages=None if self.languages is None else chosen(self.languages),
            pairs=None if self.pairs is None else chosen(self.pairs),
            images=None if self.images is None else self.images[np.asarray(rows, dtype=np.int64)],
            parts=None if self.parts is None else chosen(self.parts),
        )


def dataset_of(
    texts: list[str],
    labels: list[str],
    name: str,
    *,
    dropped: dict[str, int] | None = None,
    languages: list[str] | None = None,
    pairs: list[str] | None = None,
    images: Images | None = None,
    parts: list[str] | None = None,
) -> Dataset:
    """A dataset of these columns, its digest computed; nothing dropped unless told."""
    further = {"languages": languages, "pairs": pairs, "parts": parts}
    value = digest(texts, labels, further, images)
    gone = {"duplicates": 0, "conflicting": 0, "empty": 0} if dropped is None else dropped
    return Dataset(texts, labels, name, value, gone, languages, pairs, images, parts)


def digest(
    texts: Iterable[str],
    labels: Iterable[str],
    further: dict[str, list[str] | None] | None = None,
    images: Images | None = None,
) -> str:
    """Hex SHA-256 over texts and labels in their order, then over each further column that is there.

    Each string comes with its length, so that none runs into the next, and each further column after eight
    bytes of ones, which are no length.
    """
    state = hashlib.sha256()

    def add(value: str) -> None:
        encoded = value.encode()
        state.update(len(encoded).to_bytes(8, "big") + encoded)

    for value in chain.from_iterable(zip(texts, labels, strict=True)):
        add(value)
    for name, column in (further or {}).items():
        if column is not None:
            state.update(b"\xff" * 8)
            add(name)
            for value in column:
                add(value)
    if images is not None:
        state.update(b"\xff" * 8)
        add(f"images {images.shape}")
        state.update(np.ascontiguousarray(images, dtype="<f4").tobytes())
    return state.hexdigest()


def label_sets(labels: Dataset | Iterable[str], separator: str = SEPARATOR) -> list[tuple[str, ...]]:
    """The labels of each text: those that `separator` joins, each once, sorted; () for an empty string."""
    joined = labels.labels if isinstance(labels, Dataset) else labels
    return [
        tuple(sorted({name.strip() for name in value.split(separator)} - {""})) if value else () for value in joined
    ]


def label_names(sets: Iterable[tuple[str, ...]]) -> list[str]:
    """The labels that occur in any of `sets`, each once, sorted by code point: the order of a model's outputs."""
    return sorted(set(chain.from_iterable(sets)))


def require_classes(dataset: Dataset, *, multi_label: bool = False) -> None:
    """Raise InputError unless `dataset` has at least two labels, without which there is nothing to learn.

    With `multi_label` two different sets of labels are enough, of which one may be empty.
    """
    if multi_label:
        if len(sets := set(label_sets(dataset))) < 2:
            alike = f"the same labels ({shown(', '.join(*sets))})" if any(sets) else "no label at all"
            raise InputError(
                f"{dataset.name}: all {len(dataset):,} texts have {alike}; texts that differ in their labels were "
                "expected. Check --label-column or add rows of other labels."
            )
    elif len(dataset.classes) < 2:
        raise InputError(
            f"{dataset.name}: all {len(dataset):,} texts have the label '{shown(dataset.labels[0])}'; at least "
            "two different labels were expected. Check --label-column or add rows of another label."
        )
