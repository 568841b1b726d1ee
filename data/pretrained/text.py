"""Vectors in text files: on every line a word and its numbers, separated by spaces.

GloVe's files are nothing else; the .vec files of word2vec and fastText say on a first line how many words of how
many numbers follow. Words are separated from numbers by counting from the right: some published files have words
with a space inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...storage.compression import Opener, readable, shown
from .base import LARGEST, Found, Vectors, Whole, arranged, joined, odd_number

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The characters of numbers. All lines are checked for these, but only the lines of needed words are parsed: parsing
# two million lines takes a minute.
_DIGITS = b"0123456789+-.eE"

# Limits: a file with wider vectors or longer lines is refused without reading all of it.
WIDEST = 100_000
LONGEST_LINE = 1 << 22
_MOST_DIGITS = 18  # of a count


@dataclass(frozen=True)
class Header:
    """The first line of a word2vec file: the number of words, and of numbers for each."""

    count: int
    dim: int


def read_header(first: bytes) -> Header | None:
    """Return the header on a file's first line, None if that line is not a header."""
    fields = first.removeprefix(_BYTE_ORDER_MARK).split()
    if len(fields) == 2 and all(field.isdigit() and len(field) <= _MOST_DIGITS for field in fields):
        return Header(*map(int, fields))
    return None


def is_row(line: bytes, dim: int) -> bool:
    """Return whether a line looks like a word and `dim` numbers, without parsing the numbers."""
    fields = line.split()
    return len(fields) > dim and not b"".join(fields[-dim:]).translate(None, _DIGITS)


def open_text(path: Path, opener: Opener, first: bytes) -> Vectors:
    """Return the vectors of a text file; its `first` line has the dimensions. Raises InputError if it has not."""
    header = read_header(first)
    fields = first.removeprefix(_BYTE_ORDER_MARK).split()
    dim = len(fields) - 1 if header is None else header.dim
    if not 1 <= dim <= WIDEST:
        shortly = shown(b" ".join(fields[:20]).decode(errors="replace"))
        raise InputError(
            f"{shown(path)} is not a file of vectors: its first line is '{shortly}'; expected a word and at most "
            f"{WIDEST:,} numbers, or the number of words and of their numbers.",
            code="LX-VECTORS-022",
        )
    return _Text(path, opener, dim, None if header is None else header.count)


@dataclass(frozen=True)
class _Text:
    """A file of vectors of width `dim`. count: the words its first line announces, None without such a line."""

    path: Path
    opener: Opener
    dim: int
    count: int | None
    _blank: list[int] = field(default_factory=list, repr=False, compare=False)  # lines without a word

    @property
    def skipped(self) -> int:
        return len(self._blank)

    @property
    def name(self) -> str:
        return shown(self.path.name)

    def look_up(self, words: Sequence[str]) -> Found:
        """Read the whole file and keep the vectors of `words`; if a word occurs twice the first counts."""
        wanted = set(words)
        found: dict[str, npt.NDArray[np.float32]] = {}
        for number, word, values in self._lines():
            if word in wanted and word not in found:
                found[word] = self._vector(number, values)
        return arranged(words, found, self.dim)

    def whole(self) -> Whole:
        """Read the whole file into memory; if a word occurs twice the first counts."""
        return joined(((word, self._vector(number, values)) for number, word, values in self._lines()), self.dim)

    def _lines(self) -> Iterator[tuple[int, str, list[bytes]]]:
        """Number, word and values of every line that has any."""
        rows = 0
        self._blank.clear()
        with readable(self.path, self.opener), self.opener(self.path) as lines:
            for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE), b""), 1):
                fields = line.split()
                if number == 1:
                    if self.count is not None:
                        continue
                    fields = line.removeprefix(_BYTE_ORDER_MARK).split()
                rows += bool(fields)
                if len(fields) == self.dim and all(map(_is_number, fields)):
                    self._blank.append(number)  # some published files have a word that is a space
                elif fields:
                    yield number, *self._parts(number, fields)
        if self.count is not None and self.count != rows:
            raise InputError(
                f"{shown(self.path)} announces {self.count:,} words on its first line and has {rows:,}. Download it "
                "again if it is incomplete; correct that line if it was shortened on purpose.",
                code="LX-VECTORS-023",
            )

    def _parts(self, number: int, fields: list[bytes]) -> tuple[str, list[bytes]]:
        words, values = fields[: -self.dim], fields[-self.dim :]
        word = b" ".join(words).decode()
        # Numbers that are not finite concern those who ask for the word.
        if b"".join(values).translate(None, _DIGITS) and not all(map(_is_float, values)):
            raise self._bad(number, fields)
        if not words or (len(words) > 1 and _is_number(words[-1])):
            raise self._bad(number, fields)
        return word, values

    def _vector(self, number: int, values: list[bytes]) -> npt.NDArray[np.float32]:
        try:
            vector = np.array(list(map(float, values)))
        except ValueError:
            vector = np.full(1, np.nan)
        if odd_number(vector) is not None:
            raise self._bad(number, [b"", *values])
        return vector.astype(np.float32)

    def _bad(self, number: int, fields: list[bytes]) -> InputError:
        """Return the error for a line: one of its last fields is not a number, or their count is wrong."""
        odd = [field for field in fields[1:] if not _is_number(field)]
        if odd:
            what = f"'{shown(odd[-1].decode(errors='replace'))}' where a number belongs"
        else:
            what = f"{len(fields) - 1:,} number{'s' * (len(fields) != 2)}"
        return InputError(
            f"{shown(self.path)}, line {number:,} has {what}; expected a word and {self.dim:,} numbers on every "
            "line, as in the text files of GloVe, word2vec and fastText. Fix the line or download the file again.",
            code="LX-VECTORS-024",
        )


def _is_float(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_number(field: bytes) -> bool:
    """Return whether it is a number that a float32 can hold."""
    try:
        return abs(float(field)) <= LARGEST
    except ValueError:
        return False
