"""Split many texts at once into the tokens of `TextEncoder.read`.

Where the token pattern is the usual one, they are found with numpy in blocks of UTF-8, two to four times as fast if
words repeat. A block is split into pieces: runs of letters, digits and whatever is not ASCII, and single ASCII signs.
A piece of up to 16 bytes is looked up in a table by those bytes; longer ones, and those that are not in their place,
go through Python. A piece that is not ASCII is split further by the token pattern.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import regex

from ..handlers.text.encoder import TOKEN_PATTERN, TextEncoder
from ..handlers.text.normalization import lower, normalize
from ..handlers.text.tokens import sums

_TOGETHER = 1024  # texts of a block
_LARGEST = 1 << 20  # characters of a block of more than one text
_BITS = 18  # of a place in the table
_END = b"\xff"  # of a text; no byte of UTF-8
_NONE, _ALONE, _BORDER, _WORD, _OTHER = range(5)

Places = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

_MASKS: Keys = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
_MIX: Keys = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)  # odd, their bits as good as random


def _kinds() -> bytes:
    """Return what each of the 256 bytes is: of a word, ASCII or not, a sign, the end of a text, or none of them."""
    kinds = [_WORD if chr(code).isalnum() else _ALONE if "!" <= chr(code) <= "~" else _NONE for code in range(128)]
    return bytes([*kinds, *[_OTHER] * 127, _BORDER])


_KINDS = _kinds()


def split_texts(encoder: TextEncoder, texts: Sequence[str]) -> Splitter:
    """Split each of `texts` as `encoder` does."""
    spec = encoder.spec
    usual = spec.pattern == TOKEN_PATTERN and spec.fasttext is None and spec.spacy is None and spec.tokenizer is None
    found = _BlockSplitter(encoder) if usual else Splitter(encoder)
    found.add(texts)
    return found


class Splitter:
    """Texts as the numbers of their distinct tokens, in the order of their first occurrence."""

    def __init__(self, encoder: TextEncoder) -> None:
        """Split as `encoder` does."""
        self._encoder = encoder
        self._positions: defaultdict[str, int] = defaultdict()
        self._positions.default_factory = self._positions.__len__
        # They grow in place: lists of parts would take twice the memory once they are joined.
        self.numbers = array("i")
        """The position in `words` of each token, int32."""
        self.lengths = array("q")
        """Number of tokens of each text, int64."""
        self.truncated = array("b")
        """Whether each text was cut."""

    @property
    def words(self) -> list[str]:
        """The distinct tokens."""
        return list(self._positions)

    def add(self, texts: Sequence[str]) -> None:
        """Add the tokens of texts, one text after the other."""
        for text in texts:
            tokens, cut = self._encoder.read(text)
            self.numbers.extend(map(self._positions.__getitem__, tokens))
            self.lengths.append(len(tokens))
            self.truncated.append(cut)


class _BlockSplitter(Splitter):
    """Splits by the usual pattern."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__(encoder)
        self._spec = encoder.spec
        self._pattern = regex.compile(TOKEN_PATTERN)
        # The table: the first 8 bytes of the piece in each place, the next 8, and the number of its token.
        self._first: Keys = np.zeros(1 << _BITS, np.uint64)
        self._second: Keys = np.zeros(1 << _BITS, np.uint64)
        self._values = np.zeros(1 << _BITS, np.int32)

    def add(self, texts: Sequence[str]) -> None:
        """Add the tokens of texts, block by block."""
        for first in range(0, len(texts), _TOGETHER):
            self._split(texts[first : first + _TOGETHER])

    def _split(self, texts: Sequence[str]) -> None:
        if sum(map(len, texts)) <= _LARGEST:
            self._block(texts)
        elif len(texts) > 1:
            middle = len(texts) // 2
            self._split(texts[:middle])
            self._split(texts[middle:])
        else:
            super().add(texts)

    def _block(self, texts: Sequence[str]) -> None:
        raw = b"".join([part for text in texts for part in (self._encoded(text), _END)])
        if self._spec.lowercase:
            raw = raw.lower()  # of ASCII alone
        kinds = np.frombuffer(raw.translate(_KINDS), np.uint8)
        within, alone = kinds >= _WORD, kinds == _ALONE
        starts = np.flatnonzero(alone | (within & ~np.concatenate(([False], within[:-1]))))
        ends = np.flatnonzero(alone | (within & ~np.concatenate((within[1:], [False])))) + 1
        borders = np.flatnonzero(kinds == _BORDER)
        lengths = np.diff(np.searchsorted(starts, borders), prepend=0)
        # A character that is not ASCII, of two bytes or more, makes at most two tokens more of a piece.
        others = np.diff(np.searchsorted(np.flatnonzero(kinds == _OTHER), borders), prepend=0)
        doubtful = np.flatnonzero((others > 0) & (lengths + others > self._spec.max_tokens))
        if len(doubtful):
            self._around(texts, doubtful.tolist())
            return
        cut = lengths > self._spec.max_tokens
        if cut.any():
            place = np.arange(len(starts)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            kept = place < self._spec.max_tokens
            starts, ends, lengths = starts[kept], ends[kept], np.minimum(lengths, self._spec.max_tokens)
        numbers, counts = self._numbers(raw, starts, ends)
        if counts is not None:
            lengths = sums(counts, lengths)
        self.numbers.frombytes(numbers.tobytes())
        self.lengths.frombytes(lengths.astype(np.int64).tobytes())
        self.truncated.frombytes(cut.tobytes())

    def _around(self, texts: Sequence[str], rows: Sequence[int]) -> None:
        """Add texts, those at `rows` alone."""
        begin = 0
        for row in rows:
            if begin < row:
                self._block(texts[begin:row])
            super().add(texts[row : row + 1])
            begin = row + 1
        if begin < len(texts):
            self._block(texts[begin:])

    def _encoded(self, text: str) -> bytes:
        if not text.isascii():
            text = normalize(text, self._spec.normalization)
            if self._spec.lowercase:
                text = lower(text)
        return text.encode(errors="surrogatepass")

    def _numbers(self, raw: bytes, starts: Places, ends: Places) -> tuple[npt.NDArray[np.int32], Places | None]:
        """Return the numbers of the pieces' tokens, and how many each piece has; None if each has one."""
        sizes = ends - starts
        first, second = _keys(raw, starts, sizes)
        places = ((first * _MIX[0] + second * _MIX[1]) >> np.uint64(64 - _BITS)).astype(np.int64)
        known = (self._first.take(places) == first) & (self._second.take(places) == second) & (sizes <= 16)
        numbers = self._values.take(places)
        missing = np.flatnonzero(~known)
        text = raw.decode("latin-1")
        pieces = [
            text[start:end] for start, end in zip(starts[missing].tolist(), ends[missing].tolist(), strict=True)
        ]
        several: dict[int, list[int]] = {}
        if all(map(str.isascii, pieces)):
            found = list(map(self._positions.__getitem__, pieces))
        else:
            found = []
            for row, piece in zip(missing.tolist(), pieces, strict=True):
                tokens = [self._positions[token] for token in self._tokens(piece)]
                found.append(tokens[0] if len(tokens) == 1 else -1)
                if len(tokens) != 1:
                    several[row] = tokens
        numbers[missing] = found
        kept = missing[(numbers[missing] >= 0) & (sizes[missing] <= 16)]
        self._first[places[kept]] = first[kept]
        self._second[places[kept]] = second[kept]
        self._values[places[kept]] = numbers[kept]
        if not several:
            return numbers, None
        counts = np.ones(len(numbers), np.int64)
        counts[list(several)] = list(map(len, several.values()))
        spread = np.repeat(numbers, counts)
        begins = np.cumsum(counts) - counts
        for row, own in several.items():
            spread[begins[row] : begins[row] + len(own)] = own
        return spread, counts

    def _tokens(self, piece: str) -> list[str]:
        """Return the tokens of a piece whose characters are bytes of UTF-8."""
        if piece.isascii():
            return [piece]
        found: list[str] = self._pattern.findall(piece.encode("latin-1").decode(errors="surrogatepass"))
        return found


def _keys(raw: bytes, starts: Places, sizes: Places) -> tuple[Keys, Keys]:
    """Return the first 8 bytes of each piece and the next 8, zeros where it is shorter, uint64 [pieces]."""
    eights = np.ndarray(len(raw) + 9, "<u8", raw + bytes(16), strides=(1,))
    first = eights.take(starts) & _MASKS.take(np.minimum(sizes, 8))
    second = np.zeros_like(first)
    longer = np.flatnonzero(sizes > 8)
    second[longer] = eights.take(starts[longer] + 8) & _MASKS.take(np.minimum(sizes[longer] - 8, 8))
    return first, second
