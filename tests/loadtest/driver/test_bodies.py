"""The bodies that are sent: texts as they are, in templates, and mixed with long, bad and listed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.driver.bodies import LISTED, LONG, POOL, Bodies, Template, parse_mix, read_requests

ASKED = [{"text": "one two"}, {"text": 'three "four"\n\\'}, {"text": "fünf"}]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_escaped_where_a_json_template_has_it(text: str) -> None:
    assert json.loads(Template('{"inputs": ["{text}"], "k": 1}').fill(text)) == {"inputs": [text], "k": 1}
    assert json.loads(Template('{"inputs": {text}}').fill(text)) == {"inputs": text}
    assert json.loads(Template('["a {text} b", "{text}"]').fill(text)) == [f"a {text} b", text]
    assert Template("say: {text}").fill(text) == f"say: {text}"
    assert Template("{text}").fill(text) == text


def test_a_template_says_whether_it_is_json() -> None:
    assert Template('{"a": "{text}"}').json
    assert not Template("q={text}").json
    assert not Template("{text}").json
    with pytest.raises(ValueError, match="begins as JSON and is not JSON"):
        Template('{"a": "{text}"')
    with pytest.raises(ValueError, match=r"has no \{text\}"):
        Template("text")


def test_texts_are_sent_as_they_are() -> None:
    bodies = Bodies(ASKED, 0.0, seed=0)
    assert {body.content.decode() for body in bodies.all} == {one["text"] for one in ASKED}
    assert not any(body.json or body.bad for body in bodies.all)
    assert (len(bodies.all), bodies.unknown) == (POOL, 0)


def test_a_mix_has_its_shares_and_is_the_same_for_the_same_seed() -> None:
    mix = parse_mix("long=10%, bad=5%,list=0.2")
    assert mix == pytest.approx({"long": 0.1, "bad": 0.05, "list": 0.2})
    bodies = Bodies(ASKED, 0.0, seed=1, content_type="json", mix=mix)
    assert bodies.all == Bodies(ASKED, 0.0, seed=1, content_type="json", mix=mix).all
    assert bodies.all != Bodies(ASKED, 0.0, seed=2, content_type="json", mix=mix).all
    bad = [body for body in bodies.all if body.bad]
    good = [json.loads(body.content) for body in bodies.all if not body.bad]
    listed = [one["texts"] for one in good if "texts" in one]
    long = [one["text"] for one in good if len(one.get("text", "")) >= LONG]
    assert len(bad) / POOL == pytest.approx(0.05, abs=0.02)
    assert len(listed) / POOL == pytest.approx(0.2, abs=0.04)
    assert len(long) / POOL == pytest.approx(0.1, abs=0.03)
    assert {len(texts) for texts in listed} == {LISTED}
    for body in bad:
        with pytest.raises(ValueError, match=r"."):
            json.loads(body.content)


def test_bad_plain_texts_are_not_utf_8() -> None:
    for body in Bodies(ASKED, 0.0, seed=0, mix={"bad": 1.0}).all:
        assert body.bad
        with pytest.raises(UnicodeDecodeError):
            body.content.decode()


def test_unknown_words_replace_a_share_of_all_words_wherever_they_are() -> None:
    bodies = Bodies(ASKED, 0.5, seed=0, template=Template('{"a": "{text}"}'), mix={"long": 0.01})
    assert bodies.unknown / bodies.tokens == pytest.approx(0.5, abs=0.02)
    assert all(set(json.loads(body.content)) == {"a"} for body in bodies.all)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("long", "'long' is not a share"),
        ("long=x", "'long=x' is not a share"),
        ("long=1%,long=2%", "given twice"),
        ("long=60%,bad=50%", "adds up to more than 1"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_mix(words)
    assert parse_mix("") == {}


def test_bodies_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ValueError, match="texts with a language and images have no place"):
        Bodies([{"text": "a", "lang": "en"}], 0.0, 0, template=Template("{text}"))
    with pytest.raises(ValueError, match="takes no --body"):
        Bodies(ASKED, 0.0, 0, template=Template("{text}"), mix={"list": 0.1})


def test_a_file_of_texts_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": " a ", "lang": "en"}\n\n{"text": " "}\n{"image": [1], "text": ""}\n')
    assert read_requests(path) == [{"text": " a ", "lang": "en"}, {"image": [1]}]
    path.write_text('{"txt": "a"}\n')
    with pytest.raises(ValueError, match="has a line that is no JSON object with"):
        read_requests(path)
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(ValueError, match="has no text"):
        read_requests(tmp_path / "a.txt")
