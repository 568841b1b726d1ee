"""Text as fastText reads it, for models that fastText trained; `TextSpec.fasttext` asks for it.

A text is split at ASCII white space and NUL, and ends with the token `</s>`, or where it has that token itself. What
looks like a label is left out. A word without a row of its own has no cell. Word n-grams and subwords are hashed by
FNV-1a over UTF-8 bytes, each byte with a sign, as fastText's own program has it (Joulin, Grave, Bojanowski, Mikolov:
Bag of Tricks for Efficient Text Classification, 2016, arXiv:1607.01759). Where fastText ends a text at a line break,
here it is white space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice

import numpy as np

from .hashing import Ids

PATTERN = r"[^ \n\r\t\v\f\x00]+"
END = "</s>"
# Tokens that begin so are labels.
LABEL = "__label__"
# Characters of a word that subwords are made of, so that one long word does not take a worker's time.
LONGEST_WORD = 1024

_OFFSET, _PRIME, _MASK = 2_166_136_261, 16_777_619, (1 << 32) - 1
_MULTIPLIER = 116_049_371


@dataclass(frozen=True)
class FastText:
    """What fastText's reading depends on beside the vocabulary."""

    buckets: int
    """The number that hashes are taken modulo."""
    kept: str | None = None
    """Of a pruned model the buckets that have a row, ascending: the first, then the difference to the one before, in
    decimals with spaces between; None if all have one."""
    labels: tuple[str, ...] = ()
    """Labels that do not begin with `__label__`: as tokens they are left out too."""

    @cached_property
    def kept_buckets(self) -> Ids | None:
        """The buckets that have a row, int64 [rows] ascending; None if all have one."""
        if self.kept is None:
            return None
        return np.array(list(accumulate(map(int, self.kept.split()))), np.int64)

    def problem(self, rows: int) -> str | None:
        """Return what is wrong with it in a spec with `rows` rows of buckets, or None."""
        if not 0 <= self.buckets < 1 << 31:
            return f"buckets={self.buckets} must be from 0 to 2**31 - 1"
        try:
            kept = self.kept_buckets
        except (ValueError, OverflowError):
            return "kept must be numbers with spaces between"
        if kept is None:
            return None if rows in (0, self.buckets) else f"{rows} rows are not its {self.buckets} buckets"
        if len(kept) != rows or (rows and (kept[0] < 0 or kept[-1] >= self.buckets or (np.diff(kept) < 1).any())):
            return f"kept must be {rows} ascending buckets below {self.buckets}"
        return None

    def words(self, tokens: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Yield the words among `tokens`, which stand between white space, each with its place, up to the end."""
        for place, token in enumerate(tokens):
            if token == END:
                return
            if not token.startswith(LABEL) and token not in self.labels:
                yield place, token

    def read(self, tokens: Iterable[str], limit: int) -> tuple[list[str], bool]:
        """Return the words of a text, at most `limit`, and whether there were more."""
        found = [word for _, word in islice(self.words(tokens), limit + 1)]
        return found[:limit], len(found) > limit

    def rows(self, keys: Ids, first: int) -> Ids:
        """Return the rows of the buckets of hashes, `first` being the row of the first; 0 where a bucket has none."""
        buckets = (keys.view(np.uint64) % np.uint64(self.buckets)).astype(np.int64)
        kept = self.kept_buckets
        if kept is None:
            return buckets + first
        places = np.minimum(np.searchsorted(kept, buckets), len(kept) - 1)
        return np.where(kept[places] == buckets, places + first, 0)


def word_hash(word: str) -> int:
    """Return the hash of a word, as the signed number of 32 bits that n-grams are made of."""
    found = _extended(_OFFSET, word.encode())
    return found - (1 << 32) if found >> 31 else found


def combine(left: Ids, right: Ids) -> Ids:
    """Return the hashes of n-grams and one more word each, int64 that overflow as numbers of 64 bits do."""
    return left * _MULTIPLIER + right


def subword_hashes(word: str, shortest: int, longest: int) -> Ids:
    """Return the hashes of the n-grams of a word's characters, begin and end marked; int64 [n-grams].

    Not of one character where that is a mark. The end of a text has none. Of a word past 1,024 characters the first
    1,024 take part.
    """
    if word == END:
        return np.zeros(0, np.int64)
    parts = [one.encode() for one in f"<{word[:LONGEST_WORD]}>"]
    found: list[int] = []
    for start in range(len(parts)):
        key = _OFFSET
        for end in range(start, min(start + longest, len(parts))):
            key = _extended(key, parts[end])
            length = end - start + 1
            if length >= shortest and not (length == 1 and start in (0, len(parts) - 1)):
                found.append(key)
    return np.array(found, np.int64)


def _extended(key: int, content: bytes) -> int:
    for byte in content:
        key = (key ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * _PRIME & _MASK
    return key
