"""Texts that a tokenizer.json reads: the ids of the package tokenizers, whatever the text."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lexport.export.imports.tokenizer_file import read_tokenizer
from lexport.handlers.text.files import load_encoder
from lexport.handlers.text.spec import FIRST_WORD, PAD, UNK, TextError, TextSpec
from lexport.handlers.text.tokenized import TokenizedEncoder
from lexport.handlers.text.tokenizer import FILE, TokenizerRules
from lexport.models.corpus import Corpus

from ...tokenizer_files import KINDS, changed, opened, reviews, trained

ODD = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("aeinst  \t\n.,'’éÉßİıﬁ①Ⅳ好中🙂👩\u200d👧\u0301\u00a0\u3000\ufeff\x00ꙮ"),
    ),
    max_size=60,
)
TEXTS = st.one_of(ODD, st.lists(st.sampled_from(reviews()[:50]), max_size=3).map(" ".join))
MOST = 40


def encoder(
    kind: str, content: bytes | None = None, *, special: bool = False, skips: bool = False
) -> TokenizedEncoder:
    file = read_tokenizer(content or trained(kind), FILE)
    return file.encoder(MOST, special=special, skips_unknown=skips, characters=None)


MADE = {kind: encoder(kind) for kind in KINDS}
SKIPPING = {kind: encoder(kind, skips=True) for kind in ("words", "wordpiece")}
THEIRS = {kind: opened(trained(kind)) for kind in KINDS}


def rows(kind: str, ids: list[int]) -> list[int]:
    """The rows of a text with these ids."""
    rules = MADE[kind].spec.tokenizer
    assert rules is not None
    return [UNK if one == rules.unknown else one + FIRST_WORD for one in ids]


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(TEXTS, max_size=5))
@example(
    texts=["", " ", "\n\t", unicodedata.normalize("NFD", "Crème brûlée à l'ÎLE"), "🙂" * 300, "a" * 5000, "好" * 99]
)
def test_ids_are_those_of_the_package(kind: str, texts: list[str]) -> None:
    one, theirs = MADE[kind], [THEIRS[kind].encode(text, add_special_tokens=False).ids for text in texts]
    found = one.look_up(texts)
    assert found.lengths.tolist() == [min(len(ids), MOST) for ids in theirs]
    assert found.truncated == tuple(len(ids) > MOST for ids in theirs)
    matrix = one.assemble(found)
    for ids, row, length in zip(theirs, matrix.tolist(), found.lengths.tolist(), strict=True):
        assert row[:length] == rows(kind, ids[:MOST])
        assert set(row[length:]) <= {PAD}


@pytest.mark.parametrize("kind", ["bytes", "unigram"])
@given(text=TEXTS)
def test_tokens_by_name_have_the_same_rows(kind: str, text: str) -> None:
    one = MADE[kind]
    tokens, _ = one.read(text)
    assert one.look_up_words(tokens).indices.tolist() == one.look_up([text]).indices.tolist()
    assert one.tokens(text)[0] == tokens


@pytest.mark.parametrize("kind", ["bytes", "unigram"])
@given(text=TEXTS)
def test_a_token_is_found_in_the_text(kind: str, text: str) -> None:
    found = MADE[kind].find(text)
    assert [one.token for one in found] == MADE[kind].tokens(text)[0]
    assert all(0 <= one.start <= one.end <= len(text) for one in found)


def test_what_shows_is_where_it_stands() -> None:
    text = "  Wonderful, unWatchable"
    found = MADE["wordpiece"].find(text)
    assert "".join(text[one.start : one.end] for one in found) == "Wonderful,unWatchable"
    assert any(one.token.startswith("##") for one in found)


def test_special_tokens_stand_around_a_text_and_are_none_of_its_tokens() -> None:
    one = encoder("wordpiece", special=True)
    assert one.spec.ends == 2
    text = "a good film " * MOST
    ids, own = THEIRS["wordpiece"].encode("a good film").ids, one.look_up(["a good film", text, ""])
    assert own.indices[:5].tolist() == rows("wordpiece", ids)
    assert own.lengths.tolist() == [5, MOST + 2, 2]
    assert own.indices[[5, -3, -2, -1]].tolist() == rows("wordpiece", [ids[0], ids[-1], ids[0], ids[-1]])
    assert one.tokens("a good film")[0] == ["a", "good", "film"]
    assert one.read("a good film")[0] == ["[CLS]", "a", "good", "film", "[SEP]"]
    assert [found.token for found in one.find("a good film")] == ["a", "good", "film"]


@pytest.mark.parametrize("kind", SKIPPING)
@given(text=TEXTS)
def test_unknown_tokens_that_are_skipped_have_no_cell(kind: str, text: str) -> None:
    one = SKIPPING[kind]
    rules = one.spec.tokenizer
    assert rules is not None
    ids = THEIRS[kind].encode(text, add_special_tokens=False).ids
    known = [number for number in ids[:MOST] if number != rules.unknown]
    found = one.look_up([text])
    cells, [count] = one.flatten(found)
    assert cells.tolist() == rows(kind, known)
    assert count == len(known) == int(found.lengths[0] - found.unknown[0])
    assert one.assemble(found)[0].tolist().count(PAD) >= int(found.unknown[0])


def test_training_reads_texts_as_a_worker_does() -> None:
    one, texts = encoder("wordpiece", special=True), ["a good film", "ꙮ unwatchable", "", "so good " * MOST]
    found, read = one.look_up(texts), Corpus.split_by(one, texts).looked_up(one)
    trained_on = read.take(np.arange(len(texts)))
    assert trained_on.indices.tolist() == found.indices.tolist()
    assert trained_on.lengths.tolist() == found.lengths.tolist()
    assert trained_on.truncated == found.truncated == (False, False, False, True)
    assert read.unknown.tolist() == found.unknown.tolist() == [0, 1, 0, 0]


def test_what_the_file_says_of_filling_up_and_cutting_is_done_here_alone() -> None:
    padding = {"strategy": "BatchLongest", "direction": "Right", "pad_id": 1, "pad_type_id": 0, "pad_token": "[PAD]"}
    cut = {"max_length": 6, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    content = changed(trained("wordpiece"), truncation=cut, padding=padding | {"pad_to_multiple_of": None})
    assert read_tokenizer(content, FILE).longest == 4
    one = encoder("wordpiece", content)
    assert one.look_up(["a good film and a good film", "a film"]).lengths.tolist() == [7, 2]


def test_characters_beyond_a_limit_are_not_read() -> None:
    file = read_tokenizer(trained("words"), FILE)
    one = file.encoder(MOST, special=False, skips_unknown=True, characters=6)
    assert one.tokens("a good film") == (["a", "good"], True)
    assert one.look_up(["a good film", "a good"]).truncated == (True, False)


def test_half_a_surrogate_pair_is_read_as_a_replacement_character() -> None:
    for kind in KINDS:
        one = MADE[kind]
        assert one.look_up(["a\ud83d b"]).indices.tolist() == one.look_up(["a\ufffd b"]).indices.tolist()
        assert one.tokens("a\ud83d b") == one.tokens("a\ufffd b")


@pytest.mark.parametrize("kind", KINDS)
def test_files_read_back_make_the_same_encoder(kind: str, tmp_path: Path) -> None:
    one = MADE[kind]
    assert set(one.files()) == {"text.json", FILE}
    for name, content in one.files().items():
        (tmp_path / name).write_bytes(content)
    again = load_encoder(tmp_path)
    assert (again.spec, again.vocabulary) == (one.spec, one.vocabulary)
    assert again.files() == one.files()
    texts = reviews()[:20]
    assert np.array_equal(again.assemble(again.look_up(texts)), one.assemble(one.look_up(texts)))
    assert json.loads((tmp_path / FILE).read_bytes()) == json.loads(trained(kind))


def larger(content: bytes, number: int = 2000) -> bytes:
    """A list of words with one word more, of this id."""
    values = json.loads(content)
    values["model"]["vocab"]["zorkmid"] = number
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "cannot be read by tokenizers"),
        (b"\xff", "cannot be read by tokenizers"),
        (None, "tokenizer.json cannot be read"),
        (larger(trained("words")), "has 2,001 tokens, text.json says 2,000"),
        (larger(trained("words"), 2005), "2,001 tokens, whose ids are not 0 to 2,000"),
    ],
)
def test_a_file_that_is_not_the_spec_s_is_refused(content: bytes | None, expected: str, tmp_path: Path) -> None:
    for name, own in MADE["bytes"].files().items():
        (tmp_path / name).write_bytes(own)
    if content is None:
        (tmp_path / FILE).unlink()
    else:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(TextError, match=expected):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"lowercase": True},
        {"pattern": r"\w+"},
        {"ngrams": 2, "buckets": 100},
        {"inputs": "hashes"},
        {"tokenizer": {"unknown": 10}},
        {"tokenizer": {"unknown": None, "skips_unknown": True}},
        {"tokenizer": {"special": [1]}},
        {"tokenizer": {"characters": 0}},
    ],
)
def test_a_spec_that_no_tokenizer_can_follow_is_refused(changes: dict[str, object]) -> None:
    usual = {"words": 12, "lowercase": False, "pattern": "", "tokenizer": {"unknown": 1}}
    assert TextSpec(**usual).tokenizer == TokenizerRules(1)  # type: ignore[arg-type]
    with pytest.raises(TextError, match="tokenizer"):
        TextSpec(**usual | changes)  # type: ignore[arg-type]


def test_no_other_model_imports_the_package() -> None:
    asked = "import sys; from lexport.handlers.text import files; print('tokenizers' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "False"
