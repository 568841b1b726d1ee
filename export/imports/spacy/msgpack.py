"""Read MessagePack, in which spaCy and thinc keep data and weights: plain values, and arrays of numpy among them.

The format is that of its specification. Extension types are refused: no file of spaCy's has one. Arrays are maps with
`nd`, as the package msgpack-numpy writes them.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

import numpy as np

_DEEPEST = 64
_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
# By the first byte: the form of the length that follows.
_BYTES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
_STRINGS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_LISTS = {0xDC: ">H", 0xDD: ">I"}
_MAPS = {0xDE: ">H", 0xDF: ">I"}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_ARRAY = "nd"
_DTYPE = re.compile(r"[<|=][fiub][1248]")


def read_msgpack(content: bytes) -> Any:
    """Return the value: lists, dictionaries, strings, bytes, numbers, True, None, and arrays that are not writable.

    Keys of dictionaries that are ASCII bytes become strings. Raises ValueError for a damaged one.
    """
    reader = _Reader(content)
    try:
        value = reader.value(0)
    except (struct.error, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"damaged MessagePack ({error})") from None
    if reader.at != len(content):
        raise ValueError(f"{len(content) - reader.at:,} bytes behind its end")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content, self.at = content, 0

    def value(self, depth: int) -> Any:
        """Return the value that begins here. Raises ValueError, struct.error, UnicodeDecodeError, TypeError."""
        if depth > _DEEPEST:
            raise ValueError(f"values are more than {_DEEPEST} deep")
        code = self._take(1)[0]
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code < 0x90:
            return self._map(code & 0x0F, depth)
        if code < 0xA0:
            return self._list(code & 0x0F, depth)
        if code < 0xC0:
            return self._take(code & 0x1F).decode()
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            return self._number(_NUMBERS[code])
        if code in _BYTES:
            return self._take(self._number(_BYTES[code]))
        if code in _STRINGS:
            return self._take(self._number(_STRINGS[code])).decode()
        if code in _LISTS:
            return self._list(self._number(_LISTS[code]), depth)
        if code in _MAPS:
            return self._map(self._number(_MAPS[code]), depth)
        raise ValueError(f"the code {code:#x}, which no plain value has")

    def _take(self, count: int) -> bytes:
        found = self._content[self.at : self.at + count]
        if len(found) < count:
            raise ValueError("it ends too early")
        self.at += count
        return found

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _list(self, count: int, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in range(self._possible(count))]

    def _map(self, count: int, depth: int) -> Any:
        found: dict[Any, Any] = {}
        for _ in range(self._possible(count)):
            key = self.value(depth + 1)
            found[key.decode("ascii") if isinstance(key, bytes) else key] = self.value(depth + 1)
        return _array(found) if found.get(_ARRAY) is True else found

    def _possible(self, count: int) -> int:
        """Return `count`, as many values as may still follow."""
        if count > len(self._content) - self.at:
            raise ValueError(f"{count:,} values in {len(self._content) - self.at:,} bytes")
        return count


def _array(described: dict[Any, Any]) -> Any:
    kind, shape, content = described.get("type"), described.get("shape"), described.get("data")
    kind = kind.decode("ascii") if isinstance(kind, bytes) else kind
    if not isinstance(kind, str) or not _DTYPE.fullmatch(kind) or not isinstance(content, bytes):
        raise ValueError(f"an array of {kind!r}, where numbers were expected")
    if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in shape):
        raise ValueError("an array without a shape")
    if math.prod(shape) * np.dtype(kind).itemsize != len(content):
        raise ValueError(f"an array {shape} of {kind} in {len(content):,} bytes")
    return np.frombuffer(content, np.dtype(kind)).reshape(shape)
