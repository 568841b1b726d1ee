"""Load labelled texts from a file or a sample set, check them and clean them.

A row is identified by its text without surrounding white space, and by its language, second text and image if there
are such. A duplicate would count twice and leak from training into the test: only the first copy is kept. If a text
has two different labels, at least one is wrong: no copy is kept. With images the same text may belong to many images;
there an image must not have two labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..storage.compression import listed, shown
from . import cells, readers
from .columns import Columns, Row, Rows, option
from .dataset import SEPARATOR, Dataset, Images, dataset_of, digest, label_names, label_sets, require_classes
from .pairs import halves
from .samples import SAMPLES, Sample

__all__ = [
    "SEPARATOR",
    "USUAL",
    "Columns",
    "Dataset",
    "dataset_of",
    "digest",
    "halves",
    "label_names",
    "label_sets",
    "load",
    "of_texts",
    "require_classes",
]


USUAL = Columns()
"""The columns text and label."""


def load(data: str, columns: Columns = USUAL, *, multi_label: bool = False) -> Dataset:
    """Read and clean `data`: a CSV, TSV, JSONL or Parquet file, or the name of a sample set.

    A file with the name of a sample set is preferred to the sample set. A sample set is read with its own columns.
    Without a label column every label is "". With `multi_label` a label cell may hold several labels or none,
    which become one string (see `label_sets`). Raises InputError with the place of the first
    error, MissingExtra for a missing package.
    """
    path = Path(data)
    sample = SAMPLES.get(data)
    if sample and not path.is_file():
        columns = _own_columns(sample, columns)
        name, source = data, sample.rows()
    else:
        _check_names(columns)
        _check_exists(path)
        name, source = shown(path.name), readers.read(path, columns)
    with closing(source.rows):
        return _clean(name, source, columns, multi_label=multi_label)


def of_texts(
    texts: Iterable[str],
    labels: Iterable[Any] | None = None,
    *,
    languages: Iterable[str] | None = None,
    name: str = "texts",
    multi_label: bool = False,
) -> Dataset:
    """Clean texts in memory as `load` cleans the rows of a file.

    labels: one for each text, or with `multi_label` a list of them. Raises InputError with the row of the first
    error, and for columns of unequal length.
    """
    columns: dict[str, list[Any]] = {"text": list(texts)}
    columns |= {} if labels is None else {"label": list(labels)}
    columns |= {} if languages is None else {"language": list(languages)}
    counts = {field: len(column) for field, column in columns.items()}
    if len(set(counts.values())) > 1:
        given = ", ".join(f"{count:,} {field}s" for field, count in counts.items())
        raise InputError(f"{given} are given; expected one of each for every text.", code="LX-DATA-009")
    rows = (
        Row(number, **dict(zip(columns, cells, strict=True)))
        for number, cells in enumerate(zip(*columns.values(), strict=True), 1)
    )
    wanted = Columns("text", None if labels is None else "label", None if languages is None else "language")
    return _clean(name, Rows("row", rows), wanted, multi_label=multi_label)


def _own_columns(sample: Sample, asked: Columns) -> Columns:
    """Return the columns of `sample`, without the label if none is asked for. Raises InputError for any other."""
    own = sample.columns.named()
    for field, name in asked.named().items():
        if name not in (own.get(field), getattr(USUAL, field)):
            *names, last = own.values()
            raise InputError(
                f"The sample set {sample.name} has the columns {', '.join(names)} and {last}. "
                f"Leave out {option(field)}.",
                code="LX-DATA-010",
            )
    return replace(sample.columns, label=asked.label and sample.columns.label)


def _check_names(columns: Columns) -> None:
    fields: dict[str, str] = {}
    for field, name in columns.named().items():
        if name in fields:
            raise InputError(
                f"The column '{shown(name)}' is named for both {fields[name]} and {field}. "
                f"Give {option(fields[name])} and {option(field)} different names.",
                code="LX-DATA-011",
            )
        fields[name] = field


def _check_exists(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        raise InputError(
            f"There is no file {shown(path)} and no sample set of that name. DATA is a file ({readers.ACCEPTED}) "
            f"or one of {listed(SAMPLES)}.",
            code="LX-DATA-012",
        ) from None
    except (OSError, ValueError):
        pass  # the reader reports the error


class _Item(NamedTuple):
    """A row with checked cells; None if the column is not read or the cell is blank; a blank text is ""."""

    text: str
    label: str | None
    language: str | None
    pair: str | None
    image: Images | None
    part: str | None
    key: str | None


def _item(row: Row, where: str, columns: Columns, *, multi_label: bool) -> _Item:
    label = cells.labels if multi_label else cells.label
    return _Item(
        cells.text(row.text, where),
        "" if columns.label is None else label(row.label, where),
        None if columns.language is None else cells.language(row.language, where),
        None if columns.pair is None else cells.text(row.pair, where, "pair"),
        None if columns.image is None else cells.image(row.image, where),
        None if row.part is None else cells.part(row.part, where),
        None if columns.key is None else cells.label(row.key, where),
    )


class _Key(NamedTuple):
    """What identifies a row; an image as the bytes of its float32 values."""

    text: str
    language: str | None
    pair: str | None
    image: bytes | None

    @property
    def subject(self) -> Hashable:
        """The part of the key that must have only one label."""
        return self if self.image is None else self.image


def _clean(name: str, source: Rows, columns: Columns, *, multi_label: bool) -> Dataset:
    wanted = list(columns.named())
    places: dict[_Key, tuple[str | None, str | None]] = {}  # part and key of the first copy, in the order of sight
    label_of: dict[Hashable, str | None] = {}  # None: seen under two labels
    copies: Counter[Hashable] = Counter()
    missing: dict[str, list[int]] = {field: [] for field in wanted}
    sizes: dict[int, str] = {}  # the first place of each number of image values
    rows = empty = 0
    for row in source.rows:
        rows += 1
        where = f"{name}, {source.unit} {row.number:,}"
        item = _item(row, where, columns, multi_label=multi_label)
        if not item.text or item.pair == "":
            empty += 1
            continue
        lacking = [field for field in wanted if getattr(item, field) is None]
        if lacking:
            for field in lacking:
                missing[field].append(row.number)
            continue
        image = None
        if item.image is not None:
            sizes.setdefault(len(item.image), where)
            _check_sizes(sizes)
            image = item.image.tobytes()
        key = _Key(item.text, item.language, item.pair, image)
        places.setdefault(key, (item.part, item.key))
        copies[key.subject] += 1
        if label_of.setdefault(key.subject, item.label) != item.label:
            label_of[key.subject] = None
    for field, numbers in missing.items():
        if numbers:
            raise InputError(
                f"{name}: {len(numbers):,} of {rows:,} rows have a text but no {field} "
                f"({source.unit}{'s' * (len(numbers) > 1)} {listed(numbers)}). "
                f"Fill in the {field}s or remove these rows.",
                code="LX-DATA-013",
            )
    kept = [key for key in places if label_of[key.subject] is not None]
    conflicting = sum(copies[subject] for subject, label in label_of.items() if label is None)
    dropped = {
        "duplicates": rows - empty - conflicting - len(kept),
        "conflicting": conflicting,
        "empty": empty,
    }
    if not kept:
        expected = "a text and a label" if columns.pair is None else "two texts"
        what = "a text" if columns.image is None else "an image"
        raise InputError(
            f"{name}: {_nothing_left(rows, dropped, what)} Expected rows with {expected}.", code="LX-DATA-014"
        )
    return dataset_of(
        [key.text for key in kept],
        [label_of[key.subject] or "" for key in kept],
        name,
        dropped=dropped,
        languages=[key.language for key in kept if key.language] or None,
        pairs=[key.pair for key in kept if key.pair] or None,
        images=_images([key.image for key in kept if key.image]),
        parts=[part for key in kept if (part := places[key][0])] or None,
        keys=[own for key in kept if (own := places[key][1])] or None,
    )


def _check_sizes(sizes: dict[int, str]) -> None:
    if len(sizes) > 1:
        (first, there), (other, here) = sizes.items()
        raise InputError(
            f"{here}: the image has {other:,} value{'s' * (other > 1)}, that of {there} has {first:,}; "
            "all must have the same number. Scale or crop the images to one size.",
            code="LX-DATA-015",
        )


def _images(images: list[bytes]) -> Images | None:
    if not images:
        return None
    # Over a bytearray, so that the array can be written to: torch warns of one that cannot.
    return np.frombuffer(bytearray().join(images), dtype=np.float32).reshape(len(images), -1)


def _nothing_left(rows: int, dropped: dict[str, int], what: str) -> str:
    if not rows:
        return "there are columns but no rows."
    return (
        f"none of its {rows:,} rows can be used: {dropped['empty']:,} with a blank text, "
        f"{dropped['conflicting']:,} with {what} that also has another label."
    )
