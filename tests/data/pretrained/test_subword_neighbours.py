"""New words take their vectors from the known words that are spelled alike."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.pretrained.subword_neighbours import blend, neighbours

WORDS = st.lists(st.text("abcé好", min_size=1, max_size=8), max_size=12)


def naive(word: str, known: list[str], limit: int) -> list[tuple[int, float]]:
    """Every known word against `word`, one by one."""

    def grams(one: str) -> set[str]:
        marked = f"<{one}>"
        return {marked[a:b] for a in range(len(marked)) for b in range(a + 3, a + 6) if b <= len(marked)}

    mine = grams(word)
    found = []
    for position, other in enumerate(known):
        theirs = grams(other)
        if shared := len(mine & theirs):
            found.append((position, shared / math.sqrt(len(mine) * len(theirs))))
    return sorted(found, key=lambda item: (-item[1], item[0]))[:limit]


@given(WORDS, WORDS, st.integers(1, 5))
def test_they_are_those_of_a_comparison_with_every_word(words: list[str], known: list[str], limit: int) -> None:
    assert neighbours(words, known, limit) == [naive(word, known, limit) for word in words]


def test_the_most_similar_come_first_and_equals_in_the_order_of_the_vocabulary() -> None:
    known = ["table", "cables", "fable", "cable", "dog"]
    assert [known[position] for position, _ in neighbours(["cable"], known)[0]] == [
        "cable",
        "cables",
        "table",
        "fable",
    ]
    assert neighbours(["cable"], known)[0][0] == (3, 1.0)


def test_begin_and_end_of_a_word_count() -> None:
    assert neighbours(["art"], ["cart", "artist"]) == [naive("art", ["cart", "artist"], 5)]
    assert neighbours(["ab"], ["cabd"]) == [[]]


def test_a_word_that_shares_nothing_has_none() -> None:
    assert neighbours(["好", "zebra"], ["the", "of"]) == [[], []]
    assert neighbours(["word"], []) == [[]]
    assert neighbours([], ["word"]) == []


def test_a_vector_is_the_mean_weighted_by_similarity() -> None:
    known = ["cables", "tables", "dog"]
    vectors = np.array([[1, 0], [0, 1], [9, 9]], np.float32)
    positions, found = blend(["xyz", "cable"], known, vectors)
    near = dict(neighbours(["cable"], known)[0])
    assert positions.tolist() == [1]
    assert near.keys() == {0, 1}
    total = near[0] + near[1]
    np.testing.assert_allclose(found, np.array([[near[0] / total, near[1] / total]]), rtol=1e-6)


def test_no_word_with_neighbours_gives_no_vectors() -> None:
    positions, found = blend(["xyz"], ["dog"], np.ones((1, 3), np.float32))
    assert positions.shape == (0,)
    assert found.shape == (0, 3)
