"""A dataset: texts, labels and further columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..handlers.text.batch import Batch
from ..storage.compression import shown

SEPARATOR = "|"
"""Separator between the labels of a text."""

Images = npt.NDArray[np.float32]

_REPEATED = ("languages", "parts")
_TOGETHER = 8192  # strings hashed at a time


@dataclass(frozen=True)
class Dataset:
    """Texts and their labels, in the order of their source."""

    texts: list[str]
    """The texts."""
    labels: list[str]
    """One string for each text; several labels are joined by SEPARATOR."""
    name: str
    """The file's name without its folder, or the name of the sample set."""
    digest: str
    """Hex SHA-256 of all columns, see `digest`."""
    dropped: dict[str, int] = field(default_factory=lambda: {"duplicates": 0, "conflicting": 0, "empty": 0})
    """Number of rows removed by cleaning, by reason; "conflicting": more than one label for the same text."""
    languages: list[str] | None = None
    """The language of each text, if the source has them."""
    pairs: list[str] | None = None
    """The second text of each row, if the source has them."""
    images: Images | None = field(default=None, compare=False)  # the digest covers them
    """The image of each text, float32 [texts, values], if the source has them."""
    parts: list[str] | None = None
    """"train", "validation" or "test" for each text, if the source says it; `split` then follows it."""
    keys: list[str] | None = field(default=None, compare=False)
    """The group or the time of each text, if the split asks for one."""
    targets: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    """What training learns in place of the labels, float32 [texts, labels of the model], where a teacher says it."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was found out or decided while the data were read, in sentences for the user."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def batch(self) -> Batch:
        """The texts as a model takes them, with their languages and images."""
        return Batch(self.texts, self.languages, self.images)

    @property
    def classes(self) -> list[str]:
        """The distinct labels, sorted by code point: the order of a model's outputs."""
        return sorted(set(self.labels))

    def take(self, rows: Sequence[int], name: str) -> Dataset:
        """Return the rows `rows`, in that order, as a dataset."""

        def chosen(column: list[str]) -> list[str]:
            return [column[row] for row in rows]

        places = np.asarray(rows, dtype=np.int64)
        found = dataset_of(
            chosen(self.texts),
            chosen(self.labels),
            name,
            languages=None if self.languages is None else chosen(self.languages),
            pairs=None if self.pairs is None else chosen(self.pairs),
            images=None if self.images is None else self.images[places],
            parts=None if self.parts is None else chosen(self.parts),
            keys=None if self.keys is None else chosen(self.keys),
        )
        return found if self.targets is None else replace(found, targets=self.targets[places])


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
    keys: list[str] | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Return a dataset of these columns and compute its digest; without `dropped` nothing was dropped."""
    further = {"languages": languages, "pairs": pairs, "parts": parts}
    value = digest(texts, labels, further, images)
    gone = {"duplicates": 0, "conflicting": 0, "empty": 0} if dropped is None else dropped
    return Dataset(texts, labels, name, value, gone, languages, pairs, images, parts, keys, notes=notes)


def joined(parts: Mapping[str, Dataset]) -> Dataset:
    """Return the rows of "train", with their parts, and those of other parts behind them, as one dataset.

    Raises InputError if some have a column and others do not.
    """
    every = list(parts.values())
    first = parts["train"]
    for name in ("languages", "pairs", "images"):
        without = [one.name for one in every if getattr(one, name) is None]
        if without and len(without) < len(every):
            raise InputError(
                f"{', '.join(without)} has no {name}, and the other data have. Name the same columns for all.",
                code="LX-DATA-085",
            )

    def chained(column: str) -> list[str] | None:
        return None if getattr(first, column) is None else [cell for one in every for cell in getattr(one, column)]

    reasons = dict.fromkeys(chain.from_iterable(one.dropped for one in every))
    whole = dataset_of(
        [text for one in every for text in one.texts],
        [label for one in every for label in one.labels],
        first.name,
        dropped={reason: sum(one.dropped.get(reason, 0) for one in every) for reason in reasons},
        languages=chained("languages"),
        pairs=chained("pairs"),
        images=_stacked([one.images for one in every if one.images is not None]),
        parts=[
            *(first.parts or ["train"] * len(first)),
            *(part for part, one in parts.items() if part != "train" for _ in one.texts),
        ],
    )
    targets = [one.targets for one in every if one.targets is not None]
    return replace(
        whole,
        targets=np.concatenate(targets) if len(targets) == len(every) else None,
        notes=tuple(dict.fromkeys(note for one in every for note in one.notes)),
    )


def _stacked(images: list[Images]) -> Images | None:
    widths = {one.shape[1] for one in images}
    if len(widths) > 1:
        raise InputError(
            f"The images have {' and '.join(map(str, sorted(widths)))} values; all must have the same number. Scale "
            "them to one size.",
            code="LX-DATA-087",
        )
    return np.concatenate(images) if images else None


def _framed(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(8, "big") + encoded


class _Framed(dict[str, bytes]):
    """The bytes of values that repeat."""

    def __missing__(self, value: str) -> bytes:
        self[value] = found = _framed(value)
        return found


def digest(
    texts: Iterable[str],
    labels: Iterable[str],
    further: dict[str, list[str] | None] | None = None,
    images: Images | None = None,
) -> str:
    """Return the hex SHA-256 of texts and labels in their order, then of each further column that exists.

    The length of each string comes before it, so that strings cannot run together. Eight bytes of ones, which are
    never a length, come before each further column.
    """
    state = hashlib.sha256()
    known = _Framed()

    def add(values: Iterator[bytes]) -> None:
        while block := b"".join(islice(values, _TOGETHER)):
            state.update(block)

    add(chain.from_iterable(zip(map(_framed, texts), map(known.__getitem__, labels), strict=True)))
    for name, column in (further or {}).items():
        if column is not None:
            state.update(b"\xff" * 8)
            add(map(known.__getitem__ if name in _REPEATED else _framed, chain([name], column)))
    if images is not None:
        state.update(b"\xff" * 8 + _framed(f"images {images.shape}"))
        state.update(np.ascontiguousarray(images, dtype="<f4").tobytes())
    return state.hexdigest()


def label_sets(labels: Dataset | Iterable[str], separator: str = SEPARATOR) -> list[tuple[str, ...]]:
    """Return the distinct labels of each text, split at `separator` and sorted; () for an empty string."""
    joined = labels.labels if isinstance(labels, Dataset) else labels
    return [
        tuple(sorted({name.strip() for name in value.split(separator)} - {""})) if value else () for value in joined
    ]


def label_names(sets: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the distinct labels of `sets`, sorted by code point: the order of a model's outputs."""
    return sorted(set(chain.from_iterable(sets)))


def require_classes(dataset: Dataset, *, multi_label: bool = False) -> None:
    """Raise InputError unless `dataset` has at least two different labels.

    With `multi_label` two different sets of labels are enough; one of them may be empty.
    """
    if multi_label:
        if len(sets := set(label_sets(dataset))) < 2:
            alike = f"the same labels ({shown(', '.join(*sets))})" if any(sets) else "no label at all"
            raise InputError(
                f"{dataset.name}: all {len(dataset):,} texts have {alike}; expected texts with different "
                "labels. Check --label-column or add rows of other labels.",
                code="LX-DATA-007",
            )
    elif len(dataset.classes) < 2:
        raise InputError(
            f"{dataset.name}: all {len(dataset):,} texts have the label '{shown(dataset.labels[0])}'; expected "
            "at least two different labels. Check --label-column or add rows of another label.",
            code="LX-DATA-008",
        )
