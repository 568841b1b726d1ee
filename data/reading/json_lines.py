"""Read JSON: an object on every line, or one document with a list of objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from ...errors import InputError
from ...storage.compression import empty, listed, shown
from ..columns import Row, Rows
from .annotations import Export, export_of
from .bad_rows import BadRows
from .dialect import open_lines
from .encoding import find_encoding
from .kinds import DataFile
from .options import Reading
from .wanted import Wanted, find

Item = dict[str, Any]


def read_json_lines(file: DataFile, wanted: Wanted, reading: Reading, bad: BadRows) -> Rows:
    """Return the rows of a file with an object on every line. Raises InputError, here or while reading."""
    encoding = find_encoding(file.path, file.opener, reading.encoding)
    notes = [f"{file.name}: {encoding.stated()}, a JSON object on every line"]
    items = _lines(file, encoding.codec, bad)
    return _Objects(file, wanted, bad, "line", notes).read(items)


def read_json(file: DataFile, wanted: Wanted, reading: Reading, bad: BadRows) -> Rows:
    """Return the rows of one JSON document: a list of objects. Raises InputError, here or while reading."""
    encoding = find_encoding(file.path, file.opener, reading.encoding)
    notes = [f"{file.name}: {encoding.stated()}, a JSON list of objects"]
    with open_lines(file, encoding.codec) as lines:
        document = _parsed(shown(file.path), lines.read())
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        document = document["data"]
    if not isinstance(document, list):
        raise InputError(
            f"{shown(file.path)} is JSON, but no list of objects: {shown(json.dumps(document)[:80])}. Expected "
            '[{"text": "…", "label": "…"}, …].',
            code="LX-DATA-075",
        )
    return _Objects(file, wanted, bad, "item", notes).read(_members(file, document, bad))


def _lines(file: DataFile, codec: str, bad: BadRows) -> Iterator[tuple[int, Item]]:
    with open_lines(file, codec) as lines:
        for number, line in enumerate(lines, 1):
            if not line.isspace():
                try:
                    item = _parsed(f"{shown(file.path)}, line {number:,}", line.rstrip("\r\n"))
                    yield number, _as_object(f"{shown(file.path)}, line {number:,}", item)
                except InputError as error:
                    bad.add(error)


def _members(file: DataFile, document: list[Any], bad: BadRows) -> Iterator[tuple[int, Item]]:
    for number, item in enumerate(document, 1):
        try:
            yield number, _as_object(f"{shown(file.path)}, item {number:,}", item)
        except InputError as error:
            bad.add(error)


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno:,}, column {error.colno:,}" if error.lineno > 1 else f"column {error.colno:,}"
        raise InputError(
            f"{where} is not valid JSON: {error.msg} at {at}. JSONL has one complete JSON object per line.",
            code="LX-DATA-024",
        ) from None
    except ValueError:
        raise InputError(f"{where} has a number with too many digits. Shorten it.", code="LX-DATA-025") from None
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be read. Flatten it.", code="LX-DATA-026") from None


def _as_object(where: str, item: Any) -> Item:
    if not isinstance(item, dict):
        raise InputError(
            f"{where} is not a JSON object: {shown(json.dumps(item)[:80])}. "
            'Every row looks like {"text": "…", "label": "…"}.',
            code="LX-DATA-027",
        )
    return item


class _Objects:
    """The objects of a file."""

    def __init__(self, file: DataFile, wanted: Wanted, bad: BadRows, unit: str, notes: list[str]) -> None:
        """`unit`: what their numbers count. `bad` and `notes` are added to while reading."""
        self._file = file
        self._wanted = wanted
        self._bad = bad
        self._unit = unit
        self._notes = notes
        self._dropped: Counter[str] = Counter()

    def read(self, items: Iterator[tuple[int, Item]]) -> Rows:
        """Return their rows."""
        return Rows(self._file.name, self._unit, self._rows(items), self._notes, self._dropped)

    def _rows(self, items: Iterator[tuple[int, Item]]) -> Generator[Row, None, None]:
        wanted, columns = self._wanted, self._wanted.columns
        names: dict[str, str | None] = {}
        export: Export | None = None
        absent: dict[str, str] = {}  # columns that no object has had so far, by field
        first: list[str] = []
        any_item = False
        for number, item in items:
            if not any_item:
                any_item = True
                export = export_of(item, columns)
                if export is not None:
                    self._notes[0] += f", as {export.TOOL} exports them"
            for record in self._records(export, item):
                if not first:
                    first = list(record)
                    wanted.place(first, "text")
                    names = self._names(first)
                    absent = {field: name for field, name in names.items() if name is not None}
                    if wanted.notes:
                        self._notes[0] += f", {', '.join(wanted.notes)}"
                if names["text"] not in record:
                    self._lacks_text(number, names["text"] or "", record)
                    continue
                if absent:
                    absent = {field: name for field, name in absent.items() if name not in record}
                yield wanted.row(number, names, record)
        if not first and any_item and not self._dropped:
            wanted.place([], "text")
        if not any_item and not self._bad.count:
            raise empty(self._file.path)
        for field in absent:
            wanted.place(first, field)

    def _names(self, first: list[str]) -> dict[str, str | None]:
        """Return what each wanted column is called in the first object; its own name if it is not there."""
        names: dict[str, str | None] = {}
        for field, name in vars(self._wanted.columns).items():
            place = None if name is None else find(first, name)
            names[field] = name if place is None else first[self._wanted.place(first, field)]
        return names

    def _records(self, export: Export | None, item: Item) -> Iterator[Mapping[str, Any]]:
        if export is None:
            yield item
            return
        count = 0
        for record in export.records(item):
            count += 1
            yield record
        if not count:
            self._dropped["rejected"] += 1

    def _lacks_text(self, number: int, text: str, record: Mapping[str, Any]) -> None:
        self._bad.add(
            InputError(
                f"{shown(self._file.path)}, {self._unit} {number:,} has no '{shown(text)}'; its keys are: "
                f"{listed(record, 20) or 'none'}. Every row needs a text.",
                code="LX-DATA-023",
            )
        )
