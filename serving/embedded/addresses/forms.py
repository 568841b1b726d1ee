"""Read forms as TorchServe hands them to a handler: the values of their fields, by name."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

_FORM, _PARTS = "application/x-www-form-urlencoded", "multipart/form-data"
_MOST_FIELDS = 100
# Else every form that breaks off is a line in the server's log.
_SILENT = logging.Logger("forms", logging.CRITICAL)


def is_form(content_type: str) -> bool:
    """Return whether a body of this type is read as a form."""
    return _kind(content_type) in (_FORM, _PARTS)


def fields_of(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the fields of a form; none for one that cannot be read or has more than 100 fields."""
    if _kind(content_type) == _FORM:
        try:
            # As Latin-1, every byte is a character of its own and comes back as it was sent.
            pairs = parse_qsl(
                body.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, encoding="latin-1"
            )
        except ValueError:  # too many fields
            return {}
        return {name.encode("latin-1").decode("utf-8", "replace"): value.encode("latin-1") for name, value in pairs}
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    try:
        parts = _Parts(boundary)
        parts.read(body)
    except (FormParserError, _TooManyError):
        return {}
    return parts.fields


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


class _TooManyError(Exception):
    """A form has more fields than are read."""


class _Parts:
    """The parts of a multipart form, as its parser finds them."""

    def __init__(self, boundary: bytes) -> None:
        """Raise FormParserError for a boundary that cannot be one."""
        self.fields: dict[str, Any] = {}
        self._count = 0
        self._header, self._value = b"", b""
        self._name: bytes | None = None
        self._content: list[bytes] = []
        if not boundary:
            raise FormParserError("no boundary")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header,
                "on_header_value": self._on_value,
                "on_header_end": self._end_header,
                "on_part_data": lambda data, start, end: self._content.append(data[start:end]),
                "on_part_end": self._end,
            },
        )
        self._parser.logger = _SILENT

    def read(self, body: bytes) -> None:
        """Read all parts. Raises FormParserError for what is no form, _TooManyError for too many fields."""
        self._parser.write(body)
        self._parser.finalize()

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_FIELDS:
            raise _TooManyError
        self._name, self._content = None, []

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name")
        self._header, self._value = b"", b""

    def _end(self) -> None:
        if self._name is not None:
            self.fields[self._name.decode("utf-8", "replace")] = b"".join(self._content)
