"""The files of an encoder: written and read back, old ones, damaged ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lexport.handlers.text.encoder import TextEncoder, TextError, TextSpec
from lexport.handlers.text.files import load_encoder
from lexport.handlers.text.spec import Layout

from .test_layouts import CHARACTERS, ENCODERS, ENGLISH, PLAIN, assembled


@pytest.mark.parametrize("one", ENCODERS)
def test_files_read_back_make_the_same_encoder(one: TextEncoder, tmp_path: Path) -> None:
    for name, content in one.files().items():
        (tmp_path / name).write_bytes(content)
    again = load_encoder(tmp_path)
    assert (tmp_path / "characters.txt").exists() == (one is CHARACTERS)
    assert again.spec == one.spec
    assert (again.vocabulary, again.characters) == (one.vocabulary, one.characters)
    batch = [("goal die x 好", "de"), ("", "en")]
    assert assembled(again, batch).tolist() == assembled(one, batch).tolist()


def test_a_text_json_from_before_the_layouts_still_reads(tmp_path: Path) -> None:
    values: dict[str, Any] = {"words": 5, "buckets": 97, "ngrams": 2, "max_tokens": 8, "lowercase": True}
    values |= {"pattern": PLAIN.spec.pattern, "min_count": 2, "max_vocabulary": None, "hash_seed": 0}
    (tmp_path / "text.json").write_text(json.dumps(values | {"version": 1, "schema": 1}))
    (tmp_path / "vocabulary.txt").write_text("".join(f"{word}\n" for word in ENGLISH))
    one = load_encoder(tmp_path)
    assert one.spec == TextSpec(5, 97, 2, 8)
    assert one.assemble(one.look_up(["the x goal"])).tolist() == [[3, 1, 2, 25, 80]]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"text.json": b"{"}, "text.json cannot be read"),
        ({"text.json": b"[]"}, "text.json cannot be read"),
        ({"text.json": b'{"words": 9, "inputs": "languages", "languages": ["en"]}'}, "text.json cannot be read"),
        ({"text.json": b'{"words": 2, "flavour": 1}'}, "text.json cannot be read: .*flavour"),
        ({"vocabulary.txt": b"\xff"}, "vocabulary.txt cannot be read"),
        ({"vocabulary.txt": b"goal\n"}, "The vocabulary has 1 words, text.json says 0"),
        ({"characters.txt": b"\xff"}, "characters.txt cannot be read"),
        ({"characters.txt": None}, "characters.txt cannot be read"),
        ({"characters.txt": b"a\n"}, "There are 1 characters, text.json says 7"),
        ({"characters.txt": b"a\na\nb\nc\nd\ne\nf\n"}, "must be one character and occur once"),
        ({"characters.txt": b"aa\ng\nb\nc\nd\ne\nf\n"}, "must be one character and occur once"),
    ],
)
def test_damaged_files_say_so(changed: dict[str, bytes | None], reason: str, tmp_path: Path) -> None:
    for name, content in (CHARACTERS.files() | changed).items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=reason):
        load_encoder(tmp_path)


def test_a_word_may_occur_once_in_each_language() -> None:
    spec = TextSpec(6, inputs=Layout.LANGUAGES, languages={"en": 3, "de": 2})
    assert TextEncoder(spec, ["die", "goal", "die"]).vocabulary == ["die", "goal", "die"]
    with pytest.raises(TextError, match="1 words of the vocabulary occur twice"):
        TextEncoder(spec, ["die", "die", "goal"])
    with pytest.raises(TextError, match=re.escape("has 2 words, text.json says 3")):
        TextEncoder(spec, ["die", "goal"])
