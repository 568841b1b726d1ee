"""How a data file is read and its rows are cleaned."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import InputError

QUOTINGS = ("csv", "none")
DUPLICATES = ("drop", "keep")
CONFLICTS = ("drop", "keep", "vote")
_TABS = ("\\t", "tab")


@dataclass(frozen=True)
class Reading:
    """How a data file is read and its rows are cleaned. What is None is found from the file, and stated.

    Raises InputError for a value that is not possible.
    """

    delimiter: str | None = None
    """What separates the cells of a text file: one character, or `tab`."""
    quoting: str | None = None
    """`csv`: a cell that holds delimiters or line ends stands in "…"; `none`: a quote is a character."""
    encoding: str | None = None
    """The encoding of a text file, by its Python name: `cp1252`, `utf-16`, `gb18030`."""
    header: bool | None = None
    """Whether the first row of a text file names its columns."""
    names: tuple[str, ...] | None = None
    """The names of the columns of a file without a header, in their order."""
    skip_bad_rows: int = 0
    """At most this many rows that cannot be read are left out and counted; with more the file is refused."""
    label_separator: str | None = None
    """What separates several labels in a cell."""
    map_labels: Mapping[str, str] = field(default_factory=dict)
    """New names of labels; an empty one makes a row unlabelled."""
    drop_unlabelled: bool = False
    """Leave out and count texts without a label, instead of refusing them."""
    duplicates: str = "drop"
    """`drop`: of equal rows only the first is kept; `keep`: all are."""
    conflicts: str = "drop"
    """Texts under two labels: `drop` them all, `keep` them all, or keep the label that most rows `vote` for."""

    def __post_init__(self) -> None:
        if self.delimiter in _TABS:
            object.__setattr__(self, "delimiter", "\t")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '\r\n"'):
            raise InputError(
                f"The delimiter {self.delimiter!r} cannot be used; expected one character, such as ';', or tab.",
                code="LX-DATA-060",
            )
        for name, value, possible in (
            ("quoting", self.quoting, (None, *QUOTINGS)),
            ("duplicates", self.duplicates, DUPLICATES),
            ("conflicts", self.conflicts, CONFLICTS),
        ):
            if value not in possible:
                choices = ", ".join(choice for choice in possible if choice is not None)
                raise InputError(f"--{name} {value} is not known; choose one of: {choices}.", code="LX-DATA-061")
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.names is not None and self.header:
            raise InputError(
                "Column names are given for a file with a header, which has its own. Leave one of the two out.",
                code="LX-DATA-062",
            )
        if self.skip_bad_rows < 0:
            raise InputError(
                f"--skip-bad-rows {self.skip_bad_rows} is negative; expected how many rows may be left out.",
                code="LX-DATA-063",
            )
        if self.label_separator is not None and not self.label_separator.strip():
            raise InputError(
                f"The label separator is {self.label_separator!r}; expected a character such as ';'.",
                code="LX-DATA-064",
            )


USUAL_READING = Reading()
"""Everything found from the file; nothing skipped; duplicates and conflicting texts dropped."""


def _check_encoding(name: str) -> None:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
    except (LookupError, ValueError):
        raise InputError(
            f"The encoding {name!r} is not known; expected one of Python's, such as utf-8, cp1252 or utf-16.",
            code="LX-DATA-065",
        ) from None


def parse_label_map(pairs: Sequence[str]) -> dict[str, str]:
    """Return the new names of labels by the old ones, from strings "OLD=NEW". Raises InputError for others."""
    found = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not equals or not old.strip():
            raise InputError(
                f"--map-label {pair} is not understood; expected OLD=NEW, or OLD= to make its texts unlabelled.",
                code="LX-DATA-088",
            )
        found[old.strip()] = new.strip()
    return found
