"""Write rows as text: CSV, TSV and JSON lines, all in UTF-8."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from .kinds import Columns, as_json, as_text

Row = Mapping[str, Any]


class JsonLines:
    """A JSON object on every line, with the keys that the row has."""

    def __init__(self, handle: IO[bytes], columns: Columns, shown: Callable[[str], str] = str) -> None:
        """Write to `handle`; `shown` may change a line on its way, and not its meaning."""
        self._handle = handle
        self._shown = shown

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows."""
        for row in rows:
            # A string may have half of a surrogate pair; JSON has an escape for it.
            self._handle.write(self._shown(as_json(row)).encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        """Do nothing: every row is written."""


class Cells:
    """Lines of cells, quoted where they must be, below a header."""

    def __init__(self, handle: IO[bytes], columns: Columns, delimiter: str = ",") -> None:
        """Write the header to `handle`; between cells stands `delimiter`.

        A TSV has its header in quotes, which says that a quote in it is CSV's and not a character.
        """
        self._handle = handle
        self._names = list(columns)
        self._text = io.StringIO(newline="")
        self._minimal, self._quoted = (
            csv.writer(self._text, delimiter=delimiter, lineterminator="\n", quoting=quoting)
            for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )
        header = [as_text(name) for name in self._names]
        (self._quoted if delimiter == "\t" else self._minimal).writerow(header)
        self._flush()

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows; a cell that a row does not have is blank."""
        for row in rows:
            cells = [as_text(row.get(name)) for name in self._names]
            # A carriage return ends a line for readers, but not for this module's idea of what must be quoted.
            (self._quoted if any("\r" in cell for cell in cells) else self._minimal).writerow(cells)
        self._flush()

    def close(self) -> None:
        """Do nothing: every row is written."""

    def _flush(self) -> None:
        self._handle.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()
