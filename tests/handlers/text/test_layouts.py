"""The four layouts of a text's numbers, against plain implementations and for any text."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mmh3
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lexport.handlers.text.encoder import PAD, UNK, Ids, TextEncoder, TextError, TextSpec
from lexport.handlers.text.spec import Layout

ENGLISH, GERMAN = ["goal", "the", "die"], ["die", "tor"]
LETTERS = ["g", "o", "a", "l", "é", "好", "😀"]
COUNT = 97

PLAIN = TextEncoder(TextSpec(5, COUNT, 2, 8, subwords=(2, 4)), ENGLISH)
SUBWORDS = TextEncoder(TextSpec(5, COUNT, max_tokens=8, subwords=(3, 5)), ENGLISH)
HASHES = TextEncoder(TextSpec(2, ngrams=3, max_tokens=8, inputs=Layout.HASHES, subwords=(3, 5)), [])
WORDS_HASHED = TextEncoder(TextSpec(2, max_tokens=8, inputs=Layout.HASHES), [])
CHARACTERS = TextEncoder(
    TextSpec(2, max_tokens=8, inputs=Layout.CHARACTERS, word_length=4, characters=2 + len(LETTERS)), [], LETTERS
)
ROWS = {"en": 4, "de": 3, "empty": 1}
LANGUAGES = TextEncoder(
    TextSpec(9, COUNT, 2, 8, inputs=Layout.LANGUAGES, languages=ROWS, subwords=(3, 4)), ENGLISH + GERMAN
)
FEW_LANGUAGES = TextEncoder(TextSpec(9, max_tokens=8, inputs=Layout.LANGUAGES, languages=ROWS), ENGLISH + GERMAN)
ENCODERS = [PLAIN, SUBWORDS, HASHES, WORDS_HASHED, CHARACTERS, LANGUAGES, FEW_LANGUAGES]

texts = st.lists(st.sampled_from(["goal", "the", "die", "tor", "x", "好", "."]) | st.text()).map(" ".join)
batches = st.lists(st.tuples(texts, st.sampled_from(["en", "de", "empty"])), max_size=6)
encoders = st.sampled_from(ENCODERS)


def assembled(one: TextEncoder, batch: Sequence[tuple[str, str]]) -> Ids:
    languages = [language for _, language in batch] if one.languages else None
    return one.assemble(one.look_up([text for text, _ in batch], languages))


def filled(row: Ids) -> list[Any]:
    """A row without its padding, of whatever rank."""
    cells: list[Any] = [[number for number in cell if number != PAD] for cell in row.reshape(len(row), -1).tolist()]
    while cells and not cells[-1]:
        cells.pop()
    return cells


@given(encoders, batches)
@example(LANGUAGES, [])
@example(CHARACTERS, [("", "en")])
def test_every_number_lies_in_its_range(one: TextEncoder, batch: list[tuple[str, str]]) -> None:
    ids, spec = assembled(one, batch), one.spec
    assert ids.dtype == np.int64
    assert ids.shape[0] == len(batch)
    assert ids.shape[1] >= 1
    if spec.inputs == "languages":
        assert ids.shape[2:] == (2,)
        rows = np.array([*spec.languages.values(), spec.buckets])
        assert ((ids[..., 1] >= 0) & (ids[..., 1] <= len(ROWS))).all()
        assert ((ids[..., 0] >= 0) & (ids[..., 0] <= rows[ids[..., 1]])).all()
        assert not ids[ids[..., 0] == PAD].any()
    else:
        assert ids.ndim == (3 if spec.inputs == "characters" else 2)
        assert ids.shape[2:] == () or 1 <= ids.shape[2] <= spec.word_length
        most = {"indices": spec.rows, "hashes": 2**32 + 1, "characters": spec.characters}[spec.inputs]
        assert ((ids >= 0) & (ids < most)).all()


@given(encoders, batches)
def test_padding_stands_on_the_right_alone(one: TextEncoder, batch: list[tuple[str, str]]) -> None:
    ids = assembled(one, batch)
    if one.spec.inputs == "characters":
        padded = ids == PAD
        assert (padded[..., 1:] >= padded[..., :-1]).all()
        ids = ids[..., 0]
    elif one.spec.inputs == "languages":
        ids = ids[..., 0]
    assert ((ids == PAD)[:, 1:] >= (ids == PAD)[:, :-1]).all()


@given(encoders, batches, st.randoms())
def test_a_text_is_encoded_alike_in_any_company(
    one: TextEncoder, batch: list[tuple[str, str]], draw: random.Random
) -> None:
    alone = [filled(assembled(one, [pair])[0]) for pair in batch]
    assert [filled(row) for row in assembled(one, batch)] == alone
    order = draw.choices(range(len(batch)), k=len(batch)) if batch else []
    languages = [language for _, language in batch] if one.languages else None
    taken = one.look_up([text for text, _ in batch], languages).take(np.array(order, np.int64))
    again = assembled(one, [batch[number] for number in order])
    assert one.assemble(taken).tolist() == again.tolist()
    assert taken.unknown.tolist() == [
        one.look_up([batch[number][0]], languages and [batch[number][1]]).unknown[0] for number in order
    ]


@given(encoders, batches)
def test_widths_are_the_columns_that_a_text_takes(one: TextEncoder, batch: list[tuple[str, str]]) -> None:
    languages = [language for _, language in batch] if one.languages else None
    tokens = one.look_up([text for text, _ in batch], languages)
    widths = one.widths(tokens.lengths, tokens.subword_counts)
    assert widths.tolist() == [len(filled(row)) for row in one.assemble(tokens)]


def test_widths_ask_for_the_number_of_subwords() -> None:
    with pytest.raises(ValueError, match="give their number as well"):
        SUBWORDS.widths(np.array([1]))


def hashed(*parts: str | bytes) -> int:
    """The hash of an n-gram of words or characters, written down plainly."""
    value = mmh3.hash(parts[0], signed=False)
    for part in parts[1:]:
        value = (value * 1_000_003 + mmh3.hash(part, signed=False)) % (2**31 - 1)
    return value


def grams_of_cat() -> list[int]:
    """<ca, cat, at>, <cat, cat>: all of three and of four characters."""
    parts: list[str | bytes] = [b"\xff", "c", "a", "t", b"\xfe"]
    return [hashed(*parts[start : start + order]) for order in (3, 4) for start in range(6 - order)]


def test_the_subwords_of_cat_are_these() -> None:
    whole = hashed(b"\xff", "c", "a", "t", b"\xfe")
    expected = [number % COUNT + 5 for number in [*grams_of_cat(), whole]]
    assert SUBWORDS.assemble(SUBWORDS.look_up(["cat"])).tolist() == [[UNK, *expected]]


def test_words_come_first_then_ngrams_then_subwords_word_after_word() -> None:
    one = TextEncoder(TextSpec(5, COUNT, 2, subwords=(3, 3)), ENGLISH)
    grams = [hashed("goal", "o"), hashed(b"\xff", "g", "o"), hashed("g", "o", "a"), hashed("o", "a", "l")]
    grams += [hashed("a", "l", b"\xfe"), hashed(b"\xff", "o", b"\xfe")]
    assert one.assemble(one.look_up(["goal o"])).tolist() == [[2, UNK, *(gram % COUNT + 5 for gram in grams)]]


def test_a_word_without_subwords_of_that_length_has_none() -> None:
    one = TextEncoder(TextSpec(2, COUNT, subwords=(5, 6)), [])
    assert one.look_up(["a ab abc abcd"]).subwords.counts.tolist() == [0, 0, 1, 3]  # type: ignore[union-attr]
    assert one.assemble(one.look_up(["a ab"])).tolist() == [[UNK, UNK]]


def test_a_very_long_word_has_the_subwords_of_its_beginning() -> None:
    tokens = SUBWORDS.look_up(["x" * 1_000_000, "x" * 64])
    assert tokens.subword_counts is not None
    assert tokens.subword_counts.tolist() == [64 + 63 + 62] * 2
    matrix = SUBWORDS.assemble(tokens)
    assert matrix[0].tolist() == matrix[1].tolist()


@given(batches)
def test_hashes_are_those_of_murmur_and_nothing_is_unknown(batch: list[tuple[str, str]]) -> None:
    for text, _ in batch:
        words, _cut = WORDS_HASHED.tokens(text)
        tokens = WORDS_HASHED.look_up([text])
        assert filled(WORDS_HASHED.assemble(tokens)[0]) == [[1 + hashed(word)] for word in words]
        assert tokens.unknown.tolist() == [0]


def test_hashed_ngrams_and_subwords_follow_the_words() -> None:
    one = TextEncoder(TextSpec(2, ngrams=2, inputs=Layout.HASHES, subwords=(3, 4)), [])
    keys = [hashed("cat"), hashed("."), hashed("cat", "."), *grams_of_cat(), hashed(b"\xff", ".", b"\xfe")]
    assert one.assemble(one.look_up(["cat ."])).tolist() == [[1 + key for key in keys]]


def test_two_unseen_words_differ() -> None:
    for one in (SUBWORDS, HASHES, WORDS_HASHED):
        first, second = one.assemble(one.look_up(["zebra", "quagga"]))
        assert filled(first) != filled(second)


def test_hash_seeds_change_every_key() -> None:
    other = TextEncoder(replace(HASHES.spec, hash_seed=1), [])
    keys = [filled(one.assemble(one.look_up(["goal the"]))[0]) for one in (HASHES, other)]
    assert not {key for (key,) in keys[0]} & {key for (key,) in keys[1]}


def test_characters_of_a_word_have_a_row_each() -> None:
    tokens = CHARACTERS.look_up(["Goals 好 zz", "", "gz"])
    assert CHARACTERS.assemble(tokens).tolist() == [
        [[2, 3, 4, 5], [7, 0, 0, 0], [1, 1, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[2, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert tokens.unknown.tolist() == [1, 0, 0]


def test_the_last_axis_is_as_long_as_the_longest_word_of_the_batch() -> None:
    tokens = CHARACTERS.look_up(["go a", "l", "goal"])
    assert CHARACTERS.assemble(tokens).shape == (3, 2, 4)
    assert CHARACTERS.assemble(tokens.take(np.array([0, 1]))).shape == (2, 2, 2)
    assert CHARACTERS.assemble(CHARACTERS.look_up([])).shape == (0, 1, 1)


def test_each_language_has_words_and_unknown_ones_of_its_own() -> None:
    tokens = FEW_LANGUAGES.look_up(["die goal", "die goal", "die", ""], ["en", "de", "empty", "de"])
    assert FEW_LANGUAGES.assemble(tokens).tolist() == [
        [[4, 0], [2, 0]],
        [[2, 1], [1, 1]],
        [[1, 2], [0, 0]],
        [[0, 0], [0, 0]],
    ]
    assert tokens.unknown.tolist() == [0, 1, 1, 0]


def test_languages_share_ngrams_and_subwords() -> None:
    rows = LANGUAGES.assemble(LANGUAGES.look_up(["die tor", "die tor"], ["en", "de"]))
    assert rows[0, :2].tolist() == [[4, 0], [1, 0]]
    assert rows[1, :2].tolist() == [[2, 1], [3, 1]]
    assert rows[0, 2:].tolist() == rows[1, 2:].tolist()
    assert rows[0, 2].tolist() == [1 + hashed("die", "tor") % COUNT, 3]
    assert set(rows[0, 2:, 1].tolist()) == {3}


def test_the_rows_of_all_languages_make_one_line() -> None:
    """As the model counts them: what a language's rows begin behind, and the words behind which the buckets begin."""
    starts = np.array([0, 4, 7, LANGUAGES.spec.words - 1])
    ids = LANGUAGES.assemble(LANGUAGES.look_up(["goal the die x", "die tor x", "x"], ["en", "de", "empty"]))
    rows = np.where(ids[..., 0] == PAD, 0, starts[ids[..., 1]] + ids[..., 0])
    words = [rows[text, :tokens].tolist() for text, tokens in enumerate([4, 3, 1])]
    assert words == [[2, 3, 4, 1], [6, 7, 5], [8]]
    assert rows[0, 4:].min() >= LANGUAGES.spec.words
    assert rows.max() < LANGUAGES.spec.rows


@pytest.mark.parametrize("languages", [None, [None], [None, "en"]])
def test_a_model_of_several_languages_needs_one_for_every_text(languages: list[str | None] | None) -> None:
    with pytest.raises(TextError, match=r"needs a language with every text, one of: en, de, empty\.|1 languages"):
        LANGUAGES.look_up(["a", "b"], languages)


def test_an_unknown_language_is_named_beside_the_known_ones() -> None:
    with pytest.raises(TextError, match=r"The language 'fr' is not known; known are: en, de, empty\."):
        LANGUAGES.look_up(["a"], ["fr"])
    assert LANGUAGES.languages == ("en", "de", "empty")
    assert LANGUAGES.language_number("de") == 1


def test_a_language_is_no_use_to_a_model_that_has_none() -> None:
    assert PLAIN.languages == ()
    assert PLAIN.look_up(["a"], [None]).languages is None
    with pytest.raises(TextError, match="one vocabulary for every language; leave the language 'en' out"):
        PLAIN.look_up(["a"], ["en"])
    with pytest.raises(TextError, match="There are 1 texts and 2 languages"):
        PLAIN.look_up(["a"], [None, None])
