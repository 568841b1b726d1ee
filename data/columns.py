"""The columns to read from a data source, and its rows before cleaning."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read; None: not read."""

    text: str = "text"
    """The text."""
    label: str | None = "label"
    """The label or labels."""
    language: str | None = None
    """The language of the text."""
    pair: str | None = None
    """A second text."""
    image: str | None = None
    """The values of an image."""
    part: str | None = None
    """The part of the split that the row belongs to."""
    key: str | None = None
    """The group or the time that decides the part."""

    def named(self) -> dict[str, str]:
        """Return the columns that are read, {field: name}, the text first."""
        return {field: name for field, name in vars(self).items() if name is not None}


def option(field: str) -> str:
    """Return the option of the command line that names the column for a field of `Columns`."""
    return {"part": "--split-column", "key": "--split"}.get(field, f"--{field}-column")


class Row(NamedTuple):
    """A row of a source: a cell may be None, a number, a list; None also if the column is not read.

    `number` is that of the line or row in the source, from 1.
    """

    number: int
    text: Any
    label: Any = None
    language: Any = None
    pair: Any = None
    image: Any = None
    part: Any = None
    key: Any = None


@dataclass(frozen=True)
class Rows:
    """Rows that can be read once."""

    unit: str
    """What their numbers count: "line" or "row"."""
    rows: Generator[Row, None, None]
    """The rows."""
