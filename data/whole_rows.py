"""Read the rows of data whole and one after the other: every cell, and the text in it; nothing is dropped or cleaned.

The rows are read twice. The first pass finds the columns, the number of rows, and all rows that cannot be read, so
that data are refused before any work is done for them; neither pass holds the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InputError
from . import cells
from .columns import Columns, Place, Row, Rows, option
from .load import Found, Source, find_data, name_of
from .reading.bad_rows import BadRows
from .reading.options import Reading
from .writing.kinds import Seen


@dataclass(frozen=True)
class WholeRow:
    """A row as it stands in its file."""

    record: Mapping[str, Any]
    """Every cell, by its column."""
    text: str
    """The text without the white space around it; "" if there is none."""
    language: str | None
    """Its language; None if no column of languages is read."""


@dataclass(frozen=True)
class WholeRows:
    """Data that were looked through once; iterating reads their rows again."""

    name: str
    """Their name in messages."""
    columns: Mapping[str, Any]
    """Their columns in order, each with its kind or Arrow type (`writing.kinds`)."""
    count: int
    """The number of rows that can be read."""
    notes: Sequence[str]
    """What was found out about them, in sentences."""
    dropped: Mapping[str, int]
    """The number of rows left out, by reason: "bad" ones that cannot be read, "rejected" ones of annotation tools."""
    _found: Found
    _reading: Reading

    def __iter__(self) -> Iterator[WholeRow]:
        """Yield the rows that can be read."""
        bad = BadRows(self._reading.skip_bad_rows)
        with self._found.rows(self._reading, bad, whole=True) as sources:
            for source in sources:
                yield from _read(source, self._found.columns, bad)


@contextmanager
def open_whole(data: Source, columns: Columns, reading: Reading) -> Iterator[WholeRows]:
    """Context manager: the rows of `data`, once all were looked through.

    `columns` names those of the texts and, if there are any, of the languages. Of `reading` counts how files are
    read, not what it says of labels and of equal rows. Raises InputError with the places of rows that cannot be
    read, if there are more than may be skipped, and for data without rows.
    """
    bad, seen, count = BadRows(reading.skip_bad_rows), Seen(), 0
    with find_data(data, columns) as named:
        # A sample set has columns of its own, and languages that were perhaps not asked for.
        found = replace(named, columns=replace(named.columns, language=columns.language))
        with found.rows(reading, bad, whole=True) as sources:
            for source in sources:
                for row in _read(source, found.columns, bad):
                    seen.add(row.record)
                    count += 1
            name = name_of(sources)
        bad.check(name, count + bad.count)
        if not count:
            raise InputError(f"{name}: there are no rows. Expected rows with a text.", code="LX-DATA-091")
        dropped = {"bad": bad.count} if bad.count else {}
        for source in sources:
            dropped |= {reason: dropped.get(reason, 0) + rows for reason, rows in source.dropped.items()}
        notes = [note for source in sources for note in source.notes]
        yield WholeRows(name, seen.columns(sources), count, notes, dropped, found, reading)


def _read(source: Rows, columns: Columns, bad: BadRows) -> Iterator[WholeRow]:
    place = Place(source)
    for row in source.rows:
        place.number = row.number
        try:
            text = cells.text(row.text, place)
            language = None if columns.language is None else _language(row, place)
        except InputError as error:
            bad.add(error)
            continue
        yield WholeRow(_record(row, columns) if row.record is None else row.record, text, language)


def _language(row: Row, place: Place) -> str:
    found = cells.language(row.language, place)
    if found is None:
        raise InputError(
            f"{place}: there is no language. Fill it in, or name another {option('language')}.", code="LX-DATA-092"
        )
    return found


def _record(row: Row, columns: Columns) -> dict[str, Any]:
    """Return the cells of a row whose source has no columns: fastText's lines, folders, sample sets."""
    names = {"text": columns.text, "label": "label", "language": columns.language or "language", "image": "image"}
    found = {name: getattr(row, field) for field, name in names.items()}
    return {name: value for name, value in found.items() if value is not None}
