"""What is read of a data source: the columns wanted, and the rows as they come, not yet cleaned."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are read, None where none is: text, label, language, pair (a second text), image."""

    text: str = "text"
    label: str | None = "label"
    language: str | None = None
    pair: str | None = None
    image: str | None = None

    def named(self) -> dict[str, str]:
        """The columns that are read, {field: name}, the text first."""
        return {field: name for field, name in vars(self).items() if name is not None}


def option(field: str) -> str:
    """The option of the command line that names the column for a field of `Columns`."""
    return f"--{field}-column"


class Row(NamedTuple):
    """A row as its source holds it: a cell may be None, a number, a list; None too where the column is not read.

    `number` is that of the line or row in the source, counted from 1. `part` is given by sample sets alone.
    """

    number: int
    text: Any
    label: Any = None
    language: Any = None
    pair: Any = None
    image: Any = None
    part: str | None = None


@dataclass(frozen=True)
class Rows:
    """Rows to go through once; `unit` says what their numbers count: "line" or "row"."""

    unit: str
    rows: Generator[Row, None, None]
