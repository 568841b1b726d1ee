"""Labelled texts: read from a file or a sample set, checked, cleaned.

A text is known by its characters without the white space around it. A text that comes twice would weigh
twice and leak from training into the test, one that comes under two labels proves at least one wrong: of the
former the first copy is kept, of the latter none.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import readers
from .openers import listed, shown
from .readers import Rows
from .samples import SAMPLES


@dataclass(frozen=True)
class Dataset:
    """Texts and their labels, equally many, in the order of their source.

    `name` is the file's name without its folder, or the sample set's. `dropped` counts the rows that
    cleaning took out: "duplicates", "conflicting" (the text has more than one label), "empty".
    """

    texts: list[str]
    labels: list[str]
    name: str
    digest: str
    dropped: dict[str, int] = field(default_factory=lambda: {"duplicates": 0, "conflicting": 0, "empty": 0})

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The labels that occur, each once, sorted by code point: the order of a model's outputs."""
        return sorted(set(self.labels))


def digest(texts: Iterable[str], labels: Iterable[str]) -> str:
    """Hex SHA-256 over texts and labels in their order; each string with its length, so none runs together."""
    state = hashlib.sha256()
    for row in zip(texts, labels, strict=True):
        for value in row:
            encoded = value.encode()
            state.update(len(encoded).to_bytes(8, "big") + encoded)
    return state.hexdigest()


def load(data: str, *, text_column: str = "text", label_column: str | None = "label") -> Dataset:
    """Read and clean `data`: a CSV, TSV, JSONL or Parquet file, or the name of a sample set.

    A sample set's name loses to a file of exactly that name. With `label_column` None every label is "".
    Raises InputError with the place of the first thing that is wrong, MissingExtra for an absent package.
    """
    name, source = _source(data, text_column, label_column)
    with closing(source.rows):
        return _clean(name, source, labelled=label_column is not None)


def require_classes(dataset: Dataset) -> None:
    """Raise InputError unless `dataset` has at least two labels, without which there is nothing to learn."""
    if len(dataset.classes) < 2:
        raise InputError(
            f"{dataset.name}: all {len(dataset):,} texts have the label '{shown(dataset.labels[0])}'; at least "
            "two different labels were expected. Check --label-column or add rows of another label."
        )


def _source(data: str, text_column: str, label_column: str | None) -> tuple[str, Rows]:
    path = Path(data)
    sample = SAMPLES.get(data)
    if sample and not path.is_file():
        if text_column != "text" or label_column not in ("label", None):
            raise InputError(
                f"The sample set {data} has the columns text and label. Leave out --text-column and --label-column."
            )
        rows = sample.rows()
        if label_column is None:
            rows = Rows(rows.unit, ((number, text, "") for number, text, _ in rows.rows))
        return data, rows
    if text_column == label_column:
        raise InputError(
            f"The column '{shown(text_column)}' is named for both text and label. "
            "Give --text-column and --label-column different names."
        )
    try:
        path.stat()
    except FileNotFoundError:
        raise InputError(
            f"There is no file {shown(path)} and no sample set of that name. DATA is a file ({readers.ACCEPTED}) "
            f"or one of {listed(SAMPLES)}."
        ) from None
    except (OSError, ValueError):
        pass  # the reader says what is wrong
    return shown(path.name), readers.read(path, text_column, label_column)


def _clean(name: str, source: Rows, *, labelled: bool) -> Dataset:
    label_of: dict[str, str | None] = {}  # in the order of first sight; None: seen under two labels
    repeats: Counter[str] = Counter()
    unlabelled: list[int] = []
    rows = empty = 0
    for number, raw_text, raw_label in source.rows:
        rows += 1
        where = f"{name}, {source.unit} {number:,}"
        text = _text(raw_text, where)
        label = _label(raw_label, where) if labelled else ""
        if not text:
            empty += 1
        elif label is None:
            unlabelled.append(number)
        elif text not in label_of:
            label_of[text] = label
        else:
            repeats[text] += 1
            if label_of[text] != label:
                label_of[text] = None
    if unlabelled:
        raise InputError(
            f"{name}: {len(unlabelled):,} of {rows:,} rows have a text but no label "
            f"({source.unit}{'s' * (len(unlabelled) > 1)} {listed(unlabelled)}). "
            "Fill in the labels or remove these rows."
        )
    texts = [text for text, label in label_of.items() if label is not None]
    labels = [label for label in label_of.values() if label is not None]
    conflicting = sum(1 + repeats[text] for text, label in label_of.items() if label is None)
    dropped = {
        "duplicates": rows - empty - conflicting - len(texts),
        "conflicting": conflicting,
        "empty": empty,
    }
    if not texts:
        raise InputError(f"{name}: {_nothing_left(rows, dropped)} Rows with a text and a label were expected.")
    return Dataset(texts, labels, name, digest(texts, labels), dropped)


def _nothing_left(rows: int, dropped: dict[str, int]) -> str:
    if not rows:
        return "there are columns but no rows."
    return (
        f"none of its {rows:,} rows can be used: {dropped['empty']:,} with a blank text, "
        f"{dropped['conflicting']:,} with a text that also has another label."
    )


def _text(value: Any, where: str) -> str:
    """The text without the white space around it; "" if there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(
            f"{where}: the text is {shown(value)} ({type(value).__name__}); a string was expected. "
            "Put it into quotes or name another --text-column."
        )
    return _encodable(value.strip(), where, "text")


def _label(value: Any, where: str) -> str | None:
    """The label as a string, None if it is missing: 1, 1.0 and "1" are the same, true is "true"."""
    match value:
        case str():
            return _encodable(value.strip(), where, "label") or None
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if math.isnan(value):
                return None
            return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    raise InputError(
        f"{where}: the label is {shown(value)} ({type(value).__name__}); one string or number was expected. "
        "Name another --label-column or convert it."
    )


def _encodable(value: str, where: str, what: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: the {what} has half of a surrogate pair (U+{ord(value[error.start]):04X}) at character "
            f"{error.start + 1:,}, which is no character. Repair or remove it."
        ) from None
    return value
