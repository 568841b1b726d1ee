"""Where rows are written to: the format by the ending of a file's name, or JSON lines on standard output."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol, cast

from ...errors import InputError, import_optional
from ...messages.escaping import json_visible
from ...storage import atomic
from ...storage.compression import shown
from ..reading.sources import STDIN
from .arrow import ArrowRows, ParquetRows
from .kinds import Columns
from .text import Cells, JsonLines

STDOUT = STDIN
"""The name that stands for standard output, as it does for standard input where data are read."""
_COMPRESSED = ".gz"


class Writer(Protocol):
    """Something that rows are written to."""

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows, each its cells by column."""

    def close(self) -> None:
        """Write what is held back."""


Make = Callable[[IO[bytes], Columns], Writer]

_TEXT: dict[str, Make] = {".csv": Cells, ".tsv": partial(Cells, delimiter="\t"), ".jsonl": JsonLines}
_TABLES: dict[str, type[ArrowRows]] = {".parquet": ParquetRows, ".arrow": ArrowRows}
_ENDINGS = f"{', '.join(_TEXT)}, each also with {_COMPRESSED}, or {', '.join(_TABLES)}"


@dataclass(frozen=True)
class Target:
    """A file to write, or standard output."""

    path: Path | None
    """The file; None for standard output."""
    make: Make
    """Makes what writes the format."""
    compressed: bool = False
    """Whether the file is compressed with gzip."""

    @contextmanager
    def open(self, columns: Columns) -> Iterator[Writer]:
        """Context manager: what writes rows with these columns. After an error an old file is as it was."""
        with ExitStack() as stack:
            if self.path is None:
                handle: IO[bytes] = sys.stdout.buffer
                stack.callback(handle.flush)
            else:
                handle = stack.enter_context(atomic.new_file(self.path))
            if self.compressed:
                # Without a name and a time the same rows make the same bytes.
                packed = gzip.GzipFile("", "wb", 6, handle, mtime=0)
                handle = cast(IO[bytes], stack.enter_context(packed))
            yield stack.enter_context(closing(self.make(handle, columns)))


def standard_output() -> Target:
    """Return standard output, which takes JSON lines."""
    return Target(None, partial(JsonLines, shown=json_visible))


def check_target(path: Path, *, option: str, replace: bool) -> Target:
    """Return the file to write, before any work is done; nothing is created.

    `option` is the name of the option that gives `path`, for messages. Raises InputError for another ending, for a
    file that is there unless it is to be replaced, and for a folder that cannot be written; MissingExtra without a
    package that the format needs.
    """
    endings = [ending.lower() for ending in path.suffixes]
    compressed = endings[-1:] == [_COMPRESSED]
    ending = "".join(endings[-2:-1] if compressed else endings[-1:])
    table = _TABLES.get(ending) if not compressed else None
    make: Make | None = table or _TEXT.get(ending)
    if make is None:
        raise InputError(
            f"{option} {shown(path)} does not say its format; expected a name that ends in {_ENDINGS}. Change its "
            "ending.",
            code="LX-DATA-090",
        )
    atomic.check_file(path, replace=replace)
    if table is not None:
        import_optional("pyarrow", table.PURPOSE)
    return Target(path, make, compressed)
