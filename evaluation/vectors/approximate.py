"""The nearest rows of a table by an approximate index, kept in memory or in a file.

Malkov, Yashunin: Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical Navigable Small World
Graphs, 2018, as the package voyager has it. An index holds a byte for each number, so it finds more rows than are
asked for, and the exact cosines of these choose among them.

A file is a line of JSON, padded with spaces, and the index as voyager writes it. The line has the digest of both,
since voyager reads some damaged files without an error, and that of the table which the index was made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ...errors import InputError, import_optional
from ...storage.atomic import new_file
from ...storage.compression import check_file, readable, shown
from ...storage.cores import cores
from ...storage.progress import Progress, silent
from .nearest import Found, Nearest
from .quality import Kept, kept_neighbours
from .rows import Floats, Ints
from .table import WordTable

SAMPLE = 200
"""The number of words whose neighbours are compared with the exact ones when an index is built."""
_SCHEMA = "lexport word index 1"
_LINE = 512  # bytes of the first line of a file
# Links of a row, and rows that are compared with a new one and with one that is asked about: more find more and take
# longer.
_LINKS, _COMPARED_NEW, _COMPARED = 16, 100, 100
_MORE = 3  # rows that the index is asked for, for each one that is asked for
_TOGETHER = 1 << 21  # numbers that are added or read at a time


class Approximate(Nearest):
    """Finds most of the nearest rows by an index, with their exact cosines."""

    def __init__(self, exact: Nearest, index: Any) -> None:
        """Search the rows of `exact` by voyager's `index`, whose ids are the rows."""
        super().__init__(exact.rows, exact._hidden)
        self._inverse, self._index = exact.inverse, index

    def save(self, handle: BinaryIO) -> None:
        """Write the index as voyager does."""
        self._index.save(handle)

    def _find(self, units: Floats, count: int, without: Sequence[Ints] | None) -> list[Found]:
        most = max(map(len, without), default=0) if without is not None else 0
        asked = min(len(self._index), _MORE * count + most)
        voyager = _voyager()
        try:
            near, _ = self._index.query(
                np.ascontiguousarray(units), k=asked, num_threads=cores(), query_ef=max(_COMPARED, asked)
            )
        except voyager.RecallError:  # parts of the graph cannot be reached from each other
            return super()._find(units, count, without)
        found = []
        for place, rows in enumerate(near.astype(np.int64)):
            kept = np.sort(rows if without is None else np.setdiff1d(rows, without[place]))
            cosines = self.units(kept) @ units[place]
            order = np.argsort(-cosines, kind="stable")[:count]
            found.append((kept[order], cosines[order]))
        return found


@dataclass(frozen=True)
class Indexed:
    """A table that is searched by an index."""

    table: WordTable
    """Its nearest rows are found by the index."""
    recall: Kept | None
    """How many of ten neighbours are the exact ones, of `SAMPLE` words; None for a table of hardly more than ten."""


def build(table: WordTable, *, progress: Progress = silent) -> Indexed:
    """Return the table behind a new index in memory, about a quarter of the float32 table and 150 bytes a row.

    Rows without a direction are left out. Of several threads each build differs a little from another. Raises
    MissingExtra without voyager.
    """
    voyager = _voyager()
    usable, rows = table.usable(), table.rows
    index = voyager.Index(
        voyager.Space.Cosine,
        num_dimensions=rows.dim,
        M=_LINKS,
        ef_construction=_COMPARED_NEW,
        max_elements=max(1, len(usable)),
        storage_data_type=voyager.StorageDataType.Float8,
    )
    step = max(1, _TOGETHER // rows.dim)
    for first in range(0, len(usable), step):
        own = usable[first : first + step]
        index.add_items(np.ascontiguousarray(table.nearest.units(own)), own.tolist(), num_threads=cores())
        progress(first + len(own), len(usable), f"{first + len(own):,} of {len(usable):,} words")
    made = table.searched_by(Approximate(table.nearest, index))
    return Indexed(made, kept_neighbours(table, made, SAMPLE))


def save(indexed: Indexed, file: Path) -> None:
    """Write the index to `file`, atomically. Raises InputError where that cannot be written."""
    near = indexed.table.nearest
    assert isinstance(near, Approximate)
    header: dict[str, Any] = {
        "schema": _SCHEMA,
        "table": _digest(indexed.table),
        "recall": None if indexed.recall is None else asdict(indexed.recall),
    }
    with new_file(file) as handle:
        handle.write(bytes(_LINE))
        near.save(handle)
        handle.seek(_LINE)
        header["sha256"] = _sha256(header, handle)
        handle.seek(0)
        handle.write(json.dumps(header).encode().ljust(_LINE - 1) + b"\n")


def load(table: WordTable, file: Path) -> Indexed:
    """Return the table behind the index of a file.

    Raises InputError for a file that is damaged, no index, or that of other words or vectors, MissingExtra without
    voyager.
    """
    voyager = _voyager()
    check_file(file)
    with readable(file), file.open("rb") as handle:
        header = _header(handle.read(_LINE))
        if header is None:
            raise InputError(
                f"{shown(file)} is no index of word vectors that this version of lexport reads. Name a file that "
                "`Vectors.index` wrote, or a new one.",
                code="LX-VECTORS-120",
            )
        if header.pop("sha256") != _sha256(header, handle):
            raise InputError(
                f"{shown(file)} is damaged: its content does not have the digest that it names. Remove it, and build "
                "the index again.",
                code="LX-VECTORS-121",
            )
        if header["table"] != _digest(table):
            raise InputError(
                f"{shown(file)} is the index of other words or vectors than those of {table.name}. Name the vectors "
                "that it was made of, or another file for a new index.",
                code="LX-VECTORS-122",
            )
        handle.seek(_LINE)
        try:
            index = voyager.Index.load(handle)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{shown(file)} cannot be read by the installed voyager: {shown(error)}. Remove it, and build the "
                "index again.",
                code="LX-VECTORS-123",
            ) from None
    recall = header["recall"]
    return Indexed(
        table.searched_by(Approximate(table.nearest, index)), None if recall is None else Kept(**cast(Any, recall))
    )


def _header(line: bytes) -> dict[str, Any] | None:
    """Return the first line of an index, None if it is that of another file."""
    try:
        read = json.loads(line)
        known = read["schema"] == _SCHEMA and {"table", "recall", "sha256"} <= read.keys()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return cast("dict[str, Any]", read) if known else None


def _sha256(header: dict[str, Any], handle: Any) -> str:
    """Return the SHA-256 of the rest of a header and of the file from here on."""
    return hashlib.file_digest(handle, lambda: hashlib.sha256(json.dumps(header).encode())).hexdigest()


def _digest(table: WordTable) -> str:
    """Return the SHA-256 of the words and of their rows as float32."""
    found = hashlib.sha256(json.dumps([len(table.words), table.rows.dim, list(table.words)]).encode())
    step = max(1, _TOGETHER // table.rows.dim)
    room = np.empty((min(step, len(table.rows)), table.rows.dim), np.float32)
    for first in range(0, len(table.rows), step):
        part = table.rows.part(first, min(len(table.rows), first + step), room)
        found.update(part.tobytes())
    return found.hexdigest()


def _voyager() -> Any:
    return import_optional("voyager", "An index of word vectors")
