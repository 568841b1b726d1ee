"""The kinds of values in a column: what a format with typed columns declares."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from ..columns import Rows

_LARGEST = 2**63


class Kind(Enum):
    """The kind of a column's values; each may be missing as well."""

    TEXT = "text"
    TRUTH = "truth"
    WHOLE = "whole"
    NUMBER = "number"
    TEXTS = "texts"
    NUMBERS = "numbers"
    MIXED = "mixed"
    """Anything else: written as `as_text` says."""


Columns = Mapping[str, Any]
"""Columns in their order: the Kind of each, or the Arrow type that its source declares."""


class Seen:
    """The columns of the rows so far, in the order of first sight."""

    def __init__(self) -> None:
        """Begin without columns."""
        self._kinds: dict[str, set[Kind]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Note the columns of a row, and the kinds of its values."""
        for name, value in record.items():
            kinds = self._kinds.setdefault(name, set())
            if value is not None and value != []:
                kinds.add(_kind(value))

    def columns(self, sources: Sequence[Rows]) -> dict[str, Any]:
        """Return the columns, with the Arrow type that `sources` declare if all that have it declare the same."""
        found: dict[str, Any] = {}
        for name, kinds in self._kinds.items():
            declared = [source.types.get(name) for source in sources if name in source.types or not source.types]
            same = declared and declared[0] is not None and all(one == declared[0] for one in declared)
            found[name] = declared[0] if same else _common(kinds)
        return found


def _kind(value: Any) -> Kind:
    match value:
        case str():
            return Kind.TEXT
        case bool():
            return Kind.TRUTH
        case int():
            return Kind.WHOLE if -_LARGEST <= value < _LARGEST else Kind.MIXED
        case float():
            return Kind.NUMBER
        case list():
            inner = {_kind(one) for one in value}
            if inner <= {Kind.TEXT}:
                return Kind.TEXTS
            return Kind.NUMBERS if inner <= {Kind.WHOLE, Kind.NUMBER} else Kind.MIXED
    return Kind.MIXED


def _common(kinds: Iterable[Kind]) -> Kind:
    """Return the kind that holds values of all `kinds`; text where there are none."""
    several = set(kinds)
    if len(several) < 2:
        return next(iter(several), Kind.TEXT)
    return Kind.NUMBER if several == {Kind.WHOLE, Kind.NUMBER} else Kind.MIXED


def as_text(value: Any) -> str:
    """Return a value as a cell of text: "" for None, a string as it is, true, 1.5, JSON of lists and objects."""
    if value is None:
        return ""
    if isinstance(value, str):
        return encodable(value)
    return encodable(as_json(value) if isinstance(value, int | float | list | dict) else _plain(value))


def as_json(value: Any) -> str:
    """Return a value as JSON on one line; times and decimal numbers as strings, bytes in base64."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def encodable(text: str) -> str:
    r"""Return a text with codes such as `\ud800` for halves of surrogate pairs, which no file in UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
