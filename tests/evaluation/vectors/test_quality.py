"""How vectors agree with people, and what fewer bits keep; the figures of GloVe are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lexport.errors import MissingExtra, SystemProblem
from lexport.evaluation.vectors import sets
from lexport.evaluation.vectors.opening import of_vectors
from lexport.evaluation.vectors.quality import judge_analogies, judge_pairs, kept_neighbours, spearman
from lexport.evaluation.vectors.rows import FloatRows
from lexport.evaluation.vectors.sets import Analogy, Pair
from lexport.evaluation.vectors.table import WordTable

from ...refusals import refused


@pytest.fixture(scope="module")
def glove() -> WordTable:
    return of_vectors("glove-6b-50d")


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=30))
def test_spearman_is_scipys_with_equal_values_at_their_mean_rank(values: list[tuple[int, int]]) -> None:
    first, second = np.array(values, np.float64).T
    ours = spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(stats.spearmanr(first, second).statistic)


@pytest.mark.parametrize(("name", "expected"), [("wordsim353", 0.50), ("simlex999", 0.265)])
def test_glove_is_as_good_as_is_known_and_int8_keeps_it(glove: WordTable, name: str, expected: float) -> None:
    whole, small = (judge_pairs(one, name) for one in (glove, _int8(glove, name)))
    assert whole.value == pytest.approx(expected, abs=0.01)
    assert small.value == pytest.approx(whole.value, abs=0.005)
    assert whole.judged >= 0.98 * whole.asked


def _int8(glove: WordTable, name: str) -> WordTable:
    """The words of a set in int8: rows are quantized each by itself, so that the others make no difference."""
    asked = {word for pair in sets.pairs(name) for word in (pair.first, pair.second)}
    words = sorted({one for word in asked for one in (word, word.lower()) if one in glove})
    places = np.array([glove.place_of(word) for word in words], np.int64)
    return WordTable("GloVe", words, FloatRows(glove.rows.vectors(places))).in_precision("int8")


def test_the_sets_are_whole() -> None:
    assert (len(sets.pairs("wordsim353")), len(sets.pairs("simlex999"))) == (353, 999)
    analogies = sets.analogies()
    assert len(analogies) == 19_544
    assert len({one.group for one in analogies}) == 14


def test_a_missing_package_or_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with refused(MissingExtra, "LX-INSTALL-002", "gensim", 'pip install "lexport[vectors]"'):
        sets.pairs("wordsim353")
    monkeypatch.undo()
    monkeypatch.setattr(sets, "_FOLDER", "nowhere")
    with refused(SystemProblem, "LX-VECTORS-105", "nowhere/wordsim353.tsv"):
        sets.pairs("wordsim353")


def test_pairs_with_an_unknown_word_or_one_without_direction_do_not_count() -> None:
    table = WordTable("t", ["a", "b", "c", "zero"], FloatRows(np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.float32)))
    pairs = [Pair("a", "B", 9), Pair("a", "c", 1), Pair("a", "zero", 5), Pair("a", "unknown", 5)]
    found = judge_pairs(table, "wordsim353", pairs)
    assert (found.judged, found.asked) == (2, 4)
    assert found.value == pytest.approx(1)
    assert judge_pairs(table, "wordsim353", pairs[2:]).value is None


def test_analogies_are_right_where_the_fourth_word_is_the_nearest() -> None:
    words = ["man", "king", "woman", "queen", "far"]
    rows = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [-1, 0, 0]], np.float32)
    table = WordTable("t", words, FloatRows(rows))
    given = [
        Analogy("man", "king", "woman", "queen", "people"),
        Analogy("man", "king", "woman", "far", "people"),
        Analogy("man", "king", "woman", "unknown", "other"),
    ]
    found = judge_analogies(table, given)
    assert (found.judged, found.asked, found.value, found.groups) == (2, 3, 0.5, {"people": 0.5})


def test_the_neighbours_that_fewer_bits_keep_are_counted() -> None:
    rows = np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32)
    table = WordTable("t", [f"word{at}" for at in range(300)], FloatRows(rows))
    others = [table, *(table.in_precision(one) for one in ("int8", "int4"))]
    same, eight, four = kept_neighbours(table, others, 50)
    assert (same.kept, same.words, same.among) == (10, 50, 300)
    assert [one.precision for one in (same, eight, four)] == ["fp32", "int8", "int4"]
    assert 9 < eight.kept <= 10
    assert 5 < four.kept < eight.kept


def test_of_eleven_words_nothing_is_compared() -> None:
    rows = FloatRows(np.random.default_rng(0).standard_normal((11, 4), dtype=np.float32))
    table = WordTable("t", list("abcdefghijk"), rows)
    assert kept_neighbours(table, [table]) == []
