"""Read text files of cells: CSV, TSV and their relatives."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Generator
from typing import Any

from ...errors import InputError
from ...storage.compression import shown
from ..columns import Row, Rows
from .bad_rows import BadRows
from .dialect import Dialect, Record, find_dialect, long_cells, open_lines
from .encoding import Encoding, find_encoding
from .kinds import DataFile
from .options import Reading
from .wanted import Wanted, find

_DELIMITER_NAMES = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a bar"}


def read_delimited(file: DataFile, wanted: Wanted, reading: Reading, bad: BadRows) -> Rows:
    """Return the rows of a text file of cells. Raises InputError, here or while reading."""
    encoding = find_encoding(file.path, file.opener, reading.encoding)
    dialect = find_dialect(file, encoding.codec, wanted.columns, reading)
    places = wanted.places(dialect.names)
    notes = [f"{file.name}: {', '.join([encoding.stated(), dialect.describe(), *wanted.notes])}"]
    dropped: Counter[str] = Counter()
    lines = _Lines(file, dialect, places, wanted.whole, bad, dropped, notes)
    return Rows(file.name, "line", lines.rows(encoding), notes, dropped)


class _Lines:
    """The lines of a file in a known dialect."""

    def __init__(
        self,
        file: DataFile,
        dialect: Dialect,
        places: list[int | None],
        whole: bool,
        bad: BadRows,
        dropped: Counter[str],
        notes: list[str],
    ) -> None:
        """`places`: of the columns of a `Row`, `whole`: whether it keeps all cells.

        `bad`, `dropped` and `notes` are added to while reading.
        """
        self._file = file
        self._dialect = dialect
        self._places = places
        self._whole = whole
        self._bad = bad
        self._dropped = dropped
        self._notes = notes
        self._label = None if dialect.columns.label is None else find(dialect.names, dialect.columns.label)
        self._labels = set(dialect.labels)

    def rows(self, encoding: Encoding) -> Generator[Row, None, None]:
        """Yield the rows, but for a header, repeated ones, and rows that cannot be read."""
        names, header, label = self._dialect.names, self._dialect.header, self._label
        width, places, whole = len(names), self._places, self._whole
        while places[-1] is None:  # the text's place is known
            places = places[:-1]
        for begins, ends, cells in self._records(encoding):
            if cells == header:
                self._repeated(begins)
            elif len(cells) != width:
                self._wrong_width(begins, len(cells))
            elif ends > begins and label is not None and self._swallows(begins, ends, cells):
                pass
            else:
                if label is not None:
                    self._labels.add(cells[label])
                wanted: list[Any] = [None if place is None else cells[place] for place in places]
                row = Row(begins, *wanted)
                yield row._replace(record=dict(zip(names, cells, strict=True))) if whole else row

    def _records(self, encoding: Encoding) -> Generator[tuple[int, int, Record], None, None]:
        """Yield each record after the header with its first and last line; blank lines are skipped."""
        skipped = self._dialect.skipped
        headed = self._dialect.header is not None
        with long_cells(), open_lines(self._file, encoding.codec) as lines:
            for _ in range(skipped):
                lines.readline()
            reader: Any = self._dialect.reader(lines)
            begins = 1 + skipped
            while True:
                try:
                    for cells in reader:
                        ends = reader.line_num + skipped
                        if headed and cells:
                            headed = False
                        elif cells:
                            yield begins, ends, cells
                        begins = ends + 1
                    return
                except csv.Error as error:
                    ends = reader.line_num + skipped
                    self._malformed(begins, ends, error)
                    begins = ends + 1

    def _repeated(self, line: int) -> None:
        self._dropped["headers"] += 1
        if self._dropped["headers"] == 1:
            self._notes.append(f"{self._file.name}: line {line:,} repeats the header; such lines are left out")

    def _wrong_width(self, line: int, count: int) -> None:
        width = len(self._dialect.names)
        has = "the header has" if self._dialect.header is not None else "the first row has"
        between = _DELIMITER_NAMES.get(self._dialect.delimiter, repr(self._dialect.delimiter))
        remedy = f'Put a cell that holds {between}, a quote or a line break into "…".'
        if not self._dialect.quoted:
            remedy = "Check the line; --quoting csv reads cells in quotes."
        self._bad.add(
            InputError(
                f"{shown(self._file.path)}, line {line:,}: {count:,} cell{'s' * (count > 1)} where {has} {width:,}. "
                f"{remedy}",
                code="LX-DATA-021",
            )
        )

    def _malformed(self, begins: int, ends: int, error: csv.Error) -> None:
        reason = "a quote is opened and never closed" if "end of data" in str(error) else shown(error)
        self._bad.add(
            InputError(
                f"{shown(self._file.path)}: the row that begins on line {begins:,} is malformed: {reason}. "
                "Inside a quoted cell a quote is written twice; --quoting none takes quotes for characters.",
                code="LX-DATA-022",
            ),
            ends - begins + 1,
        )

    def _swallows(self, begins: int, ends: int, cells: Record) -> bool:
        """Return whether a quoted cell has lines inside that look like rows of their own, and note a bad row then."""
        for cell in cells:
            if "\n" not in cell and "\r" not in cell:
                continue
            for line in cell.splitlines()[:-1]:
                inner = line.split(self._dialect.delimiter)
                if len(inner) == len(cells) and inner[self._label or 0] in self._labels:
                    self._bad.add(
                        InputError(
                            f"{shown(self._file.path)}: the row that begins on line {begins:,} has a quote that is "
                            f"closed only on line {ends:,}, and a line between that looks like a row: "
                            f"'{shown(line)}'. Close the quote, or read quotes as characters: --quoting none.",
                            code="LX-DATA-074",
                        ),
                        ends - begins + 1,
                    )
                    return True
        return False
