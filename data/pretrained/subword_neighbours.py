"""Vectors for new words from the known words that are spelled alike.

Two words are as similar as the cosine of their sets of character n-grams, begin and end of the word marked. The
vector of a new word is the mean of its neighbours', weighted by that similarity. The n-grams are those of
Bojanowski, Grave, Joulin, Mikolov: Enriching Word Vectors with Subword Information, 2017, arXiv:1607.04606.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

_ORDERS = (3, 4, 5)

Ints = npt.NDArray[np.int64]


def grams(word: str) -> set[str]:
    """Return the n-grams of 3 to 5 characters of `word` between < and >."""
    marked = f"<{word}>"
    return {marked[at : at + order] for order in _ORDERS for at in range(len(marked) - order + 1)}


def neighbours(words: Sequence[str], known: Sequence[str], limit: int = 5) -> list[list[tuple[int, float]]]:
    """For each of `words` its most similar `known` words, at most `limit`: (position in `known`, similarity).

    The most similar come first, equally similar ones in their order in `known`. A similarity is above 0 and at
    most 1; a word that shares no n-gram with any known one has no neighbours.
    """
    asked = [grams(word) for word in words]
    number = {gram: place for place, gram in enumerate(dict.fromkeys(chain.from_iterable(asked)))}
    sizes: Ints = np.zeros(len(known), np.int64)
    # An inverted index, of the n-grams that are asked for alone: which known words have each.
    found, owners = array("q"), array("q")
    for position, word in enumerate(known):
        own = grams(word)
        sizes[position] = len(own)
        shared = [number[gram] for gram in own if gram in number]
        found.extend(shared)
        owners.extend(repeat(position, len(shared)))
    numbers: Ints = np.array(found, np.int64)
    holders: Ints = np.array(owners, np.int64)[np.argsort(numbers, kind="stable")]
    ends = np.cumsum(np.bincount(numbers, minlength=len(number))).tolist()
    starts = [0, *ends]
    nearest = []
    for one in asked:
        places = [number[gram] for gram in one]
        sharing = np.concatenate([holders[starts[place] : ends[place]] for place in places])
        nearest.append(_nearest(sharing, sizes, len(one), limit))
    return nearest


def _nearest(sharing: Ints, sizes: Ints, size: int, limit: int) -> list[tuple[int, float]]:
    """Return the best of `sharing`: who has an n-gram of a word of `size` n-grams, once for each n-gram."""
    counts = np.bincount(sharing, minlength=len(sizes))
    positions = np.flatnonzero(counts)
    similarities = counts[positions] / np.sqrt(sizes[positions] * size)
    if len(positions) > limit:
        close = similarities >= np.partition(similarities, -limit)[-limit]
        positions, similarities = positions[close], similarities[close]
    best = np.argsort(-similarities, kind="stable")[:limit]
    return list(zip(positions[best].tolist(), similarities[best].tolist(), strict=True))


def blend(
    words: Sequence[str], known: Sequence[str], vectors: npt.NDArray[np.float32]
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """Return vectors for `words` of their neighbours', `vectors` float32 [known, dim].

    Returns the positions of the words that have neighbours, int64 [n] ascending, and float32 [n, dim].
    """
    found = neighbours(words, known)
    positions = np.array([place for place, near in enumerate(found) if near], np.int64)
    rows = np.zeros((len(positions), vectors.shape[1]), np.float32)
    for row, place in enumerate(positions.tolist()):
        near, weights = zip(*found[place], strict=True)
        rows[row] = np.average(vectors[list(near)], axis=0, weights=weights)
    return positions, rows
