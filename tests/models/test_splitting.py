"""Texts split in blocks have the tokens that the encoder reads in each of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data import load
from lexport.handlers.text.encoder import Normalization, TextEncoder, TextSpec
from lexport.models import splitting
from lexport.models.splitting import split_texts

# Words of 1 to 40 bytes, that share beginnings; signs; white space and control characters; marks, ignorable
# characters, letters whose lower case has other bytes, scripts without spaces, half of a surrogate pair.
PIECES = [
    *("a", "goal", "Goal", "abcdefgh", "abcdefghi", "abcdefghabcdefgh", "abcdefghabcdefghi", "x" * 40, "0", "12"),
    *("!", "_", "-", "'", " ", "  ", "\n", "\t", "\0", "\x1c", "\x7f", "\x85", "\xa0", "\u2028"),
    *("é", "e\u0301", "\u0301", "\u0338", "=", "\u00ad", "\u200d", "\ufeff", "İ", "ẞ", "Σ", "ΑΣ", "\u212a", "Ⱥ", "ﬁ"),
    *("слово", "длинноеслово", "雨", "が降る", "ไทย", "€", "“", "…", "🙂", "👩\u200d🚀", "ÿ", "\ud800"),
]
texts = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=12)


def encoder(most: int = 1024, **options: Any) -> TextEncoder:
    return TextEncoder(TextSpec(words=2, max_tokens=most, **options), [])


def read(one: TextEncoder, every: Sequence[str]) -> list[tuple[list[str], bool]]:
    """The tokens of each text as `split_texts` finds them, and whether it was cut."""
    found = split_texts(one, every)
    words, numbers = found.words, iter(found.numbers)
    assert list(dict.fromkeys(found.numbers)) == list(range(len(words))), "words are in the order of their occurrence"
    cut = [bool(value) for value in found.truncated]
    return [([words[next(numbers)] for _ in range(length)], cut[row]) for row, length in enumerate(found.lengths)]


@given(texts, st.sampled_from([1, 2, 3, 7, 1024]), st.booleans(), st.sampled_from(list(Normalization)))
def test_each_text_has_the_tokens_that_the_encoder_reads(
    every: list[str], most: int, lowercase: bool, form: str
) -> None:
    one = encoder(most, lowercase=lowercase, normalization=form)
    assert read(one, every) == [one.read(text) for text in every]


@given(texts, st.sampled_from([1, 5, 1024]))
def test_neither_blocks_nor_places_that_words_share_change_them(every: list[str], most: int) -> None:
    one = encoder(most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "_TOGETHER", 3)
        patch.setattr(splitting, "_LARGEST", 20)
        patch.setattr(splitting, "_BITS", 1)
        assert read(one, every) == [one.read(text) for text in every]


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_characters_are_split_alike(every: list[str]) -> None:
    one = encoder(normalization=Normalization.NFC)
    assert read(one, every) == [one.read(text) for text in every]


def test_another_pattern_is_kept_to() -> None:
    one = encoder(pattern="[a-z]+")
    assert read(one, ["goal 1 é-rain"]) == [(["goal", "rain"], False)]


@pytest.mark.parametrize("name", ["rotten-tomatoes", "chinese-reviews"])
def test_a_sample_set_is_split_alike(name: str) -> None:
    one, every = encoder(normalization=Normalization.NFC), load.load(name).texts
    assert read(one, every) == [one.read(text) for text in every]


def test_a_token_takes_four_bytes_and_long_texts_no_more_memory_than_short_ones() -> None:
    every = ["goal rain " * 200_000, *["goal rain " * 100] * 1_000]
    tracemalloc.start()
    try:
        split_texts(encoder(300_000), every)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 80e6
