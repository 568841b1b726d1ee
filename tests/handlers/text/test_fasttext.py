"""Texts as fastText reads them, in the text code that training, exports and workers share."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.export.textgraph import reason_against
from lexport.handlers.text.encoder import TextEncoder
from lexport.handlers.text.fasttext import END, LONGEST_WORD, PATTERN, FastText, subword_hashes, word_hash
from lexport.handlers.text.spec import PAD, TextError, TextSpec

WORDS = ["goal", END, "été", "team"]
SPEC = TextSpec(
    words=2 + len(WORDS),
    buckets=3,
    ngrams=2,
    subwords=(1, 3),
    lowercase=False,
    pattern=PATTERN,
    max_tokens=6,
    fasttext=FastText(10, "1 3 5", ("#sport",)),
)


def encoder(**changes: Any) -> TextEncoder:
    return TextEncoder(replace(SPEC, **changes), WORDS)


def test_a_word_has_the_hash_that_fasttext_publishes() -> None:
    # FNV-1a of 32 bits: the values of its authors' test suite, and a byte above 127 read with a sign.
    assert word_hash("") == 0x811C9DC5 - (1 << 32)
    assert word_hash("foobar") == 0xBF9CF968 - (1 << 32)
    assert word_hash("é") != word_hash("e")


def test_subwords_are_the_ngrams_of_the_marked_word_without_its_marks_alone() -> None:
    found = subword_hashes("ab", 1, 2).tolist()
    expected = [word_hash(one) & 0xFFFFFFFF for one in ("<a", "a", "ab", "b", "b>")]
    assert sorted(found) == sorted(expected)
    assert len(subword_hashes(END, 1, 3)) == 0
    assert len(subword_hashes("x" * (LONGEST_WORD + 500), 3, 3)) == LONGEST_WORD


def test_a_text_has_its_end_behind_it_and_keeps_at_most_so_many_words() -> None:
    found = encoder().look_up(["goal team", "", "a b c d e f g", "goal </s> team", "#sport __label__x goal"])
    assert found.lengths.tolist() == [3, 1, 7, 2, 2]
    assert found.truncated == (False, False, True, False, False)
    assert found.unknown.tolist() == [0, 0, 6, 0, 0]


def test_an_end_without_a_row_is_no_unknown_word() -> None:
    spec = replace(SPEC, words=3)
    assert TextEncoder(spec, ["goal"]).look_up(["goal x", ""]).unknown.tolist() == [1, 0]


def test_words_and_buckets_without_a_row_have_no_cell() -> None:
    ids = encoder().assemble(encoder().look_up(["goal unknown"]))[0]
    assert ids[:3].tolist() == [2, PAD, 3]
    assert set(ids[3:].tolist()) <= {PAD, *range(SPEC.words, SPEC.rows)}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=6))
def test_cells_without_padding_are_those_of_the_matrix(texts: list[str]) -> None:
    own = encoder()
    tokens = own.look_up(texts)
    matrix = own.assemble(tokens)
    cells, counts = own.flatten(tokens)
    assert counts.tolist() == (matrix != PAD).sum(axis=1).tolist()
    assert cells.tolist() == matrix[matrix != PAD].tolist()


def test_the_spec_is_read_back_from_json_and_others_do_not_mention_it() -> None:
    assert TextSpec(**json.loads(json.dumps(SPEC.to_json()))) == SPEC
    assert "fasttext" not in TextSpec(words=2).to_json()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fasttext": FastText(-1, "1 3 5")}, "buckets=-1"),
        ({"fasttext": FastText(10, "1 x")}, "numbers with spaces"),
        ({"fasttext": FastText(10, f"1 3 {10**30}")}, "numbers with spaces"),
        ({"fasttext": FastText(10, "1 3")}, "3 ascending buckets below 10"),
        ({"fasttext": FastText(10, "1 0 5")}, "3 ascending buckets below 10"),
        ({"fasttext": FastText(10, "1 3 6")}, "3 ascending buckets below 10"),
        ({"fasttext": FastText(10)}, "3 rows are not its 10 buckets"),
        ({"lowercase": True}, "lowercase false"),
        ({"normalization": "nfc"}, "normalization 'none'"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(TextError, match=what):
        replace(SPEC, **changes)


def test_there_is_no_graph_of_its_hashes() -> None:
    assert "MurmurHash3" in (reason_against(SPEC) or "")


def test_a_token_that_is_no_vocabulary_word_still_makes_ngrams() -> None:
    whole = encoder(fasttext=FastText(3)).assemble(encoder(fasttext=FastText(3)).look_up(["goal unknown"]))[0]
    assert np.count_nonzero(whole[3:5] >= SPEC.words) == 2
