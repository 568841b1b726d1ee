"""Text as spaCy reads it, for text classifiers that spaCy trained; `TextSpec.spacy` asks for it.

A text is split at white space, and each piece by rules: whole pieces that are exceptions, what begins and ends words
(prefixes, suffixes) and divides them (infixes), and what is never divided (spaCy, "Linguistic Features: How spaCy's
tokenizer works"). White space beyond a single space is a token. Every n-gram of tokens has two rows, by two hashes of
its key, which is a MurmurHash of 64 bits (thinc, `SparseLinear`; Appleby, MurmurHash64A and MurmurHash3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .hashing import LONGEST_TOKEN, Ids
from .spacy_symbols import SYMBOLS

Keys = npt.NDArray[np.uint64]

CELLS = 2
"""Rows of an n-gram."""
# Characters of a piece without white space that the rules are tried on; a longer piece is one token.
LONGEST_PIECE = 1024
_SPACES = re.compile(r"\s+|\S+")
_KEPT = 1 << 16  # pieces, and keys, so that frequent ones are found once
_MASK = (1 << 64) - 1
_MULTIPLIER, _SHIFT = 0xC6A4A7935BD1E995, 47
_SEED = 1


@dataclass(frozen=True)
class Spacy:
    """What spaCy's reading depends on, as a pipeline's file `tokenizer` has it."""

    prefix: str | None = None
    """The regular expression of what is taken off the beginning of a piece; None without."""
    suffix: str | None = None
    """Of what is taken off its end."""
    infix: str | None = None
    """Of what divides what is left."""
    whole: str | None = None
    """Of what is never divided, `token_match`."""
    url: str | None = None
    """Of what is not divided by infixes, `url_match`."""
    rules: Mapping[str, list[str]] | None = None
    """The tokens of pieces that are exceptions; together they are the piece."""
    every_rule: bool = False
    """Whether exceptions count within longer pieces too where no prefix, suffix or infix is in them."""
    lowercase: bool = False
    """Whether n-grams are of tokens in lower case."""

    @cached_property
    def _searches(self) -> tuple[Any, ...]:
        patterns = (self.prefix, self.suffix, self.infix, self.whole, self.url)
        return tuple(re.compile("(?!)" if one is None else one) for one in patterns)

    @cached_property
    def _split(self) -> Any:
        return lru_cache(_KEPT)(self._tokens_of)

    @cached_property
    def _key(self) -> Any:
        return lru_cache(_KEPT)(self._key_of)

    @cached_property
    def _phrases(self) -> tuple[frozenset[tuple[str, ...]], int]:
        """The tokens that the exceptions would be without being exceptions, and the most tokens of one."""
        prefix, suffix, infix, _, _ = self._searches
        found = [
            tuple(token for piece in _pieces(rule) for token in self._tokens_of(piece, ruled=False))
            for rule in self.rules or {}
            if self.every_rule
            or " " in rule
            or _length(prefix.search(rule))
            or _length(suffix.search(rule))
            or infix.search(rule)
        ]
        return frozenset(found), max(map(len, found), default=0)

    def problem(self) -> str | None:
        """Return what is wrong with it, or None."""
        try:
            _ = self._searches
        except (re.error, OverflowError, RecursionError) as error:
            return f"a rule is not a regular expression ({error})"
        for piece, tokens in (self.rules or {}).items():
            if not piece or "".join(tokens) != piece:
                return f"the exception {piece!r} has the tokens {tokens}"
        return None

    def tokens(self, text: str, limit: int) -> tuple[list[str], bool]:
        """Return the tokens of a text, at most `limit`, and whether there were more."""
        phrases, longest = self._phrases
        found: list[str] = []
        for piece in _pieces(text):
            if len(piece) > LONGEST_PIECE:
                found.append(piece)
            else:
                found += self._split(piece) if len(piece) <= LONGEST_TOKEN else self._tokens_of(piece)
            if len(found) > limit + longest:
                break
        if phrases:
            found = self._with_phrases(found, text)
        return found[:limit], len(found) > limit

    def _with_phrases(self, tokens: list[str], text: str) -> list[str]:
        """Return the tokens with exceptions that were divided made whole: the longest first, then the earliest."""
        phrases, longest = self._phrases
        firsts = self._firsts
        spans = [
            (length, -start)
            for start, token in enumerate(tokens)
            if token in firsts
            for length in range(1, min(longest, len(tokens) - start) + 1)
            if tuple(tokens[start : start + length]) in phrases
        ]
        if not spans:
            return tokens
        taken: set[int] = set()
        chosen: dict[int, int] = {}
        for length, start in sorted(spans, reverse=True):
            if -start not in taken and -start + length - 1 not in taken:
                chosen[-start] = length
            taken.update(range(-start, -start + length))
        offsets = list(offsets_of(tokens, text))
        found: list[str] = []
        at = 0
        while at < len(tokens):
            length = chosen.get(at, 1)
            # What the text has there, with spaces between the tokens.
            there = text[offsets[at] : offsets[at + length - 1] + len(tokens[at + length - 1])]
            rule = (self.rules or {}).get(there) if at in chosen else None
            found += tokens[at : at + length] if rule is None else rule
            at += length
        return found

    @cached_property
    def _firsts(self) -> frozenset[str]:
        return frozenset(one[0] for one in self._phrases[0] if one)

    def _tokens_of(self, piece: str, *, ruled: bool = True) -> list[str]:
        """Return the tokens of a piece without white space, or of white space alone."""
        rules = (self.rules or {}) if ruled else {}
        if piece in rules:
            return list(rules[piece])
        prefix, suffix, infix, whole, url = self._searches
        before: list[str] = []
        after: list[str] = []
        rest, last = piece, -1
        while rest and len(rest) != last and not whole.match(rest) and rest not in rules:
            last = len(rest)
            first = _length(prefix.search(rest))
            if first and rest[first:] in rules:
                before.append(rest[:first])
                rest = rest[first:]
                break
            end = len(rest) - _length(suffix.search(rest[first:]))
            if end < len(rest) and rest[:end] in rules:
                after.append(rest[end:])
                rest = rest[:end]
                break
            if first:
                before.append(rest[:first])
            if end < len(rest):
                after.append(rest[end:])
            rest = rest[first:end]
        if rest in rules:
            middle = list(rules[rest])
        elif not rest or whole.match(rest) or url.match(rest):
            middle = [rest] if rest else []
        else:
            middle = _divided(rest, infix)
        return [*before, *middle, *reversed(after)]

    def token_keys(self, tokens: Sequence[str]) -> Keys:
        """Return the key of each token, uint64 [tokens]."""
        found = (self._key(one) if len(one) <= LONGEST_TOKEN else self._key_of(one) for one in tokens)
        return np.fromiter(found, np.uint64, len(tokens))

    def _key_of(self, token: str) -> int:
        if self.lowercase:
            token = token.lower()
        return SYMBOLS.get(token) or _hashed(token.encode(), _SEED)


def _pieces(text: str) -> Iterator[str]:
    """Yield what stands between white space, and white space without the one space behind a word."""
    for match in _SPACES.finditer(text):
        piece: str = match.group()
        if match.start() and piece[0] == " ":
            piece = piece[1:]
        if piece:
            yield piece


def _length(match: Any) -> int:
    return 0 if match is None else match.end() - match.start()


def _divided(rest: str, infix: Any) -> list[str]:
    found: list[str] = []
    start = 0
    for match in infix.finditer(rest):
        if match.start() == 0:
            continue
        found += [rest[start : match.start()], match.group()]
        start = match.end()
    return [one for one in (*found, rest[start:]) if one]


def offsets_of(tokens: list[str], text: str) -> Iterator[int]:
    """Yield where each token begins; between two is nothing or a space."""
    at = 0
    for token in tokens:
        if not text.startswith(token, at):
            at += 1
        yield at
        at += len(token)


def gram_keys(keys: Keys, order: int) -> Keys:
    """Return the keys of the n-grams of `order` tokens with these keys, uint64 [tokens - order + 1]."""
    if order == 1:
        return keys
    count = max(len(keys) - order + 1, 0)
    multiplier, shift = np.uint64(_MULTIPLIER), np.uint64(_SHIFT)
    found = np.full(count, (8 * order * _MULTIPLIER) & _MASK, np.uint64)
    for place in range(order):
        part = keys[place : place + count] * multiplier
        part = (part ^ (part >> shift)) * multiplier
        found = (found ^ part) * multiplier
    found = (found ^ (found >> shift)) * multiplier
    ended: Keys = found ^ (found >> shift)
    return ended


def rows(keys: Keys, buckets: int, first: int) -> Ids:
    """Return the two rows of each key, int64 [keys, 2]: of `buckets` rows, a power of 2, from row `first` on."""
    return np.stack([_murmur3(keys, seed) & (buckets - 1) for seed in range(CELLS)], axis=1).astype(np.int64) + first


def _murmur3(keys: Keys, seed: int) -> npt.NDArray[np.uint32]:
    """Return MurmurHash3 (32 bits) of the eight bytes of each key, uint32 [keys]."""
    state = np.full(len(keys), seed, np.uint32)
    for part in (keys.astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)):
        mixed = _turned(part * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
        state = _turned(state ^ mixed, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    state ^= np.uint32(8)
    state = (state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    state = (state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    found: npt.NDArray[np.uint32] = state ^ (state >> np.uint32(16))
    return found


def _turned(values: npt.NDArray[np.uint32], by: int) -> npt.NDArray[np.uint32]:
    return (values << np.uint32(by)) | (values >> np.uint32(32 - by))


def _hashed(content: bytes, seed: int) -> int:
    """Return MurmurHash64A."""
    state = seed ^ (len(content) * _MULTIPLIER & _MASK)
    whole = len(content) & ~7
    for at in range(0, whole, 8):
        part = int.from_bytes(content[at : at + 8], "little") * _MULTIPLIER & _MASK
        part = (part ^ (part >> _SHIFT)) * _MULTIPLIER & _MASK
        state = (state ^ part) * _MULTIPLIER & _MASK
    if whole < len(content):
        state = (state ^ int.from_bytes(content[whole:], "little")) * _MULTIPLIER & _MASK
    state = (state ^ (state >> _SHIFT)) * _MULTIPLIER & _MASK
    return state ^ (state >> _SHIFT)
