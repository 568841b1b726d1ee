"""New words are outside of every vocabulary, in the script of what they replace, and the same on every run."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.evaluation.noise import UnseenWords
from lexport.handlers.text.encoder import TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout

from ..refusals import refused

TEXTS = ["a moving film about rain", "A dull film , again !", "nothing new here 42"] * 30


def encoder(*words: str, **options: object) -> TextEncoder:
    characters = str(options.pop("letters", ""))
    if characters:
        spec = TextSpec(words=2, inputs=Layout.CHARACTERS, word_length=20, characters=2 + len(characters))
        return TextEncoder(spec, (), list(characters))
    return TextEncoder(TextSpec(words=2 + len(words), **options), words)  # type: ignore[arg-type]


def changed(texts: list[str], noisy: list[str], own: TextEncoder) -> tuple[list[str], int]:
    """The new tokens, and how many there are in all."""
    pairs = [
        (old, new)
        for before, after in zip(texts, noisy, strict=True)
        for old, new in zip(own.tokens(before)[0], own.tokens(after)[0], strict=True)
    ]
    return [new for old, new in pairs if old != new], len(pairs)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_about_that_share_of_the_tokens_is_replaced_by_words_nobody_has_seen(share: float) -> None:
    own = encoder("film", "rain", "dull")
    new, every = changed(TEXTS, UnseenWords(own, TEXTS).replace(TEXTS, share), own)
    assert len(new) / every == pytest.approx(share, abs=0.06)
    seen = {token for text in TEXTS for token in own.tokens(text)[0]} | set(own.vocabulary)
    assert not seen & set(new)
    assert own.look_up(new).unknown.sum() == len(new)


def test_words_known_from_elsewhere_are_never_made() -> None:
    own = encoder("film")
    first = set(changed(TEXTS, UnseenWords(own, TEXTS).replace(TEXTS, 1.0), own)[0])
    second = set(changed(TEXTS, UnseenWords(own, TEXTS, first).replace(TEXTS, 1.0), own)[0])
    assert not first & second


def test_a_draw_is_the_same_on_every_run_and_unlike_another() -> None:
    own = encoder("film")
    assert UnseenWords(own, TEXTS).replace(TEXTS, 0.3, 1) == UnseenWords(own, TEXTS).replace(TEXTS, 0.3, 1)
    assert UnseenWords(own, TEXTS).replace(TEXTS, 0.3, 1) != UnseenWords(own, TEXTS).replace(TEXTS, 0.3, 2)


def test_nothing_changes_but_the_white_space_where_no_token_is_replaced() -> None:
    own = encoder("film")
    texts = ["It's  a film.", "", "  ", "雨だ。"]
    noisy = UnseenWords(own, texts).replace(texts, 0.0)
    assert [own.tokens(text) for text in noisy] == [own.tokens(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("мир и дождь идут", "CYRILLIC"),
        ("नमस्ते दुनिया बारिश", "DEVANAGARI"),
        ("电影很好看", "CJK"),
        ("ภาพ", "THAI"),
        ("すてき", "HIRAGANA"),
        ("rain , and 42", "LATIN"),
    ],
)
def test_a_new_word_is_written_in_the_script_of_the_old_one(text: str, names: str) -> None:
    own = encoder(*dict.fromkeys(encoder().tokens(text)[0]))
    new, every = changed([text], UnseenWords(own, [text]).replace([text], 1.0), own)
    assert len(new) == every
    for word in new:
        assert {unicodedata.name(letter).split()[0] for letter in word} == {names}
    assert own.look_up(new).unknown.tolist() == [1] * len(new)


def test_where_every_character_of_a_script_is_known_new_words_have_letters() -> None:
    thai = [chr(code) for code in range(0x0E01, 0x0E30)]
    own = encoder(*thai)
    [noisy] = UnseenWords(own, ["ฝนตก rain"]).replace(["ฝนตก rain"], 1.0)
    words = noisy.split()
    assert len(words) == 5
    assert all(len(word) >= 7 and set(word) <= set("rain") for word in words)
    assert own.look_up([noisy]).unknown.tolist() == [5]


def test_a_model_of_characters_gets_new_words_of_known_characters() -> None:
    own = encoder(letters="adefghilmnoruvbtw")
    texts = ["a moving film about rain"]
    [noisy] = UnseenWords(own, texts).replace(texts, 1.0)
    assert not set(texts[0].split()) & set(noisy.split())
    assert set(noisy) <= set(texts[0])
    assert own.look_up([noisy]).unknown.tolist() == [0]


def test_a_model_of_hashes_gets_words_it_has_never_hashed() -> None:
    own = encoder(inputs=Layout.HASHES)
    [noisy] = UnseenWords(own, TEXTS).replace(TEXTS[:1], 1.0)
    old, new = (set(own.look_up([text]).hashes.tolist()) for text in (TEXTS[0], noisy))
    assert not old & new


def test_capitals_stay_possible_where_they_count() -> None:
    own = encoder(lowercase=False)
    new, _ = changed(["RAIN"], UnseenWords(own, ["RAIN"]).replace(["RAIN"], 1.0), own)
    assert set(new[0]) <= set("RAIN")


def test_a_pattern_that_makes_no_word_is_refused() -> None:
    own = encoder(pattern=r"\p{L}")
    with refused(InputError, "LX-EVAL-002", "--unknown"):
        UnseenWords(own, ["rain"]).replace(["rain"], 1.0)


@settings(max_examples=25)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.integers(0, 3))
def test_any_text_keeps_its_number_of_tokens(texts: list[str], draw: int) -> None:
    own = encoder("film")
    noisy = UnseenWords(own, texts).replace(texts, 0.5, draw)
    expected = own.look_up(texts).lengths
    assert np.array_equal(own.look_up(noisy).lengths, expected)
