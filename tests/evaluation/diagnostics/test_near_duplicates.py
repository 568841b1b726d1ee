"""Nearly equal texts: every pair that there is, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lexport.evaluation.diagnostics.near_duplicates import near_duplicates

TEXT = "a gripping story of two brothers who cross the frozen sea".split()

texts = st.lists(st.lists(st.sampled_from("abcdefghijkl"), max_size=10), max_size=12)


def brute(known: list[list[str]], asked: list[list[str]], likeness: float) -> dict[int, float]:
    """The likeness of the most similar text of each row, where there is one that is like it."""
    found = {}
    for row, words in enumerate(asked):
        own = set(words)
        best = max(
            (
                len(own & set(other)) / len(own | set(other))
                for other in known
                if len(own) >= 5 and len(set(other)) >= 5
            ),
            default=0.0,
        )
        if best >= likeness:
            found[row] = best
    return found


@given(texts, texts, st.sampled_from([0.5, 0.6, 0.75, 0.8, 0.9, 1.0]))
def test_every_pair_is_found_that_comparing_all_with_all_finds(
    known: list[list[str]], asked: list[list[str]], likeness: float
) -> None:
    found = near_duplicates(known, asked, likeness)
    assert {row: value for row, _, value in found} == brute(known, asked, likeness)
    for row, other, value in found:
        own, words = set(asked[row]), set(known[other])
        assert len(own & words) / len(own | words) == value


def test_a_word_changed_or_added_is_nearly_the_same() -> None:
    changed = [*TEXT[:4], "three", *TEXT[5:]]
    assert near_duplicates([TEXT], [changed]) == [(0, 0, 10 / 12)]
    assert near_duplicates([TEXT], [[*TEXT, "again"]]) == [(0, 0, 11 / 12)]
    assert near_duplicates([TEXT], [list(reversed(TEXT))]) == [(0, 0, 1.0)]


def test_the_most_similar_text_is_named() -> None:
    assert near_duplicates([TEXT[:9], TEXT], [TEXT]) == [(0, 1, 1.0)]


def test_other_texts_and_short_ones_are_not() -> None:
    assert near_duplicates([TEXT], [TEXT[:5]]) == []
    assert near_duplicates([["so", "good"]], [["so", "good"]]) == []
    assert near_duplicates([], [TEXT]) == []
    assert near_duplicates([TEXT], []) == []
