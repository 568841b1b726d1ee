"""Make pairs from single texts: the two halves of a text belong together, like a question and its answer.

This is the cheapest training signal for text vectors if there are no pairs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import regex

from ..errors import InputError
from ..handlers.text.spec import TOKEN_PATTERN, UNSPACED
from .dataset import Dataset, dataset_of
from .splits import parts_of

LEAST_TOKENS = 8
"""A shorter text is not halved."""

_LEAST_HALF = 2  # tokens
_NEAR = 32  # characters from the middle, where nearly every text has a place to cut it
# The scripts of which TOKEN_PATTERN makes each character a token.
_TOKEN = regex.compile(TOKEN_PATTERN)
# Both are matched up to the place of the cut.
_SENTENCE_END = regex.compile(r"""[.!?…][\p{Pe}\p{Pf}"']*\s+|[。！？…][\p{Pe}\p{Pf}"']*(?=[^\s\p{P}])""")
# White space; in scripts without it the place between two characters, or their closing and opening marks.
_BREAK = regex.compile(
    rf"\s+|(?<=[{UNSPACED}\p{{Pe}}\p{{Pf}}\p{{Po}}])(?!\p{{M}})(?=[\p{{Ps}}\p{{Pi}}]?[{UNSPACED}])"
)


def halves(dataset: Dataset) -> Dataset:
    """Return each text as a pair of halves in `texts` and `pairs`; its part is that of the whole text.

    A text is cut at the sentence end nearest to its middle, if there is one in the middle half of its characters,
    else at the nearest white space, or between characters in scripts without spaces. Texts of fewer than
    `LEAST_TOKENS` tokens are left out and counted as dropped under "short". Raises InputError if none is left,
    ValueError if there are already pairs.
    """
    if dataset.pairs is not None:
        raise ValueError(f"{dataset.name} has pairs already")
    cut = [_halved(text) for text in dataset.texts]
    long = [row for row, pair in enumerate(cut) if pair]
    if not long:
        raise InputError(
            f"{dataset.name}: none of its {len(dataset):,} texts is long enough to be halved; expected "
            f"{LEAST_TOKENS} words or characters. Use longer texts, or name a second text with --pair-column.",
            code="LX-DATA-016",
        )
    whole = replace(dataset, parts=parts_of(dataset)).take(long, dataset.name)
    pairs = [pair for pair in cut if pair]
    return dataset_of(
        [first for first, _ in pairs],
        whole.labels,
        dataset.name,
        dropped=dataset.dropped | {"short": len(dataset) - len(long)},
        languages=whole.languages,
        pairs=[second for _, second in pairs],
        images=whole.images,
        parts=whole.parts,
    )


def _halved(text: str) -> tuple[str, str] | None:
    """Return the two halves, None if the text is too short or has no place to cut it."""
    if not _has_tokens(text, LEAST_TOKENS):
        return None
    half = len(text) // 2
    cut = _nearest(_SENTENCE_END, text, half // 2) or _nearest(_BREAK, text, _NEAR) or _nearest(_BREAK, text, half)
    if cut is None:
        return None
    first, second = text[:cut].rstrip(), text[cut:].lstrip()
    return (first, second) if _has_tokens(first, _LEAST_HALF) and _has_tokens(second, _LEAST_HALF) else None


def _nearest(pattern: regex.Pattern[str], text: str, reach: int) -> int | None:
    """Return the end of the match of `pattern` nearest to the middle of `text`, within about `reach` characters."""
    middle = len(text) / 2
    found = pattern.finditer(text, max(0, int(middle) - reach), int(middle) + reach + 1)
    return min((match.end() for match in found), key=lambda cut: abs(cut - middle), default=None)


def _has_tokens(text: str, count: int) -> bool:
    return sum(1 for _ in islice(_TOKEN.finditer(text), count)) == count
