"""Texts that look alike become the same code points, and a token keeps the place that it came from."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.text.encoder import TextEncoder, TextError, TextSpec
from lexport.handlers.text.normalization import LONGEST_RUN, Normalization, lower, normalize, pieces
from lexport.handlers.text.offsets import find_tokens

FORMS = (Normalization.NFC, Normalization.NFKC)
# Letters with and without marks, jamo and syllables, marks in any order, what shows nothing, compatibility letters.
PARTS = "aeiéǖệộשׁකෙ가각각ñΪ́か゛\u0301\u0308\u0323\u0331\u3099\u0f73\u00ad\u200b\u200c\u200d\ufe0f\uff9eｶﬁＡ②İक़می !"
texts = st.text(st.sampled_from(PARTS) | st.characters(exclude_categories=["Cs"]), max_size=40)


@given(texts, st.sampled_from(FORMS))
def test_a_normalized_text_stays_as_it_is(text: str, form: Normalization) -> None:
    once = normalize(text, form)
    assert normalize(once, form) == once
    assert unicodedata.is_normalized("NFC" if form is Normalization.NFC else "NFKC", once)


@given(texts, st.sampled_from(FORMS))
def test_every_spelling_of_a_text_becomes_the_same(text: str, form: Normalization) -> None:
    spellings = [unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]
    if form is Normalization.NFKC:
        spellings += [unicodedata.normalize("NFKC", text), unicodedata.normalize("NFKD", text)]
    assert {normalize(one, form) for one in spellings} == {normalize(text, form)}


@given(texts)
def test_without_a_form_a_text_is_read_as_it_is(text: str) -> None:
    assert normalize(text, Normalization.NONE) is text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exam\u00adple", "example"),
        ("\ufeffmail", "mail"),
        ("fr\u200bee mo\u200dn\u2060ey\u200e", "free money"),
        ("Auf\u200clage", "Auflage"),
        ("❤\ufe0f", "❤"),
        ("👩\u200d🚀", "👩🚀"),
    ],
)
def test_what_shows_nothing_is_left_out(text: str, expected: str) -> None:
    assert normalize(text, Normalization.NFC) == expected


@pytest.mark.parametrize("text", ["می\u200cخواهم", "ක්\u200dෂ", "क्\u200cष", "ᠮᠣᠩᠭᠣᠯ\u180e"])
def test_scripts_that_need_such_characters_keep_them(text: str) -> None:
    assert normalize(text, Normalization.NFC) == unicodedata.normalize("NFC", text)


def test_compatibility_characters_are_replaced_by_nfkc_alone() -> None:
    assert normalize("ﬁne Ａ②", Normalization.NFC) == "ﬁne Ａ②"
    assert normalize("ﬁne Ａ②", Normalization.NFKC) == "fine A2"


@pytest.mark.parametrize("form", FORMS)
def test_of_a_long_run_of_marks_the_first_are_kept(form: Normalization) -> None:
    few, many = ("q" + "\u0301\u0323" * count for count in (LONGEST_RUN // 2, 50_000))
    assert normalize(many, form) == normalize(few, form)
    assert normalize(f"so {'-' * 50} q", form) == f"so {'-' * 50} q"
    halves = normalize("か" + ("\u0301" * 20 + "\uff9e") * 5_000, form)
    assert len(halves) <= LONGEST_RUN + 1


@given(texts, st.sampled_from(FORMS))
def test_pieces_are_the_text_and_cover_the_original(text: str, form: Normalization) -> None:
    found = pieces(text, form)
    assert "".join(piece for piece, _ in found) == normalize(text, form)
    assert sum(length for _, length in found) == len(text)


def encoder(form: Normalization) -> TextEncoder:
    return TextEncoder(TextSpec(words=3, max_tokens=30, normalization=form), ["café"])


@given(texts, st.sampled_from(list(Normalization)))
def test_tokens_with_offsets_are_those_the_model_reads(text: str, form: Normalization) -> None:
    one = encoder(form)
    found = find_tokens(one.spec, text)
    assert [token.token for token in found] == one.tokens(text)[0]
    for token in found:
        assert token.start < token.end <= len(text)
        # Of the end of the original alone, since a joiner depends on what stands before it.
        assert token.token in lower(normalize(text[: token.end], form))


def test_offsets_are_those_of_the_original() -> None:
    text = "the cafe\u0301 exam\u00adple!"
    found = find_tokens(encoder(Normalization.NFC).spec, text)
    assert [(one.token, text[one.start : one.end]) for one in found] == [
        ("the", "the"),
        ("café", "cafe\u0301"),
        ("example", "exam\u00adple"),
        ("!", "!"),
    ]


def test_a_known_word_is_known_however_it_is_spelled() -> None:
    spellings = ["café", "cafe\u0301", "CAFE\u0301", "ca\u00adfé"]
    assert encoder(Normalization.NFC).look_up(spellings).unknown.tolist() == [0, 0, 0, 0]
    # As models do that were made before.
    assert encoder(Normalization.NONE).look_up(spellings).unknown.tolist() == [0, 1, 1, 2]


def test_another_form_is_an_error_and_no_form_in_the_file_is_none() -> None:
    with pytest.raises(TextError, match="normalization='nfd' is not known; there are none, nfc, nfkc"):
        TextSpec(words=2, normalization="nfd")  # type: ignore[arg-type]
    content = TextSpec(words=2, normalization=Normalization.NFC).to_json()
    assert TextSpec(**content).normalization is Normalization.NFC
    del content["normalization"]
    assert TextSpec(**content).normalization is Normalization.NONE
