"""Read the wanted columns of a CSV, TSV, JSONL or Parquet file, row by row.

A reader yields the content of the file before cleaning: a cell may be None, a number, a list. Every problem with the
file itself (missing, truncated, not UTF-8, malformed) is an InputError that names the place.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..storage.compression import (
    COMPRESSIONS,
    Opener,
    check_file,
    damaged,
    empty,
    import_extra,
    listed,
    opener_for,
    readable,
    shown,
)
from .columns import Columns, Row, Rows, option

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_TEXT_ENDINGS = (*_DELIMITERS, ".jsonl", ".ndjson")
ACCEPTED = f"{', '.join(_TEXT_ENDINGS)}, each also with {', '.join(COMPRESSIONS)}, or .parquet"

_CELL_LIMIT = 2**31 - 1  # characters; the csv module's own limit is 131,072 and must fit a C long
_BATCH, _IMAGE_BATCH = 65_536, 1024  # rows of a Parquet file that are Python objects at a time


def read(path: Path, columns: Columns) -> Rows:
    """Open `path` by its ending; rows are read lazily.

    Raises InputError, here or while reading, and MissingExtra if the package for Parquet or zstd is missing.
    """
    check_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    ending = suffixes[-1] if suffixes else ""
    wanted = _Wanted(path, columns)
    if ending == ".parquet" and not compression:
        return Rows("row", _parquet_rows(wanted, import_extra("pyarrow.parquet", "parquet", "Reading Parquet")))
    if ending in _DELIMITERS:
        return Rows("line", _csv_rows(wanted, opener_for(compression), _DELIMITERS[ending]))
    if ending in _TEXT_ENDINGS:
        return Rows("line", _jsonl_rows(wanted, opener_for(compression)))
    raise InputError(
        f"{shown(path)}: the ending of the file name is not known. "
        f"Accepted endings: {ACCEPTED}; rename or convert the file.",
        code="LX-DATA-017",
    )


@dataclass(frozen=True)
class _Wanted:
    """The columns wanted of a file."""

    path: Path
    columns: Columns

    @property
    def names(self) -> list[str | None]:
        """The columns' names in the order of a row's cells, None for one that is not read."""
        return list(vars(self.columns).values())

    def places(self, found: list[str]) -> list[int | None]:
        """Return the position in `found` of each wanted column, in the order of a row's cells."""
        fields = vars(self.columns).items()
        return [None if name is None else self.place(found, field) for field, name in fields]

    def place(self, found: list[str], field: str) -> int:
        """Return the position of the column for `field` in `found`. Raises InputError unless it is there once."""
        name = self.columns.named()[field]
        if found.count(name) == 1:
            return found.index(name)
        if name in found:
            raise InputError(
                f"{shown(self.path)} has {found.count(name)} columns named '{shown(name)}'. Rename all but one.",
                code="LX-DATA-018",
            )
        raise InputError(
            f"{shown(self.path)} has no column '{shown(name)}'; its columns are: "
            f"{listed(found, 20) or 'none'}. Name the right one with {option(field)}.",
            code="LX-DATA-019",
        )


def _csv_rows(wanted: _Wanted, opener: Opener, delimiter: str) -> Generator[Row, None, None]:
    path = wanted.path
    limit = csv.field_size_limit(_CELL_LIMIT)
    try:
        with (
            readable(path, opener),
            opener(path) as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as lines,
        ):
            records = _csv_records(path, csv.reader(lines, delimiter=delimiter, strict=True))
            header = [cell.strip() for cell in next(records, (0, []))[1]]
            if not header:
                raise empty(path)
            if any("\0" in name for name in header):
                raise InputError(
                    f"{shown(path)} is binary, not UTF-8 text: it begins with NUL characters.", code="LX-DATA-020"
                )
            places = wanted.places(header)
            for number, cells in records:
                if len(cells) != len(header):
                    raise InputError(
                        f"{shown(path)}, line {number:,}: {len(cells):,} cell{'s' * (len(cells) > 1)} where "
                        f"the header has {len(header):,}. Put a cell that holds a "
                        f'{"comma" if delimiter == "," else "tab"}, a quote or a line break into "…".',
                        code="LX-DATA-021",
                    )
                yield Row(number, *[None if place is None else cells[place] for place in places])
    finally:
        csv.field_size_limit(limit)


def _csv_records(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it begins on; blank lines are skipped."""
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        reason = "a quote is opened and never closed" if "end of data" in str(error) else shown(error)
        raise InputError(
            f"{shown(path)}: the row that begins on line {begins:,} is malformed: {reason}. "
            "Inside a quoted cell a quote is written twice.",
            code="LX-DATA-022",
        ) from None


def _jsonl_rows(wanted: _Wanted, opener: Opener) -> Generator[Row, None, None]:
    path = wanted.path
    columns: list[str] = []  # of the first object
    text, names = wanted.columns.text, wanted.names
    absent = wanted.columns.named()  # so far from every object
    with (
        readable(path, opener),
        opener(path) as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n") as lines,
    ):
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            item = _json_object(path, number, line)
            if not columns:
                columns = list(item)
                wanted.place(columns, "text")
            if text not in item:
                raise InputError(
                    f"{shown(path)}, line {number:,} has no '{shown(text)}'; its keys are: "
                    f"{listed(item, 20) or 'none'}. Every line needs a text.",
                    code="LX-DATA-023",
                )
            if absent:
                absent = {field: name for field, name in absent.items() if name not in item}
            yield Row(number, *[None if name is None else item.get(name) for name in names])
    if not columns:
        raise empty(path)
    for field in absent:
        wanted.place(columns, field)


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    where = f"{shown(path)}, line {number:,}"
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} is not valid JSON: {error.msg} at column {error.colno:,}. "
            "JSONL has one complete JSON object per line.",
            code="LX-DATA-024",
        ) from None
    except ValueError:
        raise InputError(f"{where} has a number with too many digits. Shorten it.", code="LX-DATA-025") from None
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be read. Flatten it.", code="LX-DATA-026") from None
    if not isinstance(item, dict):
        raise InputError(
            f"{where} is not a JSON object: {shown(line.strip())}. "
            'Every line of JSONL looks like {"text": "…", "label": "…"}.',
            code="LX-DATA-027",
        )
    return item


def _parquet_rows(wanted: _Wanted, parquet: Any) -> Generator[Row, None, None]:
    path = wanted.path
    arrow_error = import_extra("pyarrow", "parquet", "Reading Parquet").ArrowException
    try:
        with readable(path), path.open("rb") as handle, parquet.ParquetFile(handle) as file:
            columns = file.schema_arrow.names
            places = wanted.places(columns)
            names = [None if place is None else columns[place] for place in places]
            size = _IMAGE_BATCH if wanted.columns.image else _BATCH
            first = 1
            for batch in file.iter_batches(size, columns=[name for name in names if name is not None]):
                nothing = [None] * batch.num_rows
                cells = [nothing if name is None else batch.column(name).to_pylist() for name in names]
                for number, values in enumerate(zip(*cells, strict=True), first):
                    yield Row(number, *values)
                first += batch.num_rows
    except arrow_error as error:
        raise damaged(path, error) from None
