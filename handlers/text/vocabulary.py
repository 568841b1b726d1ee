"""The words that have a row: in a dictionary, or, if there are many, in files that processes share.

A dictionary of a million words takes 120 MB of every worker and a second at its start. `vocabulary.index`, written at
export, is a table of hashes over the lines of `vocabulary.txt`. Both files are mapped, so all workers share one copy
in memory. A word that is found by its hash is compared byte by byte.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .hashing import Ids, murmur
from .spec import FIRST_WORD, UNK, Layout, TextError, TextSpec

INDEX = "vocabulary.index"
# For fewer words a dictionary is as fast to make and small: 6 MB.
INDEXED_FROM = 50_000

_MAGIC = b"LXWORDS1"
# The magic, then the seed of the hashes, the number of words and the size of `vocabulary.txt`.
_HEADER = np.dtype([("magic", "S8"), ("seed", "<u4"), ("words", "<u4"), ("size", "<u8")])
_NUMBER = np.dtype("<u4")
# Most words that are cached after they were found in the files, so that frequent words are as fast as in a
# dictionary; 3 MB. Longer words are not cached, so that long requests without a space do not stay in memory.
_REMEMBERED = 1 << 14
_LONGEST_REMEMBERED = 64

_Numbers = npt.NDArray[np.uint32]


class Vocabulary(Protocol):
    """The interface of a TextEncoder's vocabulary."""

    @property
    def rows(self) -> Sequence[Mapping[str, int]]:
        """The row of each word, for each language or for all; a word without a row has UNK's."""

    def hashes(self, rows: Ids) -> Ids:
        """Return the MurmurHash3 of the words of `rows`, int64 of the same shape; 0 for PAD and UNK.

        One language only.
        """

    def words(self) -> list[str]:
        """Return the words in the order of their rows, one language after the other."""


class Listed:
    """Words in memory."""

    def __init__(self, spec: TextSpec, words: Sequence[str]) -> None:
        """Keep `words`, one language after the other. Raises TextError if their number is wrong or one repeats."""
        self._words = list(words)
        self.rows = [_Rows(self._words[first:last]) for first, last in groups(spec, len(self._words))]
        self._hashes: Ids = np.zeros(spec.words, np.int64)
        if spec.hashed and spec.inputs is Layout.INDICES:
            self._hashes[FIRST_WORD:] = [murmur(word, spec.hash_seed) for word in words]

    def hashes(self, rows: Ids) -> Ids:
        """Return the hashes as `Vocabulary.hashes` does."""
        return self._hashes[rows]

    def words(self) -> list[str]:
        """Return the words as `Vocabulary.words` does."""
        return list(self._words)


