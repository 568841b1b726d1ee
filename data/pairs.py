"""Pairs of texts out of single ones: the two halves of a text belong together, as a question and its answer do.

The cheapest honest training signal for text vectors where nobody has written pairs down.
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
    """Each text as a pair: its first half in `texts`, its second in `pairs`; the part stays that of the whole text.

    A text is cut at the sentence end nearest its middle, if one lies in the middle half of its characters, else at
    the nearest white space, in scripts without spaces between the nearest two characters. Texts of fewer than
    `LEAST_TOKENS` tokens are left out and counted as dropped under "short". Raises InputError if none is left,
    ValueError if there are pairs already.
    """
    if dataset.pairs is not None:
        raise ValueError(f"{dataset.name} has pairs already")
    cut = [_halved(text) for text in dataset.texts]
    long = [row for row, pair in enumerate(cut) if pair]
    if not long:
        raise InputError(
            f"{dataset.name}: none of its {len(dataset):,} texts can be halved into a pair; {LEAST_TOKENS} words or "
            "characters were expected. Use longer texts, or name a second text of each row with --pair-column."
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
    """The two halves, None if the text is too short or has no place to cut it."""
    if not _has_tokens(text, LEAST_TOKENS):
        return None
    half = len(text) // 2
    cut = _nearest(_SENTENCE_END, text, half // 2) or _nearest(_BREAK, text, _NEAR) or _nearest(_BREAK, text, half)
    if cut is None:
        return None
    first, second = text[:cut].rstrip(), text[cut:].lstrip()
    return (first, second) if _has_tokens(first, _LEAST_HALF) and _has_tokens(second, _LEAST_HALF) else None


def _nearest(pattern: regex.Pattern[str], text: str, reach: int) -> int | None:
    """The end of a match of `pattern` nearest the middle of `text` among those about `reach` characters around it."""
    middle = len(text) / 2
    found = pattern.finditer(text, max(0, int(middle) - reach), int(middle) + reach + 1)
    return min((match.end() for match in found), key=lambda cut: abs(cut - middle), default=None)


def _has_tokens(text: str, count: int) -> bool:
    return sum(1 for _ in islice(_TOKEN.finditer(text), count)) == count
