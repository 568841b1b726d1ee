"""A table of words: the nearest words, analogies, and what is said of words that it lacks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lexport.errors import InputError
from lexport.evaluation.vectors.rows import FloatRows
from lexport.evaluation.vectors.table import WordTable

from ...hostile import EVIL, check
from ...refusals import refused

WORDS = {
    "king": (1.0, 1.0, 0.0),
    "queen": (0.0, 1.0, 1.0),
    "man": (1.0, 0.0, 0.0),
    "woman": (0.0, 0.0, 1.0),
    "nothing": (0.0, 0.0, 0.0),
    "crown": (0.5, 1.0, 0.5),
}


def table(words: Mapping[str, tuple[float, ...]] = WORDS) -> WordTable:
    return WordTable("tiny", list(words), FloatRows(np.array(list(words.values()), np.float32)), str.lower)


def test_similar_words_come_by_their_cosine_without_the_word_itself_and_without_zeros() -> None:
    found = table().similar(["king"], 9)
    assert [one.word for one in found] == ["crown", "man", "queen", "woman"]
    assert found[0].similarity == pytest.approx(1.5 / (2**0.5 * 1.5**0.5))


def test_several_words_are_asked_as_their_mean_direction_and_none_is_listed() -> None:
    assert [one.word for one in table().similar(["man", "woman"], 2)] == ["crown", "king"]


def test_an_analogy_leaves_its_own_words_out() -> None:
    assert table().analogy("man", "king", "woman", 1)[0].word == "queen"
    found = [one.word for one in table().analogy("man", "king", "woman", 9)]
    assert not {"man", "king", "woman"} & set(found)


def test_a_word_is_found_as_it_is_or_as_the_table_spells_it() -> None:
    assert table().place("King") == 0
    exact = WordTable("exact", ["King", "king"], FloatRows(np.eye(2, dtype=np.float32)), str.lower)
    assert (exact.place("King"), exact.place("KING")) == (0, 1)


def test_an_unknown_word_is_refused_with_words_that_are_spelled_alike() -> None:
    with refused(InputError, "LX-VECTORS-102", "tiny", "quen", "6", "queen"):
        table().similar(["quen"])
    with refused(InputError, "LX-VECTORS-102", "zzz", "No word is spelled alike"):
        table().similar(["zzz"])


def test_capitals_are_suggested_first() -> None:
    exact = WordTable("exact", ["parish", "Paris", "park"], FloatRows(np.eye(3, dtype=np.float32)))
    with refused(InputError, "LX-VECTORS-102", "Paris, parish"):
        exact.place_of("paris")


@pytest.mark.parametrize("word", [EVIL, "", " ", "\u202e", "a" * 100_000, "\ud800", "<", "[b]"])
def test_a_hostile_word_is_unknown_and_shown_safely(word: str) -> None:
    with refused(InputError, "LX-VECTORS-102") as caught:
        table().place_of(word)
    check(str(caught.value))
    assert len(str(caught.value)) < 400


def test_of_a_word_that_is_there_twice_the_first_counts_and_the_second_is_never_found() -> None:
    rows = FloatRows(np.array([[1, 0], [0.9, 0.1], [1, 0.01]], np.float32))
    twice = WordTable("twice", ["one", "two", "one"], rows)
    assert [one.word for one in twice.similar(["two"])] == ["one"]
    assert [one.word for one in twice.similar(["one"])] == ["two"]
    assert len(twice) == 2


def test_a_word_whose_vector_has_no_direction_is_refused() -> None:
    with refused(InputError, "LX-VECTORS-103", "nothing", "only zeros"):
        table().similar(["nothing"])
    broken = table({"whole": (1.0,), "broken": (float("nan"),)})
    with refused(InputError, "LX-VECTORS-103", "broken", "not finite"):
        broken.similar(["broken"])


def test_vectors_that_cancel_each_other_are_refused() -> None:
    opposite = table({"up": (1.0, 0.0), "down": (-1.0, 0.0), "left": (0.0, 1.0)})
    with refused(InputError, "LX-VECTORS-104", "up, down"):
        opposite.similar(["up", "down"])


def test_a_table_without_words_is_refused() -> None:
    with refused(InputError, "LX-VECTORS-101", "empty"):
        WordTable("empty", [], FloatRows(np.zeros((0, 3), np.float32)))


def test_the_same_words_in_int8_have_the_same_neighbours_here() -> None:
    small = table().in_precision("int8")
    assert small.rows.precision == "int8"
    assert [one.word for one in small.similar(["king"], 9)] == [one.word for one in table().similar(["king"], 9)]
