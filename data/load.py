"""Load labelled texts from files, folders or a sample set, check them and clean them.

A row is identified by its text without surrounding white space, and by its language, second text and image if there
are such. A duplicate would count twice and leak from training into the test: unless the user says otherwise, only the
first copy is kept. If a text has two different labels, at least one is wrong: no copy is kept. With images the same
text may belong to many images; there an image must not have two labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..storage.compression import listed, shown
from .cleaning import clean
from .columns import Columns, Row, Rows, option
from .dataset import SEPARATOR, Dataset, dataset_of, digest, label_names, label_sets, require_classes
from .pairs import halves
from .reading.bad_rows import BadRows
from .reading.options import USUAL_READING, Reading
from .reading.sources import find_paths, open_paths
from .samples import SAMPLES, Sample

__all__ = [
    "SEPARATOR",
    "USUAL",
    "USUAL_READING",
    "Columns",
    "Dataset",
    "Reading",
    "dataset_of",
    "digest",
    "halves",
    "label_names",
    "label_sets",
    "load",
    "of_texts",
    "require_classes",
]

Source = str | Sequence[str]
"""The name of a file, a folder, a pattern, a sample set or "-", or several of them."""

USUAL = Columns()
"""The columns text and label."""


def load(
    data: Source, columns: Columns = USUAL, *, multi_label: bool = False, reading: Reading = USUAL_READING
) -> Dataset:
    """Read and clean `data`: files, patterns, folders or standard input (`-`), or the name of a sample set.

    A file with the name of a sample set is preferred to the sample set. A sample set is read with its own columns.
    Without a label column every label is "". With `multi_label` a label cell may hold several labels or none,
    which become one string (see `label_sets`). What is found out about files stands in the `notes` of the dataset.
    Raises InputError with the places of rows that cannot be read, MissingExtra for a missing package.
    """
    bad = BadRows(reading.skip_bad_rows)
    with find_data(data, columns) as found, found.rows(reading, bad) as sources:
        return clean(name_of(sources), sources, found.columns, reading, bad, multi_label=multi_label)


@dataclass(frozen=True)
class Found:
    """What the user named as data; its rows can be read several times."""

    columns: Columns
    """The columns to read."""
    paths: Sequence[Path] = ()
    """Files and folders."""
    sample: Sample | None = None
    """The sample set, in place of paths."""

    @contextmanager
    def rows(self, reading: Reading, bad: BadRows, *, whole: bool = False) -> Iterator[list[Rows]]:
        """Context manager: the rows from the beginning, as `sources.open_paths` opens them."""
        if self.sample is None:
            with open_paths(self.paths, self.columns, reading, bad, whole=whole) as sources:
                yield sources
        else:
            source = self.sample.rows()
            with closing(source.rows):
                yield [source]


@contextmanager
def find_data(data: Source, columns: Columns) -> Iterator[Found]:
    """Context manager: the files or the sample set that `data` names. Raises InputError for what is not there."""
    names = [data] if isinstance(data, str) else [str(one) for one in data]
    sample = SAMPLES.get(names[0]) if len(names) == 1 else None
    if sample and not Path(names[0]).is_file():
        yield Found(_own_columns(sample, columns), sample=sample)
    else:
        _check_names(columns)
        with find_paths(names) as paths:
            yield Found(columns, paths)


def of_texts(
    texts: Iterable[str],
    labels: Iterable[Any] | None = None,
    *,
    languages: Iterable[str] | None = None,
    name: str = "texts",
    multi_label: bool = False,
    reading: Reading = USUAL_READING,
) -> Dataset:
    """Clean texts in memory as `load` cleans the rows of a file.

    labels: one for each text, or with `multi_label` a list of them. Raises InputError with the rows that cannot be
    used, and for columns of unequal length.
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
    bad = BadRows(reading.skip_bad_rows)
    return clean(name, [Rows(name, "row", rows)], wanted, reading, bad, multi_label=multi_label)


def name_of(sources: Sequence[Rows]) -> str:
    """Return the name of data that come from `sources`, for messages."""
    names = list(dict.fromkeys(rows.name for rows in sources))
    return listed(names, 2) if len(names) > 1 else names[0]


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
