"""The index beside a matrix of vectors: the word of each row.

It has the matrix's name and one of four endings: .txt, one word per line; .json, a list of words or {word: row}; .csv
or .parquet with a column `word` (or `index`, as pandas may call it) and, unless the words are in the rows' order, a
column `row`. Rows are counted from 0.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError, import_optional
from ...storage.compression import damaged, listed, opener_for, readable, shown

_WORD_COLUMNS, _ROW_COLUMN = ("word", "index"), "row"
_BATCH = 65_536  # rows of a Parquet file that are Python objects at a time

Entry = tuple[int, Any, Any]
"""Where in the index, counted from 1, the word, and its row; the row is None where the order says it."""


def find_index(matrix: Path) -> Path:
    """Return the index of a matrix. Raises InputError unless there is one, and one only."""
    there = [path for path in (matrix.with_suffix(ending) for ending in _READERS) if path.is_file()]
    if len(there) == 1:
        return there[0]
    names = listed(path.name for path in there)
    what = f"{len(there)} files that could be its index: {names}" if there else "no index of its words beside it"
    remedy = "Keep one of them." if there else "Write one, for example a text file with one word per line."
    raise InputError(
        f"{shown(matrix)} has {what}; expected one file {shown(matrix.stem)} with the ending {listed(_READERS)}. "
        f"{remedy}",
        code="LX-VECTORS-008",
    )


def look_up_rows(index: Path, words: Sequence[str], matrix: Path, rows: int) -> dict[str, int]:
    """Return the rows of those `words` that the index has; of a word that comes twice in it the first counts.

    Raises InputError for an index that is damaged or does not give each of the `rows` of the matrix one word.
    """
    wanted = set(words)
    found: dict[str, int] = {}
    for word, place in _places(index, matrix, rows):
        if word in wanted:
            found.setdefault(word, place)
    return found


def read_words(index: Path, matrix: Path, rows: int) -> list[str]:
    """Return the word of each of the `rows` of the matrix. Raises as `look_up_rows` does."""
    words = [""] * rows
    for word, place in _places(index, matrix, rows):
        words[place] = word
    return words


def _places(index: Path, matrix: Path, rows: int) -> Iterator[tuple[str, int]]:
    """Yield each word and its row. Raises as `look_up_rows` does, at the end if the number of words is wrong."""
    taken = bytearray(rows)
    count = 0
    for number, word, row in _READERS[index.suffix](index):
        if not isinstance(word, str):
            raise _bad(index, number, f"has {shown(word)!r} for a word", "a text was expected")
        place = count if row is None else row
        count += 1
        if row is not None and not 0 <= place < rows:
            raise _bad(index, number, f"gives '{shown(word)}' row {place:,}", f"0 to {rows - 1:,} were expected")
        if place < rows:
            if taken[place]:
                raise _bad(index, number, f"gives '{shown(word)}' row {place:,}, which another word has", _ONE_EACH)
            taken[place] = 1
            yield word, place
    if count != rows:
        raise InputError(
            f"{shown(index)} has {count:,} words and {shown(matrix.name)} has {rows:,} vectors; {_ONE_EACH}. Write "
            "the index again from the source of the matrix.",
            code="LX-VECTORS-009",
        )


_ONE_EACH = "one word for each vector was expected"


def _bad(index: Path, number: int, what: str, expected: str) -> InputError:
    return InputError(
        f"{shown(index)}, entry {number:,} {what}; {expected}. Correct the index.", code="LX-VECTORS-010"
    )


def _lines(path: Path) -> Iterator[Entry]:
    opener = opener_for("")
    with readable(path, opener), opener(path) as lines:
        for number, line in enumerate(lines, 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            yield number, text.removesuffix("\n").removesuffix("\r"), None


def _json(path: Path) -> Iterator[Entry]:
    with readable(path, opener_for("")):
        content = path.read_bytes().decode("utf-8-sig")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{shown(path)} is not valid JSON: {shown(error)}. Write it again with json.dump.", code="LX-VECTORS-011"
        ) from None
    if isinstance(value, dict):
        for number, (word, row) in enumerate(value.items(), 1):
            yield number, word, _row(path, number, row)
    elif isinstance(value, list):
        for number, word in enumerate(value, 1):
            yield number, word, None
    else:
        raise InputError(
            f"{shown(path)} holds neither a list nor an object but {shown(value)}; a list of words in the order of "
            'the rows, or {"word": row, …}, was expected.',
            code="LX-VECTORS-012",
        )


def _csv(path: Path) -> Iterator[Entry]:
    opener = opener_for("")
    with (
        readable(path, opener),
        opener(path) as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as lines,
    ):
        records = csv.reader(lines, strict=True)
        try:
            header = next(records, [])
            word, row = _columns(path, header)
            for number, cells in enumerate(filter(None, records), 1):
                if len(cells) != len(header):
                    raise _bad(path, number, f"has {len(cells):,} cells", f"{len(header):,} were expected")
                yield number, cells[word], None if row is None else _row(path, number, cells[row])
        except csv.Error as error:
            raise InputError(
                f"{shown(path)}, line {records.line_num:,} is malformed: {shown(error)}. Words that hold a quote or "
                'a comma belong in "…", a quote within written twice.',
                code="LX-VECTORS-013",
            ) from None


def _parquet(path: Path) -> Iterator[Entry]:
    parquet = import_optional("pyarrow.parquet", "Reading Parquet")
    arrow_error = import_optional("pyarrow", "Reading Parquet").ArrowException
    try:
        with readable(path), path.open("rb") as handle, parquet.ParquetFile(handle) as file:
            names = file.schema_arrow.names
            word, row = _columns(path, names)
            number = 0
            for batch in file.iter_batches(_BATCH, columns=[names[at] for at in (word, row) if at is not None]):
                words = batch.column(names[word]).to_pylist()
                rows = [None] * len(words) if row is None else batch.column(names[row]).to_pylist()
                for one, place in zip(words, rows, strict=True):
                    number += 1
                    yield number, one, None if row is None else _row(path, number, place)
    except arrow_error as error:
        raise damaged(path, error) from None


def _columns(path: Path, names: Sequence[str]) -> tuple[int, int | None]:
    """Return where the column of the words is, and that of the rows, if there is one."""
    for name in _WORD_COLUMNS:
        if name in names:
            return names.index(name), names.index(_ROW_COLUMN) if _ROW_COLUMN in names else None
    raise InputError(
        f"{shown(path)} has no column 'word'; its columns are: {listed(names, 20) or 'none'}. A column 'word', and "
        "'row' unless the words are in the order of the rows, were expected. Rename them.",
        code="LX-VECTORS-014",
    )


def _row(path: Path, number: int, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _bad(path, number, f"has {shown(value)!r} for a row", "a whole number, 0 or above, was expected")


_READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    ".txt": _lines,
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
}