class _Rows(dict[str, int]):
    """The row of each word, UNK for any other."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__((word, row) for row, word in enumerate(words, FIRST_WORD))
        _check_unique(words, self)

    def __missing__(self, word: str) -> int:
        return UNK


class Mapped:
    """Words in files: `vocabulary.txt`, and `vocabulary.index` beside it or elsewhere."""

    def __init__(self, spec: TextSpec, text: Path, index: Path) -> None:
        """Map both. Raises TextError for an index that is not of these words, or is damaged."""
        try:
            self._text, content = _map(text), _map(index)
        except (OSError, ValueError) as error:
            raise TextError(f"{text.name} or {index.name} cannot be read: {error}") from None
        count = spec.words - 1 - max(len(spec.languages), 1)
        header = np.array([(_MAGIC, spec.hash_seed, count, len(self._text))], _HEADER)
        if content[: _HEADER.itemsize].tobytes() != header.tobytes():
            raise TextError(f"{index.name} is not of this {text.name} and text.json; export the run again.")
        sizes = [count + 1, count]
        for first, last in groups(spec, count):
            sizes += [(1 << _bits(last - first)) + 1, last - first]
        if len(content) != _HEADER.itemsize + sum(sizes) * _NUMBER.itemsize:
            raise TextError(f"{index.name} has {len(content):,} bytes, which is not its size; export the run again.")
        numbers = content[_HEADER.itemsize :].view(_NUMBER)
        starts, self._hashes, *tables = (
            numbers[first:last] for first, last in pairwise(accumulate(sizes, initial=0))
        )
        self._starts = starts
        self.rows = [
            _Found(self._text, starts[first : last + 1], self._hashes[first:last], buckets, places, spec.hash_seed)
            for (first, last), buckets, places in zip(groups(spec, count), tables[::2], tables[1::2], strict=True)
        ]

    def hashes(self, rows: Ids) -> Ids:
        """Return the hashes as `Vocabulary.hashes` does."""
        found = np.zeros(rows.shape, np.int64)
        known = rows >= FIRST_WORD
        found[known] = self._hashes[rows[known] - FIRST_WORD]
        return found

    def words(self) -> list[str]:
        """Return the words as `Vocabulary.words` does."""
        return self._text.tobytes().decode().split("\n")[:-1]


class _Found(dict[str, int]):
    """The row of a word, looked up in the files; the last words are cached."""

    def __init__(
        self,
        text: npt.NDArray[np.uint8],
        starts: _Numbers,
        hashes: _Numbers,
        buckets: _Numbers,
        places: _Numbers,
        seed: int,
    ) -> None:
        super().__init__()
        # Memory views: they return a single element several times as fast as numpy arrays.
        self._text, self._starts, self._hashes = text.data, starts.data, hashes.data
        self._buckets, self._places = buckets.data, places.data
        self._shift = 32 - _bits(len(places))
        self._seed = seed

    def __missing__(self, word: str) -> int:
        row = self._find(word.encode("utf-8", "surrogatepass"))
        if len(word) <= _LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[word] = row
        return row

    def _find(self, word: bytes) -> int:
        code = murmur(word, self._seed)
        bucket = code >> self._shift
        for slot in range(self._buckets[bucket], self._buckets[bucket + 1]):
            place = self._places[slot]
            # A line ends one byte before the next begins.
            if self._hashes[place] == code and self._text[self._starts[place] : self._starts[place + 1] - 1] == word:
                return FIRST_WORD + place
        return UNK


def _map(file: Path) -> npt.NDArray[np.uint8]:
    # An empty file cannot be mapped.
    return np.memmap(file, np.uint8, "r") if file.stat().st_size else np.zeros(0, np.uint8)


def groups(spec: TextSpec, words: int) -> list[tuple[int, int]]:
    """Return the begin and end of each language's words, or of all words.

    Raises TextError if the number of words is wrong.
    """
    sizes = [rows - 1 for rows in spec.languages.values()] or [spec.words - FIRST_WORD]
    if words != sum(sizes):
        raise TextError(f"The vocabulary has {words:,} words, text.json says {sum(sizes):,}.")
    return list(pairwise(accumulate(sizes, initial=0)))


def index_of(spec: TextSpec, words: Sequence[str]) -> bytes:
    """Return `vocabulary.index` for the words of a `vocabulary.txt`: the same bytes on any machine.

    After the header, all in little-endian uint32: where each line begins and where the last one ends, the hash of
    each word; then for each language, of n words, its 2**k + 1 buckets, 2**k being n or the next power above, and
    its n words by hash. The words whose hash begins with the k bits b stand there from buckets[b] to buckets[b + 1].
    Raises TextError as `Listed` does.
    """
    lines = [f"{word}\n".encode() for word in words]
    starts = np.array([*accumulate(map(len, lines), initial=0)], np.int64)
    if starts[-1] >= 1 << 32:
        raise TextError(f"The vocabulary has {starts[-1]:,} bytes, more than an index can point into, 4 GiB.")
    hashes = np.array([murmur(line[:-1], spec.hash_seed) for line in lines], np.int64)
    parts = [starts, hashes]
    for first, last in groups(spec, len(words)):
        _check_unique(words[first:last], set(words[first:last]))
        own = hashes[first:last]
        places = np.argsort(own, kind="stable")
        bits = _bits(last - first)
        parts += [np.searchsorted(own[places] >> (32 - bits), np.arange((1 << bits) + 1)), places]
    header = np.array([(_MAGIC, spec.hash_seed, len(words), starts[-1])], _HEADER)
    return header.tobytes() + b"".join(part.astype(_NUMBER).tobytes() for part in parts)


def _check_unique(words: Sequence[str], unique: Collection[str]) -> None:
    if len(unique) != len(words):
        raise TextError(f"{len(words) - len(unique)} words of the vocabulary occur twice.")


def _bits(words: int) -> int:
    return max(words - 1, 0).bit_length()
