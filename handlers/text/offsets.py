"""The offsets of the tokens of a text, for explanations; predictions do not compute them."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import regex

from .encoder import normalise
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

    Normalising changes no length, character by character, so that the offsets are those of the original text.
    """
    read = normalise(text) if spec.lowercase else text
    matches = _compiled(spec.pattern).finditer(read)
    return [Found(match.group(), *match.span()) for match in islice(matches, spec.max_tokens)]
