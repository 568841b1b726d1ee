"""The columns to read from a data source, and its rows before cleaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
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


def option(name: str) -> str:
    """Return the option of the command line that names the column for the field `name` of `Columns`."""
    return {"part": "--split-column", "key": "--split"}.get(name, f"--{name}-column")


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
    record: Mapping[str, Any] | None = None
    """Every cell by its column, where whole rows are read and the source has columns."""


@dataclass(frozen=True)
class Rows:
    """Rows that can be read once."""

    name: str
    """The name of their source in messages."""
    unit: str
    """What their numbers count: "line", "row", "item" or "file"."""
    rows: Generator[Row, None, None]
    """The rows."""
    notes: list[str] = field(default_factory=list)
    """What was found out about the source, in sentences; complete once all rows were read."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that were left out while reading, by reason; complete once all rows were read."""
    places: Sequence[str] | None = None
    """The name of each row, where a row is a file of its own."""
    types: dict[str, Any] = field(default_factory=dict)
    """The Arrow types of the columns of whole rows, where the source has them; complete once a row was read."""


class Place:
    """Where a row stands, for messages: it becomes text only when one is written."""

    def __init__(self, source: Rows) -> None:
        """Stand before the first row of `source`."""
        self.source = source
        self.number = 0

    def __str__(self) -> str:
        """Return the place as messages name it."""
        source = self.source
        row = f"{source.unit} {self.number:,}" if source.places is None else source.places[self.number - 1]
        return f"{source.name}, {row}"
