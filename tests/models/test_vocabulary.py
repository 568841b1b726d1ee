"""Vocabularies: which words and characters get a row, the same for the same texts."""

from __future__ import annotations

import pytest
import regex

from lexport.data.load import load
from lexport.data.splits import split
from lexport.errors import InputError
from lexport.handlers.text.spec import Layout
from lexport.models.recipes import TextOptions
from lexport.models.vocabulary import build_encoder
from lexport.training.save import unknown_share

from ..refusals import refused

TEXTS = ["b a c", "c b a", "d d d d", "a b"]


def test_frequent_words_come_first_and_equal_ones_in_code_point_order() -> None:
    assert build_encoder(TEXTS, TextOptions(min_count=2)).vocabulary == ["d", "a", "b", "c"]
    assert build_encoder(TEXTS[::-1], TextOptions(min_count=2)).vocabulary == ["d", "a", "b", "c"]


def test_rare_words_and_those_past_the_limit_have_no_row() -> None:
    assert build_encoder(TEXTS, TextOptions(min_count=3)).vocabulary == ["d", "a", "b"]
    assert build_encoder(TEXTS, TextOptions(min_count=1, max_vocabulary=2)).vocabulary == ["d", "a"]


def test_words_that_occur_once_get_a_row_where_there_are_few_tokens() -> None:
    once = ["rare", *["frequent word"] * 10]
    many = TextOptions(min_count="auto", max_tokens=100_000)
    assert build_encoder(once, many).vocabulary == ["frequent", "word", "rare"]
    assert build_encoder(once, many).spec.min_count == 1
    padded = [*once, " ".join(["frequent"] * 100_000)]
    assert build_encoder(padded, many).vocabulary == ["frequent", "word"]
    assert build_encoder(padded, many).spec.min_count == 2


def test_words_past_the_length_of_a_text_do_not_count() -> None:
    assert build_encoder(TEXTS, TextOptions(min_count=1, max_tokens=1)).vocabulary == ["a", "b", "c", "d"]


def test_the_spec_says_what_the_options_say() -> None:
    spec = build_encoder(TEXTS, TextOptions(ngrams=2, buckets=8, subwords=(3, 5), max_tokens=9)).spec
    assert (spec.words, spec.buckets, spec.ngrams, spec.subwords, spec.max_tokens) == (6, 8, 2, (3, 5), 9)
    assert (spec.min_count, spec.max_vocabulary, spec.inputs) == (2, None, "indices")


def test_characters_are_counted_instead_of_words() -> None:
    one = build_encoder(["Goal goal", "go 好"], TextOptions(word_length=8, min_count=2), inputs=Layout.CHARACTERS)
    assert one.characters == ["g", "o", "a", "l"]
    assert one.vocabulary == []
    assert (one.spec.words, one.spec.characters, one.spec.word_length) == (2, 6, 8)
    few = build_encoder(["Goal goal"], TextOptions(word_length=8, max_vocabulary=1), inputs=Layout.CHARACTERS)
    assert few.characters == ["a"]


def test_hashed_words_need_no_vocabulary() -> None:
    one = build_encoder(TEXTS, TextOptions(ngrams=2), inputs=Layout.HASHES)
    assert (one.vocabulary, one.spec.words, one.spec.ngrams) == ([], 2, 2)


def test_each_language_keeps_its_own_words_in_order_of_name() -> None:
    texts, languages = ["die goal", "die goal", "die tor", "die tor", "rare"], ["en", "en", "de", "de", "fr"]
    one = build_encoder(texts, TextOptions(), inputs=Layout.LANGUAGES, languages=languages)
    assert one.languages == ("de", "en", "fr")
    assert one.spec.languages == {"de": 3, "en": 3, "fr": 1}
    assert one.vocabulary == ["die", "tor", "die", "goal"]
    assert one.spec.words == 8
    few = build_encoder(texts, TextOptions(max_vocabulary=1), inputs=Layout.LANGUAGES, languages=languages)
    assert few.spec.languages == {"de": 2, "en": 2, "fr": 1}


@pytest.mark.parametrize(("languages", "given"), [(None, 0), (["en"], 1), (["en", ""], 1)])
def test_a_text_without_a_language_is_refused(languages: list[str] | None, given: int) -> None:
    with refused(InputError, "LX-MODEL-010", "2", given):
        build_encoder(["a", "b"], TextOptions(), inputs=Layout.LANGUAGES, languages=languages)


def test_chinese_reviews_are_read_character_by_character_and_few_are_unknown() -> None:
    parts = split(load("chinese-reviews"))
    encoder = build_encoder(parts.train.texts, TextOptions(min_count=2))
    han = regex.compile(r"\p{Han}")
    assert all(len(word) == 1 for word in encoder.vocabulary if han.search(word))
    tokens, _ = encoder.tokens("我喜欢这个酒店,WiFi很快")
    assert tokens == ["我", "喜", "欢", "这", "个", "酒", "店", ",", "wifi", "很", "快"]
    assert 0.0005 < unknown_share(encoder.look_up(parts.validation.texts)) < 0.005
