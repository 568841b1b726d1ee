"""Find how a text file of cells is written: what separates cells, whether they are quoted, the names of the columns.

What the user says comes first; then what the file itself says (a line `sep=;`, as Excel writes it); then what its
ending says, if the first row then has the wanted columns; then whatever makes them appear there; then whatever gives
all rows equally many cells.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...errors import InputError
from ...storage.compression import empty, listed, readable, shown
from ..columns import Columns
from .kinds import DataFile, unknown
from .options import Reading
from .wanted import find

_CELL_LIMIT = 2**31 - 1  # characters; the csv module's own limit is 131,072 and must fit a C long
_SAMPLE = 1 << 18  # characters that a delimiter and a header are found in
_MOST = 2_000  # rows of them
_CANDIDATES = (",", "\t", ";", "|")
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
_CONSISTENT = 0.95

Record = list[str]


@dataclass(frozen=True)
class Dialect:
    """How a text file of cells is written."""

    delimiter: str
    """What separates cells."""
    quoted: bool
    """Whether cells with delimiters or line ends stand in "…"."""
    names: list[str]
    """The columns."""
    header: list[str] | None
    """The first row as it is, if it names the columns."""
    skipped: int
    """Lines before the first row: 1 if Excel's `sep=` is there."""
    labels: frozenset[str]
    """The labels of the first rows."""
    columns: Columns
    """The wanted columns, as they are called here."""

    def reader(self, lines: io.TextIOWrapper) -> Iterator[Record]:
        """Return the csv reader of the lines, which stand at the first row."""
        return _reader(lines, self.delimiter, quoted=self.quoted)

    def describe(self) -> str:
        """Return how the cells are written, in words."""
        between = f"{_NAMES.get(self.delimiter, repr(self.delimiter))} between cells"
        quotes = 'cells quoted with "' if self.quoted else "no quoting"
        header = "with a header" if self.header is not None else f"no header: columns {listed(self.names, 20)}"
        return f"{between}, {quotes}, {header}"


@contextmanager
def open_lines(file: DataFile, codec: str) -> Iterator[io.TextIOWrapper]:
    """Open a file as text in the encoding `codec`, its line ends as they are."""
    with (
        readable(file.path, file.opener),
        file.opener(file.path) as raw,
        io.TextIOWrapper(raw, encoding=codec, newline="") as lines,
    ):
        yield lines


@contextmanager
def long_cells() -> Iterator[None]:
    """Let cells of any length be read in the block."""
    limit = csv.field_size_limit(_CELL_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def find_dialect(file: DataFile, codec: str, columns: Columns, reading: Reading) -> Dialect:
    """Return the dialect of a file in the encoding `codec`.

    Raises InputError for an empty file, and for one whose content has no columns.
    """
    with open_lines(file, codec) as lines:
        text = lines.read(_SAMPLE)
    complete = len(text) < _SAMPLE
    first = re.match(r"sep=(.)\r?\n?", text)
    skipped = 1 if first else 0
    sample = text[first.end() :] if first else text
    if not complete:
        sample = sample[: sample.rfind("\n") + 1] or sample
    if not sample.strip("\ufeff\r\n"):
        raise empty(file.path)
    if "\0" in sample.partition("\n")[0]:
        raise InputError(
            f"{shown(file.path)} is binary, not UTF-8 text: it begins with NUL characters.", code="LX-DATA-020"
        )
    delimiter = reading.delimiter or (first and first[1]) or _delimiter(file, sample, columns, reading)
    quoted = reading.quoting == "csv"
    if reading.quoting is None:
        quoted = delimiter != "\t" or _tabs_are_quoted(file, codec, sample, skipped)
    records = _records(sample, delimiter, quoted=quoted)
    names, header, columns = _columns(file, records, columns, reading)
    label = None if columns.label is None else find(names, columns.label)
    labels = frozenset(
        row[label] for row in records[header is not None :] if label is not None and len(row) == len(names)
    )
    return Dialect(delimiter, quoted, names, header, skipped, labels, columns)


def _reader(lines: Iterable[str], delimiter: str, *, quoted: bool) -> Iterator[Record]:
    if quoted:
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL, strict=True)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)


def _records(sample: str, delimiter: str, *, quoted: bool) -> list[Record]:
    """Return the first rows of a sample that are not blank; rows that cannot be read are left out."""
    reader = _reader(io.StringIO(sample, newline=""), delimiter, quoted=quoted)
    found: list[Record] = []
    with long_cells():
        while len(found) < _MOST:
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error:
                continue
            if cells:
                found.append(cells)
    return found


