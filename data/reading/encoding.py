"""Find the encoding of a text file: from its first bytes, else from all of them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, import_optional
from ...storage.compression import Opener, readable, shown

_BLOCK = 1 << 20  # bytes
_LOOKED_AT = 1 << 16  # bytes that a guess is made from

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = bytes(range(0x80, 0x100))
_NOT_IN_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
# Text in Latin letters has at most this share of bytes above ASCII; that in other scripts has far more.
_FEW = 0.2
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a"))


@dataclass(frozen=True)
class Encoding:
    """The encoding of a file."""

    codec: str
    """Its name for Python."""
    shown: str
    """Its name for people."""
    guessed: bool = False
    """Whether the bytes do not prove it."""

    def stated(self) -> str:
        """Return its name, and how to correct a guess."""
        return self.shown + (" (a guess; --encoding names another)" if self.guessed else "")


def find_encoding(path: Path, opener: Opener, asked: str | None) -> Encoding:
    """Return the encoding that all bytes of the file at `path` fit: the one `asked` for, else the one found.

    Order: a byte order mark; UTF-16 without one; UTF-8; Windows-1252 if few bytes are above ASCII; else what
    charset-normalizer guesses. Raises InputError with the place of a byte that does not fit, MissingExtra if
    charset-normalizer is needed and missing.
    """
    if asked is not None:
        found = Encoding("utf-8-sig" if codecs.lookup(asked).name == "utf-8" else asked, asked)
        _require(path, opener, found)
        return found
    with readable(path), opener(path) as file:
        start = file.read(_LOOKED_AT)
    marked = next((Encoding(codec, name) for mark, codec, name in _MARKS if start.startswith(mark)), None)
    found = marked or _unmarked_utf16(start) or Encoding("utf-8-sig", "UTF-8")
    wrong = _first_wrong(path, opener, found.codec)
    if wrong is None:
        return found
    if marked is None and not wrong.cut_off:
        guessed = _guess(path, opener)
        if guessed is not None and _first_wrong(path, opener, guessed.codec) is None:
            return guessed
    raise _no_such_text(path, opener, found, wrong)


@dataclass(frozen=True)
class _Wrong:
    """A byte that does not fit an encoding."""

    offset: int
    """Its place in the file."""
    byte: int
    """Its value."""
    cut_off: bool
    """Whether the file ends within a character."""


def _first_wrong(path: Path, opener: Opener, codec: str) -> _Wrong | None:
    """Return the first byte that cannot be decoded, None if all can."""
    decoder = codecs.getincrementaldecoder(codec)()
    read = 0
    with readable(path), opener(path) as file:
        while True:
            block = file.read(_BLOCK)
            kept = decoder.getstate()[0]  # the start of a character that the last block ended in
            try:
                decoder.decode(block, final=not block)
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                whole = kept + block
                byte = whole[start] if start < len(whole) else 0
                return _Wrong(read - len(kept) + start, byte, cut_off=not block)
            if not block:
                return None
            read += len(block)


def _require(path: Path, opener: Opener, found: Encoding) -> None:
    wrong = _first_wrong(path, opener, found.codec)
    if wrong is not None:
        raise _no_such_text(path, opener, found, wrong)


def _unmarked_utf16(start: bytes) -> Encoding | None:
    """Return UTF-16 if every second byte is mostly NUL, as in text of Latin letters."""
    for codec, high, low in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if len(start) >= 4 and high.count(0) > 0.4 * len(high) and low.count(0) < 0.05 * len(low):
            return Encoding(codec, "UTF-16")
    return None


def _guess(path: Path, opener: Opener) -> Encoding | None:
    """Return a likely encoding of bytes that are not UTF-8; None if they are damaged UTF-8, or no text."""
    high = total = multibyte = 0
    sample = bytearray()  # lines with bytes above ASCII
    values: set[int] = set()
    for block in _blocks(path, opener):
        if block.translate(None, _CONTROLS) != block:
            return _other_utf16(path, opener) if block.count(0) else None
        above = block.translate(None, bytes(range(0x80)))
        high += len(above)
        total += len(block)
        values.update(above)
        multibyte += sum(len(match) for match in _MULTIBYTE.findall(block))
        if len(sample) < _LOOKED_AT:
            sample += b"".join(
                line for line in block.splitlines(keepends=True) if line.translate(None, _HIGH) != line
            )
    if multibyte > high / 2:
        return None
    if high <= _FEW * total and _NOT_IN_1252.isdisjoint(values):
        return Encoding("cp1252", "Windows-1252", guessed=True)
    normalizer = import_optional("charset_normalizer", "Guessing an encoding")
    best: Any = normalizer.from_bytes(bytes(sample[:_LOOKED_AT])).best()
    return None if best is None else Encoding(best.encoding, best.encoding, guessed=True)


def _other_utf16(path: Path, opener: Opener) -> Encoding | None:
    """Return UTF-16 in the byte order that makes line ends and no NUL; None if none does."""
    with readable(path), opener(path) as file:
        start = file.read(_LOOKED_AT)
    for codec in ("utf-16-le", "utf-16-be"):
        text = start.decode(codec, "ignore")
        if "\n" in text and "\0" not in text and not any(c in text for c in map(chr, _CONTROLS)):
            return Encoding(codec, "UTF-16", guessed=True)
    return None


def _blocks(path: Path, opener: Opener) -> Iterator[bytes]:
    with readable(path), opener(path) as file:
        while block := file.read(_BLOCK):
            yield block


def _no_such_text(path: Path, opener: Opener, found: Encoding, wrong: _Wrong) -> InputError:
    before = line = 0
    for block in _blocks(path, opener):
        line += block[: max(wrong.offset - before, 0)].count(b"\n")
        before += len(block)
    return InputError(
        f"{shown(path)} is not {found.shown} text: line {line + 1:,} has the byte 0x{wrong.byte:02x} at offset "
        f"{wrong.offset:,} of the file. Save it as UTF-8, or name its encoding: --encoding cp1252.",
        code="LX-DATA-067",
    )
