"""The offsets of the tokens of a text, for explanations; predictions do not compute them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import regex

from .fasttext import FastText
from .normalization import Normalization, lower, pieces
from .spacy import offsets_of
from .spec import TextSpec


class Found(NamedTuple):
    """A token as the model reads it, and the characters of the original text that it is made of."""

    token: str
    start: int
    end: int


@lru_cache(maxsize=4)
def _compiled(pattern: str) -> Any:
    return regex.compile(pattern)


def find_tokens(spec: TextSpec, text: str) -> list[Found]:
    """Return the tokens of a text as `TextEncoder.tokens` gives them, at most max_tokens, each with its offsets.

    Offsets are those of the original text: a token that normalization has made of several characters has them all.
    """
    if spec.fasttext is not None:
        return _of_fasttext(spec, spec.fasttext, text)
    if spec.spacy is not None:
        tokens, _ = spec.spacy.tokens(text, spec.max_tokens)
        return [Found(token, at, at + len(token)) for token, at in zip(tokens, offsets_of(tokens, text), strict=True)]
    if spec.normalization is Normalization.NONE or text.isascii():
        return [Found(match.group(), *match.span()) for match in _matches(spec, text)]
    read, starts, ends = [], [], []
    end = 0
    for piece, length in pieces(text, spec.normalization):
        read.append(piece)
        starts += [end] * len(piece)
        end += length
        ends += [end] * len(piece)
    return [
        Found(match.group(), starts[match.start()], ends[match.end() - 1]) for match in _matches(spec, "".join(read))
    ]


def _of_fasttext(spec: TextSpec, rules: FastText, text: str) -> list[Found]:
    """Return the words with their offsets; the end of the text, which is a token too, is none of them."""
    matches = list(_compiled(spec.pattern).finditer(text))
    words = islice(rules.words(match.group() for match in matches), spec.max_tokens)
    return [Found(word, *matches[place].span()) for place, word in words]


def _matches(spec: TextSpec, text: str) -> Iterator[Any]:
    """Yield the matches of tokens in a normalized text; lower case changes no length."""
    return islice(_compiled(spec.pattern).finditer(lower(text) if spec.lowercase else text), spec.max_tokens)
