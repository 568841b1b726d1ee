"""Vectors in the binary format of word2vec: a line with how many words of how many numbers follow, then the words.

Each is its UTF-8 bytes, a space and float32 numbers, the low byte first; a line break may follow, which word2vec
itself writes and gensim does not. The format is that of word2vec's own program: Mikolov, Chen, Corrado, Dean:
Efficient Estimation of Word Representations in Vector Space, 2013, arXiv:1301.3781.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...storage.compression import Opener, readable, shown
from .base import Found, Vectors, Whole, arranged, joined, odd_number
from .text import Header

_BLOCK = 1 << 20  # bytes that are read at a time
_LONGEST_WORD = 1 << 16  # bytes


def open_binary(path: Path, opener: Opener, header: Header, start: int) -> Vectors:
    """Return the vectors of a binary file whose first word begins at byte `start`. `look_up` reports damage."""
    return _Binary(path, opener, header.count, header.dim, start)


@dataclass(frozen=True)
class _Binary:
    """A file of `count` words with vectors of width `dim`, the first of which begins at byte `start`."""

    path: Path
    opener: Opener
    count: int
    dim: int
    start: int

    @property
    def skipped(self) -> int:
        return 0

    @property
    def name(self) -> str:
        return shown(self.path.name)

    def look_up(self, words: Sequence[str]) -> Found:
        """Read the whole file and keep the vectors of `words`; if a word occurs twice the first counts."""
        wanted = set(words)
        found: dict[str, npt.NDArray[np.float32]] = {}
        for number, offset, raw, numbers in self._rows():
            word = self._word(number, offset, raw)
            if word in wanted and word not in found:
                vector = np.frombuffer(numbers, "<f4").astype(np.float32)
                odd = odd_number(vector)
                if odd is not None:
                    raise self._bad(number, offset, f"has the number {odd} in its vector, not a finite one")
                found[word] = vector
        return arranged(words, found, self.dim)

    def whole(self) -> Whole:
        """Read the whole file into memory; if a word occurs twice the first counts."""
        rows = (
            (self._word(number, offset, raw), np.frombuffer(numbers, "<f4"))
            for number, offset, raw, numbers in self._rows()
        )
        return joined(rows, self.dim)

    def _rows(self) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Number, byte offset, word and numbers of each."""
        size = 4 * self.dim
        with readable(self.path), self.opener(self.path) as content:
            content.read(self.start)
            offset, block, at = self.start, b"", 0
            for number in range(1, self.count + 1):
                space = block.find(b" ", at)
                while space < 0 or space + 1 + size > len(block):
                    if space < 0 and len(block) - at > _LONGEST_WORD:
                        raise self._bad(number, offset + at, f"has no space in its first {_LONGEST_WORD:,} bytes")
                    more = content.read(_BLOCK)
                    if not more:
                        raise self._cut(number, offset + at, block[at:].removeprefix(b"\n"))
                    offset, block, at = offset + at, block[at:] + more, 0
                    space = block.find(b" ")
                yield number, offset + at, block[at:space], block[space + 1 : space + 1 + size]
                at = space + 1 + size
            if (block[at:] + content.read(2)).removeprefix(b"\n"):
                raise InputError(
                    f"{shown(self.path)} announces {self.count:,} words of {self.dim:,} numbers on its first line "
                    f"but has more content after the last of them, at byte {offset + at:,}. {self._remedy}",
                    code="LX-VECTORS-002",
                )

    def _word(self, number: int, offset: int, raw: bytes) -> str:
        try:
            word = raw.removeprefix(b"\n").decode()
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise self._bad(number, offset, f"is not UTF-8: it has the byte 0x{byte:02x}") from None
        if not word:
            raise self._bad(number, offset, "is empty")
        return word

    def _cut(self, number: int, offset: int, rest: bytes) -> InputError:
        word, space, numbers = rest.partition(b" ")
        if not rest:
            what = "is not there: the file ends"
        elif not space:
            what = "is cut off: the file ends within it"
        else:
            name = shown(word.decode(errors="replace"))
            what = f"is cut off: the file ends after '{name}' and {len(numbers):,} bytes of its vector"
        return self._bad(number, offset, what)

    def _bad(self, number: int, offset: int, what: str) -> InputError:
        return InputError(
            f"{shown(self.path)}: word {number:,} of {self.count:,}, at byte {offset:,}, {what}; expected a word "
            f"in UTF-8, a space and {4 * self.dim:,} bytes of {self.dim:,} float32 numbers. {self._remedy}",
            code="LX-VECTORS-003",
        )

    @property
    def _remedy(self) -> str:
        return (
            "Download the file again; if it is the same, load it in gensim, whose load_word2vec_format has "
            'unicode_errors="ignore" and a limit, and save it again.'
        )
