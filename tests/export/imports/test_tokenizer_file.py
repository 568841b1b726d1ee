"""A tokenizer.json that the package gives up on, or that no table has rows for, is refused; nothing is random."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lexport.errors import InputError
from lexport.export.imports.tokenizer_file import read_tokenizer
from lexport.handlers.text.spec import TextError, TextSpec
from lexport.handlers.text.tokenized import TokenizedEncoder
from lexport.handlers.text.tokenizer import TokenizerRules

from ...refusals import refused

pytest.importorskip("tokenizers", reason="needs lexport[tokenizers]")

WORDS = {"type": "WordLevel", "vocab": {"<unk>": 0, "a": 1, "b": 2}, "unk_token": "<unk>"}
PAIRS = {"type": "BPE", "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"], "unk_token": "<unk>"}
# Of many "a" and something else: every way to divide them is tried.
SLOW = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}


def file(**parts: Any) -> bytes:
    """A file of three words that are split at spaces, with other parts."""
    usual: dict[str, Any] = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    usual |= {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": WORDS}
    return json.dumps(usual | parts).encode()


def marked(number: int) -> dict[str, Any]:
    """What puts a special token with this id before every text."""
    single = [{"SpecialToken": {"id": "[X]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}]
    special = {"[X]": {"id": "[X]", "ids": [number], "tokens": ["[X]"]}}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        pytest.param({"model": PAIRS | {"continuing_subword_prefix": "#" * 9}}, "LX-IMPORT-300", id="a long prefix"),
        pytest.param(
            {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "LX-IMPORT-300", id="no table"
        ),
        pytest.param(
            {"pre_tokenizer": {"type": "FixedLength", "length": 0}}, "LX-IMPORT-302", id="pieces of nothing"
        ),
        pytest.param({"post_processor": marked(1) | {"special_tokens": {}}}, "LX-IMPORT-302", id="no such token"),
    ],
)
def test_a_file_that_the_package_gives_up_on_is_refused(parts: dict[str, Any], code: str) -> None:
    with refused(InputError, code, "own.json", "gave up"):
        read_tokenizer(file(**parts), "own.json")


def test_a_special_token_without_a_row_is_refused_at_import_and_where_it_is_served() -> None:
    assert read_tokenizer(file(post_processor=marked(1)), "own.json").special == (1, 0)
    with refused(InputError, "LX-IMPORT-302", "own.json", "the id 77"):
        read_tokenizer(file(post_processor=marked(77)), "own.json")
    spec = TextSpec(words=5, lowercase=False, pattern="", tokenizer=TokenizerRules(0, special=(1, 0)))
    with pytest.raises(TextError, match="the id 77"):
        TokenizedEncoder(spec, file(post_processor=marked(77)))


def test_merges_that_are_left_out_at_random_are_refused() -> None:
    assert read_tokenizer(file(model=PAIRS | {"dropout": None}), "own.json").kind == "BPE"
    with refused(InputError, "LX-IMPORT-903", "own.json", "at random"):
        read_tokenizer(file(model=PAIRS | {"dropout": 0.1}), "own.json")


def test_a_text_that_the_package_gives_up_on_is_an_error_and_the_next_is_read() -> None:
    """What it raises is no Exception, and would go through a server's own handling of errors."""
    made = read_tokenizer(file(pre_tokenizer=SLOW), "own.json").encoder(
        16, special=False, skips_unknown=False, characters=None
    )
    text = "a" * 40 + "!"
    for read in (lambda: made.look_up([text]), lambda: made.tokens(text)):
        with pytest.raises(ValueError, match="gave up"):
            read()
    assert made.tokens("aaa")[0] == ["<unk>"]
