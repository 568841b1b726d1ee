"""Texts of different parts that have nearly the same words: copies with a word changed, added or left out.

All pairs of a likeness are found, not a sample of them. Two sets of words whose Jaccard similarity reaches t share a
word among the first |x| - ⌈t |x|⌉ + 1 of each, whatever order all words are put in; with the rarest first hardly any
other pair has to be compared (Bayardo, Ma, Srikant: Scaling Up All Pairs Similarity Search, WWW 2007).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

LIKENESS = 0.8
"""The Jaccard similarity of the words from which on two texts are nearly the same."""
_FEWEST = 5
"""Different words that a text needs: shorter ones are alike by chance."""

Words = frozenset[str]


def near_duplicates(
    known: Sequence[Iterable[str]], asked: Sequence[Iterable[str]], likeness: float = LIKENESS
) -> list[tuple[int, int, float]]:
    """Return the rows of `asked` that are like one of `known`, with the row of the most similar one and its likeness.

    Both hold the words of each text. Texts of fewer than five different words are left out.
    """
    every = [[frozenset(words) for words in side] for side in (known, asked)]
    texts = Counter(word for side in every for words in side for word in words)
    # Equal counts in the order of the words, so that the order is the same in every run.
    place = {word: number for number, word in enumerate(sorted(texts, key=lambda word: (texts[word], word)))}
    having: defaultdict[str, list[int]] = defaultdict(list)
    for row, words in enumerate(every[0]):
        for word in _rarest(words, place, likeness):
            having[word].append(row)
    found = []
    for row, words in enumerate(every[1]):
        candidates = {other for word in _rarest(words, place, likeness) for other in having.get(word, ())}
        pairs = [(_jaccard(words, every[0][other]), -other) for other in candidates]
        best = max(pairs, default=(0.0, 0))
        if best[0] >= likeness:
            found.append((row, -best[1], best[0]))
    return found


def _rarest(words: Words, place: dict[str, int], likeness: float) -> list[str]:
    if len(words) < _FEWEST:
        return []
    # Rounded before it is rounded up: 0.8 * 5 is a little above 4 for some numbers.
    count = len(words) - math.ceil(round(likeness * len(words), 9)) + 1
    return sorted(words, key=place.__getitem__)[:count]


def _jaccard(one: Words, other: Words) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