def _delimiter(file: DataFile, sample: str, columns: Columns, reading: Reading) -> str:
    likely = [file.delimiter] if file.delimiter else []
    candidates = [*likely, *(one for one in _CANDIDATES if one not in likely)]
    rows = {one: _records(sample, one, quoted=one != "\t") for one in candidates}
    if reading.header is not False:
        for wanted in (list(columns.named().values()), [columns.text]):
            for one in candidates:
                names = [cell.strip() for cell in rows[one][0]] if rows[one] else []
                if all(find(names, name) is not None for name in wanted):
                    return one
    width = None if reading.names is None else len(reading.names)
    for one in candidates:
        if _width(rows[one]) > 1 and width in (None, _width(rows[one])):
            return one
    if file.delimiter is None and width != 1:
        raise unknown(file.path)
    return file.delimiter or ","


def _width(rows: Sequence[Record]) -> int:
    """Return how many cells the rows have, 0 if they differ."""
    if not rows:
        return 0
    [(width, count)] = Counter(map(len, rows)).most_common(1)
    return width if count >= _CONSISTENT * len(rows) else 0


def _tabs_are_quoted(file: DataFile, codec: str, sample: str, skipped: int) -> bool:
    """Return whether quotes in a file with tabs are those of CSV rather than characters of its texts.

    They are if every cell of the first row is quoted, as in what lexport writes; if quoted cells have doubled quotes
    inside, and no cell has a quote that CSV would not allow; or if rows have equally many cells only with quoting.
    """
    if '"' in sample:
        plain, quoted = (_records(sample, "\t", quoted=one) for one in (False, True))
        if all(len(cell) > 1 and cell[0] == cell[-1] == '"' for row in plain[:1] for cell in row):
            return True
        if not _width(plain) and _width(quoted) > 1:
            return True
    doubled = False
    with open_lines(file, codec) as lines:
        for number, line in enumerate(lines):
            if '"' not in line or number < skipped:
                continue
            for cell in line.rstrip("\r\n").split("\t"):
                if cell.startswith('"'):
                    if not _PROPER.fullmatch(cell):
                        return False
                    doubled = doubled or '""' in cell[1:-1]
    return doubled


_PROPER = re.compile(r'"(?:[^"]|"")*"')


def _columns(
    file: DataFile, records: Sequence[Record], columns: Columns, reading: Reading
) -> tuple[list[str], list[str] | None, Columns]:
    """Return the names of the columns, the header if there is one, and the wanted columns by these names."""
    if not records:
        raise empty(file.path)
    first = records[0]
    stripped = [cell.strip() for cell in first]
    if reading.names is not None:
        if len(reading.names) != len(first):
            raise InputError(
                f"{shown(file.path)} has {len(first):,} columns, and {len(reading.names):,} names are given: "
                f"{listed(reading.names)}. Give one for each: --columns text,label.",
                code="LX-DATA-072",
            )
        return list(reading.names), None, columns
    if reading.header is True:
        return stripped, first, columns
    named = any(find(stripped, name) is not None for name in columns.named().values())
    if named and reading.header is None:
        return stripped, first, columns
    usual = Columns()
    if columns.text == usual.text and columns.label in (None, usual.label):
        places = _guess(records, labelled=columns.label is not None, known=reading.header is False)
        if places is not None:
            names = [f"column {number}" for number in range(1, len(first) + 1)]
            for place, name in zip(places, (columns.text, usual.label), strict=False):
                if name is not None and place is not None:
                    names[place] = name
            return names, None, columns
    if reading.header is False:
        raise InputError(
            f"{shown(file.path)} has {len(first):,} columns without names, the first row {listed(first)}; it does "
            "not show which are texts and labels. Name them all: --columns text,label.",
            code="LX-DATA-073",
        )
    return stripped, first, columns


def _guess(records: Sequence[Record], *, labelled: bool, known: bool) -> tuple[int, int | None] | None:
    """Return the positions of the texts and the labels in rows of which the first is data; None if it is not clear.

    The label column repeats few values, that of the first row among them, which the name of a column would not be.
    The texts are the column with the longest cells. `known`: the user says that there is no header.
    """
    width = _width(records)
    if not width or len(records[0]) != width:
        return None
    rows = [row for row in records if len(row) == width]
    if width == 1:
        return (0, None) if known and not labelled else None
    found = []
    lengths = [sum(len(row[place]) for row in rows) for place in range(width)]
    text = max(range(width), key=lambda place: lengths[place])
    for place in range(width):
        values = Counter(row[place].strip() for row in rows)
        repeated = values[rows[0][place].strip()] > 1
        if place != text and (repeated or known) and 1 < len(values) <= max(2, len(rows) / 2):
            found.append(place)
    if len(found) == 1:
        return text, found[0]
    return (text, None) if found and not labelled else None
