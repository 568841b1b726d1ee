"""What spaCy answers, computed from its files: the tokenizer as its documentation describes it, and thinc's hashes.

It shares no code with `handlers/text/spacy.py`, which a run reads texts with: both are compared with one another on
the user's texts, and with spaCy itself in the tests.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import mmh3
import numpy as np

from ....evaluation.metrics import Outputs
from ....handlers.text.spacy_symbols import SYMBOLS
from .folder import TextCat

_WORD = 8  # bytes
_BITS = 64
_NEVER = "(?!)"  # matches nothing


class Answering:
    """From texts to the scores of a pipeline's textcat, float32 [texts, labels]."""

    def __init__(self, textcat: TextCat) -> None:
        """Answer as `textcat` does."""
        self._textcat = textcat
        self._tokenizer = _Tokenizer(textcat)

    def __call__(self, texts: Sequence[str]) -> Outputs:
        """Return the scores of texts."""
        return np.stack([self._answer(text) for text in texts])

    def _answer(self, text: str) -> Outputs:
        found = self._textcat
        logits = found.bias.astype(np.float64)
        for key, count in Counter(self._keys(self._tokenizer(text))).items():
            for seed in range(2):
                row = mmh3.hash(key.to_bytes(_WORD, "little"), seed, signed=False) % len(found.table)
                logits = logits + count * found.table[row]
        if found.several:
            return (1 / (1 + np.exp(-logits))).astype(np.float32)
        raised = np.exp(logits - logits.max())
        scores: Outputs = (raised / raised.sum()).astype(np.float32)
        return scores

    def _keys(self, tokens: Sequence[str]) -> list[int]:
        """Return the keys of a text's n-grams."""
        texts = [token.lower() for token in tokens] if self._textcat.rules.lowercase else tokens
        single = [SYMBOLS.get(one) or _murmur(one.encode(), 1) for one in texts]
        grams = list(single)
        for order in range(2, self._textcat.ngrams + 1):
            for first in range(len(single) - order + 1):
                parts = single[first : first + order]
                grams.append(_murmur(b"".join(part.to_bytes(_WORD, "little") for part in parts), 0))
        return grams


def _murmur(content: bytes, seed: int) -> int:
    """Return MurmurHash64A of bytes (Austin Appleby's second hash for machines of 64 bits)."""
    size, factor = 1 << _BITS, 0xC6A4A7935BD1E995
    found = seed ^ len(content) * factor % size
    words = [content[at : at + _WORD] for at in range(0, len(content), _WORD)]
    for word in words:
        number = int.from_bytes(word, "little")
        if len(word) == _WORD:
            number = number * factor % size
            number = (number ^ number >> 47) * factor % size
        found = (found ^ number) * factor % size
    found = (found ^ found >> 47) * factor % size
    return found ^ found >> 47


class _Tokenizer:
    """spaCy's tokenizer: exceptions, prefixes, suffixes and infixes."""

    def __init__(self, textcat: TextCat) -> None:
        rules = textcat.rules
        self._exceptions = dict(rules.rules or {})
        self._prefix, self._suffix = _searching(rules.prefix), _searching(rules.suffix)
        self._infixes = re.compile(rules.infix or _NEVER).finditer
        self._whole, self._url = _matching(rules.whole), _matching(rules.url)
        self._phrases: dict[str, list[list[str]]] = {}
        for exception in sorted(self._exceptions):
            affixed = self._prefix(exception) or self._suffix(exception) or any(self._infixes(exception))
            if rules.every_rule or affixed or " " in exception:
                tokens = [token for token, _ in self._affixes(exception, {})]
                self._phrases.setdefault(tokens[0], []).append(tokens)

    def __call__(self, text: str) -> list[str]:
        """Return the tokens of a text."""
        tokens = self._affixes(text, self._exceptions)
        matches = [
            (len(phrase), first)
            for first, (token, _) in enumerate(tokens)
            for phrase in self._phrases.get(token, ())
            if [one for one, _ in tokens[first : first + len(phrase)]] == phrase
        ]
        whole: dict[int, int] = {}
        used: set[int] = set()
        for length, first in sorted(matches, key=lambda match: (-match[0], match[1])):
            if not used & {first, first + length - 1}:
                whole[first] = length
            used |= set(range(first, first + length))
        found: list[str] = []
        skipped = 0
        for place, (token, _) in enumerate(tokens):
            if skipped:
                skipped -= 1
                continue
            length = whole.get(place, 1)
            parts = tokens[place : place + length]
            joined = "".join(one + spaced for one, spaced in parts).removesuffix(parts[-1][1])
            if place in whole and joined in self._exceptions:
                found += self._exceptions[joined]
                skipped = length - 1
            else:
                found.append(token)
        return found

    def _affixes(self, text: str, exceptions: dict[str, list[str]]) -> list[tuple[str, str]]:
        """Return the tokens of a text, each with the space behind it or nothing."""
        found: list[tuple[str, str]] = []
        start, blank = 0, text[:1].isspace()
        for place in range(len(text) + 1):
            if place < len(text) and text[place].isspace() == blank:
                continue
            spaced = " " if place < len(text) and text[place] == " " else ""
            if start < place:
                tokens = self._divided(text[start:place], exceptions)
                found += [(token, "") for token in tokens[:-1]] + [(tokens[-1], spaced)]
            start, blank = place + len(spaced), not blank
        return found

    def _divided(self, rest: str, exceptions: dict[str, list[str]]) -> list[str]:
        prefixes: list[str] = []
        suffixes: list[str] = []
        while rest and rest not in exceptions and not self._whole(rest):
            first = self._prefix(rest)
            if first and rest[first:] in exceptions:
                prefixes.append(rest[:first])
                rest = rest[first:]
                break
            last = self._suffix(rest[first:])
            if last and rest[:-last] in exceptions:
                suffixes.append(rest[-last:])
                rest = rest[:-last]
                break
            if not first and not last:
                break
            prefixes += [rest[:first]] if first else []
            suffixes += [rest[-last:]] if last else []
            rest = rest[first : len(rest) - last]
        if rest in exceptions:
            middle = exceptions[rest]
        elif not rest or self._whole(rest) or self._url(rest):
            middle = [rest]
        else:
            middle, start = [], 0
            for match in self._infixes(rest):
                if match.start():
                    middle += [rest[start : match.start()], match[0]]
                    start = match.end()
            middle.append(rest[start:])
        return [token for token in (*prefixes, *middle, *reversed(suffixes)) if token]


def _searching(pattern: str | None) -> Callable[[str], int]:
    """Return what finds how long a prefix or suffix is, 0 without one."""
    search = re.compile(pattern or _NEVER).search

    def length(text: str) -> int:
        match = search(text)
        return len(match[0]) if match else 0

    return length


def _matching(pattern: str | None) -> Callable[[str], Any]:
    return re.compile(pattern or _NEVER).match
