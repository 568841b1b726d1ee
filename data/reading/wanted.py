"""The columns wanted of a file, and where they are among those found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...messages.nearest import did_you_mean
from ...storage.compression import listed, shown
from ..columns import Columns, Row, option

# Another usual name of a column, which is taken if the first is missing.
_ALSO = {"label": "labels"}


@dataclass(frozen=True)
class Wanted:
    """The columns wanted of a file."""

    path: Path
    """The file."""
    columns: Columns
    """Their names."""
    whole: bool = False
    """Whether rows keep all of their cells (`Row.record`)."""
    notes: list[str] = field(default_factory=list)
    """Names that were taken although they differ."""

    def places(self, found: Sequence[str]) -> list[int | None]:
        """Return the position in `found` of each wanted column, in the order of a row's cells.

        Raises InputError as `place` does, for whole rows also if two columns have the same name.
        """
        repeated = [name for name, count in Counter(found).items() if count > 1] if self.whole else []
        if repeated:
            raise self._repeated(found, repeated[0])
        fields = vars(self.columns).items()
        return [None if name is None else self.place(found, field) for field, name in fields]

    def place(self, found: Sequence[str], field: str) -> int:
        """Return the position of the column for `field` in `found`. Raises InputError unless it is there once."""
        name = self.columns.named()[field]
        if found.count(name) > 1:
            raise self._repeated(found, name)
        place = find(found, name)
        if place is None:
            raise InputError(
                f"{shown(self.path)} has no column '{shown(name)}'.{did_you_mean(name, found)} Its columns are: "
                f"{listed(found, 20) or 'none'}. Name the right one with {option(field)}.",
                code="LX-DATA-019",
            )
        if found[place] != name:
            self._state(field, found[place])
        return place

    def _repeated(self, found: Sequence[str], name: str) -> InputError:
        return InputError(
            f"{shown(self.path)} has {found.count(name)} columns named '{shown(name)}'. Rename all but one.",
            code="LX-DATA-018",
        )

    def _state(self, field: str, name: str) -> None:
        note = f"the column '{shown(name)}' is taken for the {field}s"
        if note not in self.notes:
            self.notes.append(note)

    def row(self, number: int, names: Mapping[str, str | None], record: Mapping[str, Any]) -> Row:
        """Return a row of a record, whose columns are called by `names`."""
        cells = [None if name is None else record.get(name) for name in names.values()]
        row = Row(number, *cells)
        return row._replace(record=record) if self.whole else row


def find(found: Sequence[str], name: str) -> int | None:
    """Return the position of a column in `found`: by its exact name, else without regard to case and space.

    The second must be unique. "labels" is taken for "label" if nothing else is.
    """
    if found.count(name) == 1:
        return found.index(name)
    alike = [place for place, other in enumerate(found) if _plain(other) == _plain(name)]
    if len(alike) == 1:
        return alike[0]
    return find(found, _ALSO[name]) if not alike and name in _ALSO else None


def _plain(name: str) -> str:
    return " ".join(str(name).casefold().split())
