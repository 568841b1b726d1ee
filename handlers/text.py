"""Text to indices: the one implementation that training, export, evaluation and the worker share.

A text is normalised (lower case), split into tokens by one pattern, and every token becomes the index of its
vocabulary row, or UNK. Word n-grams follow the words as further indices: their bucket is computed from the
MurmurHash3 of the tokens' UTF-8 bytes, never from vocabulary indices, so that two words nobody saw in training
still make two different n-grams.

The index space is one line: 0 PAD, 1 UNK, 2 … words-1 the vocabulary, words … rows-1 the n-gram buckets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import mmh3
import numpy as np
import numpy.typing as npt
import regex

PAD = 0
UNK = 1
FIRST_WORD = 2

# Written without spaces between words: each character is a token of its own.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# The three alternatives exclude one another wherever their lengths could differ, so that an engine that takes
# the longest match (RE2) and one that takes the first (`regex`) split alike.
TOKEN_PATTERN = rf"[{_UNSPACED}]|[^\s\p{{P}}\p{{S}}\p{{Z}}\p{{C}}{_UNSPACED}]+|[\p{{P}}\p{{S}}]"
# The same, of ASCII text alone: `re` splits five times as fast as `regex` with its Unicode classes.
_ASCII_PATTERN = r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]"

# n-gram hashing stays within int64: a hash is below 2**32 and the multiplier below 2**20.
_MULTIPLIER = 1_000_003
_MODULUS = 2_147_483_647

# Texts of up to this many characters for every token kept are split whole.
_WHOLE = 16

Ids = npt.NDArray[np.int64]


class TextError(ValueError):
    """A text spec or vocabulary that cannot be used, or a text that is not valid Unicode."""


@dataclass(frozen=True)
class TextSpec:
    """How text becomes indices; `text.json` on disk.

    words: rows for PAD, UNK and the vocabulary. buckets: rows for n-grams (0: none). ngrams: the longest
    n-gram in words (1: words alone). max_tokens: a longer text is cut there and answered as truncated.
    """

    words: int
    buckets: int = 0
    ngrams: int = 1
    max_tokens: int = 1024
    lowercase: bool = True
    pattern: str = TOKEN_PATTERN
    min_count: int = 2
    max_vocabulary: int | None = None
    hash_seed: int = 0
    version: int = 1
    schema: int = 1

    def __post_init__(self) -> None:
        """Refuse a spec no encoder could follow."""
        if self.schema != 1:
            raise TextError(f"text.json has schema {self.schema}, this version reads schema 1; update lexport.")
        if self.words < FIRST_WORD or self.max_tokens < 1 or self.ngrams < 1:
            raise TextError(
                f"text spec is off: words={self.words} (at least 2), max_tokens={self.max_tokens} and "
                f"ngrams={self.ngrams} (at least 1)."
            )
        if (self.ngrams > 1) != (self.buckets > 0):
            raise TextError(f"ngrams={self.ngrams} and buckets={self.buckets} must be on together or off together.")

    @property
    def rows(self) -> int:
        """Rows of the table: words and buckets."""
        return self.words + self.buckets

    def to_json(self) -> dict[str, Any]:
        """The content of `text.json`."""
        return asdict(self)


@dataclass(frozen=True)
class Tokens:
    """A batch after look-up. indices, hashes: int64 [sum(lengths)], one text after the other."""

    indices: Ids
    hashes: Ids
    lengths: Ids
    truncated: tuple[bool, ...]

    @property
    def unknown(self) -> Ids:
        """Unknown tokens per text, int64 [batch]."""
        missed = np.concatenate(([0], np.cumsum(self.indices == UNK)))
        ends = np.cumsum(self.lengths)
        counts: Ids = missed[ends] - missed[ends - self.lengths]
        return counts

    def take(self, rows: Ids) -> Tokens:
        """The texts at `rows`, int64 [chosen], in that order."""
        lengths = self.lengths[rows]
        starts = (np.cumsum(self.lengths) - self.lengths)[rows]
        ends = np.cumsum(lengths)
        where = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        truncated = tuple(self.truncated[row] for row in rows.tolist())
        return Tokens(self.indices[where], self.hashes[where], lengths, truncated)


def normalise(text: str) -> str:
    """Lower case by code point: no context, so that a compiled graph can do the same.

    U+0130 becomes a plain i (Python makes two code points of it), and a capital sigma always the same small
    one (Python looks whether the word ends there).
    """
    if "\u0130" in text:
        text = text.replace("\u0130", "i")
    if "\u03a3" in text:
        text = text.replace("\u03a3", "\u03c3")
    return text.lower()


class TextEncoder:
    """Turns texts into index batches by a spec and its vocabulary."""

    def __init__(self, spec: TextSpec, vocabulary: Sequence[str]) -> None:
        """`vocabulary[i]` owns row i + 2. Raises TextError if the sizes differ or a word repeats."""
        if len(vocabulary) != spec.words - FIRST_WORD:
            raise TextError(
                f"The vocabulary has {len(vocabulary):,} words, text.json says {spec.words - FIRST_WORD:,}."
            )
        self.spec = spec
        self._index = {word: position for position, word in enumerate(vocabulary, FIRST_WORD)}
        if len(self._index) != len(vocabulary):
            raise TextError(f"{len(vocabulary) - len(self._index)} words of the vocabulary occur twice.")
        try:
            self._pattern = regex.compile(spec.pattern)
        except regex.error as error:
            raise TextError(f"text.json has a token pattern that is none: {error}") from None
        self._ascii = re.compile(_ASCII_PATTERN) if spec.pattern == TOKEN_PATTERN else self._pattern
        self._hashes: Ids = np.zeros(spec.words, np.int64)
        if spec.buckets:
            self._hashes[FIRST_WORD:] = [self._hash(word) for word in vocabulary]

    @property
    def vocabulary(self) -> list[str]:
        """The words that own a row, in the order of their rows."""
        return list(self._index)

    def _hash(self, token: str) -> int:
        return mmh3.hash(token, self.spec.hash_seed, signed=False)

    def tokens(self, text: str) -> tuple[list[str], bool]:
        """The tokens of a text, at most max_tokens of them, and whether there were more."""
        limit = self.spec.max_tokens
        pattern = self._ascii if text.isascii() else self._pattern
        if self.spec.lowercase:
            text = normalise(text)
        if len(text) <= _WHOLE * limit:
            found = pattern.findall(text)
        else:
            # Slower a token, but no more of a very long text is split than is kept.
            matches: Iterator[Any] = pattern.finditer(text)
            found = [match.group() for match in islice(matches, limit + 1)]
        return (found[:limit], True) if len(found) > limit else (found, False)

    def look_up(self, texts: Iterable[str]) -> Tokens:
        """Vocabulary indices (UNK where there is none) and token hashes of a batch.

        Hashes are filled in only if the spec has n-grams.
        """
        words: list[str] = []
        lengths: list[int] = []
        truncated: list[bool] = []
        for text in texts:
            tokens, cut = self.tokens(text)
            words += tokens
            lengths.append(len(tokens))
            truncated.append(cut)
        indices = np.array(list(map(self._index.get, words, repeat(UNK))), np.int64)
        hashes = self._hashes[indices]
        if self.spec.buckets:
            for position in np.flatnonzero(indices == UNK).tolist():
                hashes[position] = self._hash(words[position])
        return Tokens(indices, hashes, np.array(lengths, np.int64), tuple(truncated))

    def widths(self, lengths: Ids) -> Ids:
        """Columns that texts of `lengths` tokens take, n-grams included; int64, as many."""
        widths: Ids = lengths.copy()
        for order in range(1, self.spec.ngrams):
            widths += np.maximum(lengths - order, 0)
        return widths

    def assemble(self, tokens: Tokens) -> Ids:
        """The index matrix of a batch, int64 [batch, longest], PAD on the right.

        A row holds the words of its text, then its n-grams of two words, of three, and so on. The matrix is
        at least one column wide.
        """
        spec, lengths = self.spec, tokens.lengths
        longest = max(int(self.widths(lengths).max(initial=0)), 1)
        matrix: Ids = np.zeros((len(lengths), longest), np.int64)
        cells = matrix.reshape(-1)
        # Of every token: its text, how many tokens of that text come from it on, and its cell.
        text = np.repeat(np.arange(len(lengths)), lengths)
        left = np.cumsum(lengths)[text] - np.arange(len(text))
        cell = text * longest + lengths[text] - left
        cells[cell] = tokens.indices
        grams, filled = tokens.hashes, lengths
        for order in range(2, spec.ngrams + 1):
            grams = (grams[:-1] * _MULTIPLIER + tokens.hashes[order - 1 :]) % _MODULUS
            # A gram belongs to a text if it ends inside it.
            inside = np.flatnonzero(left[: len(grams)] >= order)
            cells[cell[inside] + filled[text[inside]]] = grams[inside] % spec.buckets + spec.words
            filled = filled + np.maximum(lengths - order + 1, 0)
        return matrix


def read_vocabulary(path: Path) -> list[str]:
    """The words of `vocabulary.txt`, one a line; tokens hold no white space, so lines are safe."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def load_encoder(folder: Path) -> TextEncoder:
    """The encoder of a run or archive folder (`text.json`, `vocabulary.txt`). Raises TextError."""
    try:
        spec = TextSpec(**json.loads((folder / "text.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TextError(f"text.json cannot be read: {error}") from None
    try:
        vocabulary = read_vocabulary(folder / "vocabulary.txt")
    except (OSError, ValueError) as error:
        raise TextError(f"vocabulary.txt cannot be read: {error}") from None
    return TextEncoder(spec, vocabulary)
