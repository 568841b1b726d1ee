"""Text to indices, against a plain implementation and against every character there is."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import mmh3
import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from lexport.handlers.request.protocol import parse
from lexport.handlers.request.refusals import Refusal
from lexport.handlers.text.encoder import PAD, TOKEN_PATTERN, UNK, TextEncoder, TextError, TextSpec, Tokens
from lexport.handlers.text.files import load_encoder
from lexport.handlers.text.normalization import lower

from ...refusals import refused

WORDS = ["goal", "the", "team", ".", "好", "café", "σ", "😀", "i", "it", "s", "'"]
ASSIGNED = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]

# Words the vocabulary has, words it lacks, and any character.
characters = st.characters(exclude_categories=["Cs"])
texts = st.lists(
    st.sampled_from([*WORDS, "GOAL", "unseen", "İ", "Σ", " ", "\0", "\u3000"]) | st.text(characters)
).map(" ".join) | st.text(characters)
batches = st.lists(texts, max_size=6)


def encoder(**options: Any) -> TextEncoder:
    options = {"buckets": 97, "ngrams": 2, "max_tokens": 8} | options
    return TextEncoder(TextSpec(words=len(WORDS) + 2, **options), WORDS)


ENCODERS = [encoder(), encoder(ngrams=1, buckets=0), encoder(ngrams=3, max_tokens=3), encoder(max_tokens=1)]
some_encoder = st.sampled_from(ENCODERS)


def slow(one: TextEncoder, batch: list[str]) -> tuple[list[list[int]], list[int], list[int], list[bool]]:
    """Rows without padding, tokens, unknown, truncated: what look_up and assemble do, written down plainly."""
    spec, rows, counts, unknowns, cuts = one.spec, [], [], [], []
    for text in batch:
        every = regex.findall(spec.pattern, lower(text) if spec.lowercase else text)
        tokens = every[: spec.max_tokens]
        row = [WORDS.index(token) + 2 if token in WORDS else UNK for token in tokens]
        counts.append(len(tokens))
        unknowns.append(row.count(UNK))
        cuts.append(len(every) > spec.max_tokens)
        for order in range(2, spec.ngrams + 1):
            for first in range(len(tokens) - order + 1):
                value = 0
                for token in tokens[first : first + order]:
                    hashed = mmh3.hash(token, spec.hash_seed, signed=False)
                    value = (
                        hashed if token is tokens[first] and not value else (value * 1_000_003 + hashed) % (2**31 - 1)
                    )
                row.append(value % spec.buckets + spec.words)
        rows.append(row)
    return rows, counts, unknowns, cuts


@given(some_encoder, batches)
@example(ENCODERS[0], [])
@example(ENCODERS[0], [""])
@example(ENCODERS[2], ["", "goal", "goal team", "goal team the it", ""])
def test_it_does_what_the_plain_implementation_does(one: TextEncoder, batch: list[str]) -> None:
    rows, counts, unknowns, cuts = slow(one, batch)
    tokens = one.look_up(batch)
    assert tokens.lengths.tolist() == counts
    assert tokens.unknown.tolist() == unknowns
    assert tokens.truncated == tuple(cuts)
    ids = one.assemble(tokens)
    assert ids.dtype == np.int64
    assert ids.shape == (len(batch), max([1, *map(len, rows)]))
    assert [row[row != PAD].tolist() for row in ids] == rows
    assert ids.tolist() == [row + [PAD] * (ids.shape[1] - len(row)) for row in rows]
    assert one.widths(tokens.lengths).tolist() == list(map(len, rows))
    assert ids.max(initial=0) < one.spec.rows


@given(some_encoder, batches, st.randoms())
def test_a_text_is_encoded_alike_in_any_company(one: TextEncoder, batch: list[str], draw: random.Random) -> None:
    alone = [row[row != PAD].tolist() for text in batch for row in one.assemble(one.look_up([text]))]
    order = draw.choices(range(len(batch)), k=len(batch)) if batch else []
    tokens = one.look_up(batch)
    taken = tokens.take(np.array(order, np.int64))
    again = one.look_up([batch[number] for number in order])
    for field in ("indices", "hashes", "lengths", "unknown"):
        assert getattr(taken, field).tolist() == getattr(again, field).tolist()
    assert taken.truncated == again.truncated
    assert [row[row != PAD].tolist() for row in one.assemble(taken)] == [alone[number] for number in order]


def test_no_texts_and_empty_texts() -> None:
    for one in ENCODERS:
        nothing = one.look_up([])
        assert one.assemble(nothing).shape == (0, 1)
        assert nothing.take(np.array([], np.int64)).lengths.tolist() == []
        assert one.assemble(one.look_up(["", " \0"])).tolist() == [[PAD], [PAD]]
        assert one.look_up(["", "zz", ""]).unknown.tolist() == [0, 1, 0]


@given(texts)
def test_tokens_hold_no_white_space_and_lose_no_word(text: str) -> None:
    tokens, cut = encoder(max_tokens=10_000).tokens(text)
    assert not cut
    assert all(token and not regex.search(r"[\s\p{Z}\p{C}]", token) for token in tokens)
    assert "".join(tokens) == regex.sub(r"[\s\p{Z}\p{C}]", "", lower(text))


def longest_match(text: str) -> list[str]:
    """As RE2 and ONNX Runtime split: at each place the longest of the alternatives."""
    alternatives = [regex.compile(part) for part in TOKEN_PATTERN.split("|")]
    assert len(alternatives) == 3
    found, place = [], 0
    while place < len(text):
        ends = [match.end() for match in (part.match(text, place) for part in alternatives) if match]
        if ends:
            found.append(text[place : max(ends)])
        place = max(ends) if ends else place + 1
    return found


@given(texts)
def test_the_first_alternative_is_the_longest(text: str) -> None:
    assert regex.findall(TOKEN_PATTERN, text) == longest_match(text)


def test_no_character_of_a_run_is_a_token_of_its_own() -> None:
    """The two alternatives of one character may share some (a Kangxi radical is Han and a symbol)."""
    everything = "".join(ASSIGNED)
    single, run, mark = (set("".join(regex.findall(part, everything))) for part in TOKEN_PATTERN.split("|"))
    assert not run & (single | mark)
    assert "\u2f00" in single & mark


def test_the_quick_pattern_for_ascii_splits_as_the_whole_one() -> None:
    """Every pair of ASCII characters, between letters: both patterns know runs and single characters alone."""
    one = encoder(max_tokens=100_000, lowercase=False)
    text = "".join(f"a{chr(first)}{chr(second)}b " for first in range(128) for second in range(128))
    assert text.isascii()
    assert one.tokens(text)[0] == regex.findall(TOKEN_PATTERN, text) != []


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_texts_split_as_the_pattern_says(text: str) -> None:
    assert encoder(max_tokens=1000).tokens(text)[0] == regex.findall(TOKEN_PATTERN, text.lower())


def test_another_pattern_is_obeyed() -> None:
    one = encoder(pattern=r"\w+", lowercase=False)
    assert one.tokens("It's 3.5 é") == (["It", "s", "3", "5", "é"], False)


def test_lower_case_knows_no_context() -> None:
    single = {character: lower(character) for character in ASSIGNED}
    assert lower("".join(ASSIGNED)) == "".join(single.values())
    assert max(map(len, single.values())) == 1
    assert {c for c in ASSIGNED if single[c] != c.lower()} == {"\u0130"}
    assert lower("ΟΔΟΣ Σ ΣΑ") == "οδοσ σ σα"


@given(st.lists(st.sampled_from(["ΑΣ", "Σ", "İ", "a", " ", "."]) | st.text(characters), max_size=8))
def test_parts_in_lower_case_are_the_whole_in_lower_case(parts: list[str]) -> None:
    assert lower("".join(parts)) == "".join(map(lower, parts))


@pytest.mark.parametrize("separator", ["", " ", " " * 40])
@pytest.mark.parametrize("word", ["好", ".", "😀"])
def test_a_text_is_cut_at_max_tokens(word: str, separator: str) -> None:
    """Short and long texts are cut by two ways; both give the first tokens and say so only if there were more."""
    one = encoder(max_tokens=8)
    for count in (0, 1, 7, 8, 9, 16, 200):
        tokens, cut = one.tokens((word + separator) * count)
        assert tokens == [word] * min(count, 8)
        assert cut == (count > 8)


def test_ngrams_do_not_depend_on_the_vocabulary() -> None:
    """Two unseen words keep n-grams of their own, and learning a word moves none."""
    spec = TextSpec(words=2, buckets=1 << 40, ngrams=3)
    empty, full = TextEncoder(spec, []), TextEncoder(TextSpec(words=5, buckets=1 << 40, ngrams=3), ["b", "zz", "a"])
    for text in ("a b zz a", "x y", "a x b y zz", "zz zz zz"):
        grams = [one.assemble(one.look_up([text]))[0] - one.spec.words for one in (empty, full)]
        count = len(text.split())
        assert grams[0][count:].tolist() == grams[1][count:].tolist()
    rows = empty.assemble(empty.look_up(["x y", "y x", "x z", "z y"]))
    assert rows[:, :2].tolist() == [[UNK, UNK]] * 4
    assert len(set(rows[:, 2].tolist())) == 4


def test_listed_ngrams_have_the_rows_of_the_vocabulary(tmp_path: Path) -> None:
    words = ["good", "film", "good film", "a good film", "film a"]
    listed = TextEncoder(TextSpec(words=7, ngrams=3, listed=True), words)
    good, film, pair, three, across = range(2, 7)
    tokens = listed.look_up(["A good film", "film", "", "x good", "film a"])
    assert listed.assemble(tokens).tolist() == [
        [UNK, good, film, UNK, pair, three],
        [film, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [UNK, good, UNK, 0, 0, 0],
        [film, UNK, across, 0, 0, 0],
    ]
    # "film a" stands at the end of one text and the begin of the next, which is no n-gram.
    together = listed.look_up(["good film", "a"])
    assert listed.assemble(together).tolist() == [[good, film, pair], [UNK, 0, 0]]
    assert listed.assemble(tokens.take(np.array([4, 0])))[0, :3].tolist() == [film, UNK, across]
    for name, content in listed.files().items():
        (tmp_path / name).write_bytes(content)
    again = load_encoder(tmp_path)
    assert again.spec == listed.spec
    assert again.assemble(again.look_up(["a good film"])).tolist() == [[UNK, good, film, UNK, pair, three]]


def test_pad_and_unk_cannot_be_typed() -> None:
    ids = encoder().look_up(["[PAD] [UNK] <unk>"]).indices
    assert PAD not in ids


def test_a_lone_surrogate_stops_at_the_protocol() -> None:
    """The encoder would take it for a separator; ONNX Runtime would raise."""
    assert encoder().tokens("goal\ud800team") == (["goal", "team"], False)
    with refused(Refusal, "LX-HTTP-023"):
        parse({"body": b'{"text": "\\ud800a"}'}, "application/json")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"words": 1}, "words=1 "),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"ngrams": 0}, "ngrams=0"),
        ({"ngrams": 2, "buckets": 0}, "on together or off together"),
        ({"ngrams": 1, "buckets": 9}, "on together or off together"),
        ({"listed": True}, "with listed n-grams inputs must be 'indices'"),
        ({"listed": True, "ngrams": 1, "buckets": 0}, "ngrams=1, .* ngrams at least 2"),
        ({"listed": True, "buckets": 0, "subwords": (3, 5)}, "with listed n-grams"),
        ({"schema": 2}, "has schema 2"),
        ({"inputs": "bytes"}, "inputs='bytes' is not known; there are indices, hashes, characters, languages"),
        ({"ngrams": 1, "subwords": (3, 5), "buckets": 0}, "on together or off together"),
        ({"subwords": (1, 5)}, r"subwords=\[1, 5\] must be .* at least 2"),
        ({"subwords": (5, 3)}, r"subwords=\[5, 3\]"),
        ({"subwords": (3,)}, r"subwords=\[3\]"),
        ({"inputs": "hashes", "words": 2}, "buckets=5 must be 0"),
        ({"inputs": "hashes", "buckets": 0}, "words=9 must be 2"),
        ({"inputs": "characters", "words": 2, "buckets": 0}, "must be 1, None and 0"),
        ({"inputs": "characters", "words": 2, "buckets": 0, "ngrams": 1}, "word_length=0 and characters=0"),
        ({"inputs": "characters", "buckets": 0, "ngrams": 1}, "words=9 must be 2"),
        ({"word_length": 8}, "word_length=8 and characters=0 must be 0 with inputs 'indices'"),
        ({"characters": 8}, "word_length=0 and characters=8 must be 0"),
        ({"languages": {"en": 8}}, "must be empty with inputs 'indices'"),
        ({"inputs": "languages"}, "must name one language or more"),
        ({"inputs": "languages", "languages": {"": 8}}, "must name one language or more"),
        ({"inputs": "languages", "languages": {"en": 8, "de": 0}}, "at least one row each"),
        ({"inputs": "languages", "languages": {"en": 8, "de": 2}}, "words=9 must be 1 and the rows .*, 11"),
    ],
)
def test_a_spec_no_encoder_can_follow_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(TextError, match=reason):
        TextSpec(**({"words": 9, "buckets": 5, "ngrams": 2} | options))


def test_a_vocabulary_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TextError, match=r"has 1 words, text\.json says 3"):
        TextEncoder(TextSpec(words=5), ["a"])
    with pytest.raises(TextError, match="1 words of the vocabulary occur twice"):
        TextEncoder(TextSpec(words=5), ["a", "b", "a"])
    assert encoder().vocabulary == WORDS


def test_tokens_are_plain_arrays() -> None:
    tokens = Tokens(np.array([1, 5, 1]), np.zeros(3, np.int64), np.array([2, 0, 1]), (False, False, False))
    assert tokens.unknown.tolist() == [1, 0, 1]
