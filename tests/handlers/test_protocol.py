"""Requests in, answers out: whatever arrives is a Request or a Refusal with a 4xx, and every answer is JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lexport.handlers import answers
from lexport.handlers.answers import render, render_refusal
from lexport.handlers.protocol import MAX_TEXTS, Refusal, Request, parse

JSON = "application/json"
KINDS = ["", "text/plain", JSON, "application/ld+json", "application/x-www-form-urlencoded", "multipart/form-data"]
KINDS += ["application/octet-stream", "image/png", "text/plain; charset=utf-16", f"{JSON}; charset=us-ascii", ";=;"]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=3), inner),
    max_leaves=8,
)
tensors = st.fixed_dictionaries(
    {}, optional={"name": values, "shape": values, "datatype": st.just("BYTES") | values, "data": values}
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "text": values | st.text(),
        "texts": values | st.lists(st.text() | values),
        "top_k": values | st.integers(),
        "inputs": values | st.lists(tensors, max_size=2),
        "id": values | st.text(),
    },
)


def outcome(parameters: dict[str, Any], content_type: str) -> Request | Refusal:
    """Any exception but Refusal fails the test."""
    request: Request | Refusal
    try:
        request = parse(parameters, content_type)
    except Refusal as refusal:
        request = refusal
    if isinstance(request, Refusal):
        assert 400 <= request.status < 500
        body = json.loads(render_refusal(request))
        assert body["error"]
        assert body["expected"]
        return request
    assert 1 <= len(request.texts) <= MAX_TEXTS
    assert all(isinstance(text, str) for text in request.texts)
    "".join(request.texts).encode()  # no lone surrogate gets through
    assert request.top_k is None or request.top_k >= 1
    return request


@given(st.binary(), st.sampled_from(KINDS) | st.text(st.characters(max_codepoint=255)))
@example(b"\xef\xbb\xbf", JSON)
@example(b'{"text":' + b"[" * 5000, JSON)
@example(b'{"a":' * 994 + b"1" + b"}" * 994, JSON)
@example(b"[1e400, -0, " + b"9" * 4301 + b"]", JSON)
def test_any_bytes(body: bytes, content_type: str) -> None:
    for value in (body, bytearray(body)):
        outcome({"body": value}, content_type)
        outcome({"data": value}, content_type)
        outcome({"data": value, "top_k": value}, content_type)
        outcome({"body": value, "top_k": value}, content_type)
        outcome({"x": value}, content_type)
    outcome({}, content_type)


@given(objects | values)
def test_any_json(value: Any) -> None:
    sent = outcome({"body": json.dumps(value).encode()}, JSON)
    decoded = outcome({"body": value}, JSON)
    has_constant = "NaN" in json.dumps(value) or "Infinity" in json.dumps(value)
    if not has_constant and isinstance(sent, Request):
        assert sent == decoded, "what TorchServe has parsed already is read alike"


@given(st.dictionaries(st.text(), st.binary() | values), st.sampled_from(KINDS))
def test_any_form(fields: dict[str, Any], content_type: str) -> None:
    outcome(fields, content_type)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_text_is_the_same_whatever_carries_it(text: str) -> None:
    body = text.encode()
    bare = text.removeprefix("\ufeff")
    assert parse({"body": body}, "").texts == [bare]
    assert parse({"body": text}, "text/plain").texts == [text]
    assert parse({"data": body}, "multipart/form-data; boundary=x").texts == [bare]
    assert parse({"body": json.dumps({"text": text}).encode()}, JSON).texts == [text]
    assert parse({"body": json.dumps({"texts": [text] * 2}, ensure_ascii=False).encode()}, JSON).texts == [text] * 2
    inputs = {"inputs": [{"datatype": "BYTES", "shape": [2], "data": [text, ""]}]}
    assert parse({"body": json.dumps(inputs).encode()}, JSON).texts == [text, ""]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "", "TEXT/PLAIN ; CharSet='UTF8'", "text/plain; a=b; charset=ascii"]
)
def test_content_types_of_text(content_type: str) -> None:
    assert parse({"body": b"goal"}, content_type).texts == ["goal"]


def test_an_empty_body_is_no_blank_text() -> None:
    for parameters in ({"body": b""}, {"body": bytearray()}, {"body": ""}):
        with pytest.raises(Refusal, match="body is empty"):
            parse(parameters, "text/plain")
    assert parse({"body": b" "}, "").texts == [" "]
    assert parse({"data": b""}, "").texts == [""]


def test_a_form_field_cannot_pose_as_the_body() -> None:
    assert parse({"body": b"x", "data": b"goal"}, "multipart/form-data; boundary=B").texts == ["goal"]
    with pytest.raises(Refusal, match="no field `data`; its fields: body"):
        parse({"body": b"x"}, "application/x-www-form-urlencoded")


def test_top_k_of_the_json_comes_before_that_of_the_query() -> None:
    assert parse({"body": b'{"text": "a", "top_k": 2}', "top_k": b"5"}, JSON).top_k == 2
    assert parse({"body": b'{"text": "a"}', "top_k": b"5"}, JSON).top_k == 5
    assert parse({"body": b"a", "top_k": "5"}, "").top_k == 5
    for bad in (b"", b"0", b"-1", b"1.0", b"\xb2", "²", b"9" * 5000):
        with pytest.raises(Refusal, match="`top_k` is"):
            parse({"body": b"a", "top_k": bad}, "")


def test_refusals_are_short_and_one_line() -> None:
    for body in (
        {"x" * 100_000: 1},
        {"text": "a", "top_k": "x" * 100_000},
        {"inputs": [{"datatype": "x\n" * 100_000}]},
        {"inputs": [{"datatype": "BYTES", "data": ["a"], "shape": ["x" * 10_000] * 4}]},
        {"texts": [1] * 1024},
    ):
        with pytest.raises(Refusal) as caught:
            parse({"body": json.dumps(body).encode()}, JSON)
        assert len(caught.value.body["error"]) < 500
        assert "\n" not in caught.value.body["error"]


texts = st.text(st.characters(exclude_categories=["Cs"]))
scores = st.floats(0, 1, width=32)


@given(st.dictionaries(texts, scores, min_size=1), st.integers(1, 3), st.integers(1, 5) | st.none(), texts)
def test_every_answer_is_json(by_label: dict[str, float], count: int, top_k: int | None, label: str) -> None:
    one = {"label": label, "score": 0.5, "scores": by_label, "tokens": 3, "unknown": 1, "truncated": False}
    before = json.dumps(one)
    for request in (
        Request(["x"], top_k=top_k),
        Request(["x"] * count, many=True, top_k=top_k),
        Request(["x"] * count, many=True, v2=True, id=label, shape=[count]),
    ):
        body = render(request, [one] * len(request.texts), "topics", "1.0")
        value = json.loads(body)
        if request.v2:
            assert value["id"] == label
            assert value["outputs"][0] == {
                "name": "label",
                "shape": [count],
                "datatype": "BYTES",
                "data": [label] * count,
            }
            assert value["outputs"][2]["data"] == [*by_label.values()] * count
        else:
            answer = value[-1] if request.many else value
            best = sorted(by_label.values(), reverse=True)
            assert list(answer["scores"].values()) == (best[:top_k] if top_k else list(by_label.values()))
            assert {**answer, "scores": by_label} == one
        assert b"\n" not in body
    assert json.dumps(one) == before


def test_scores_keep_full_precision() -> None:
    score = 0.1 + 0.2
    one = {"label": "a", "score": score, "scores": {"a": score}, "tokens": 0, "unknown": 0, "truncated": False}
    assert json.loads(render(Request(["x"]), [one], "m", "1"))["score"] == score


def test_an_answer_torchserve_cannot_deliver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"label": "a", "score": 1.0, "scores": {"a": 1.0}, "tokens": 0, "unknown": 0, "truncated": False}
    size = len(render(Request(["x"] * 9, many=True), [one] * 9, "m", "1"))
    monkeypatch.setattr(answers, "MAX_ANSWER", size)
    render(Request(["x"] * 9, many=True), [one] * 9, "m", "1")
    with pytest.raises(Refusal, match=r"The answer has \d+ bytes") as caught:
        render(Request(["x"] * 10, many=True), [one] * 10, "m", "1")
    assert caught.value.status == 413


def test_a_score_that_is_no_number_is_never_sent() -> None:
    one = {"label": "a", "score": float("nan"), "scores": {"a": 1.0}, "tokens": 0, "unknown": 0, "truncated": False}
    with pytest.raises(ValueError, match="not JSON compliant"):
        render(Request(["x"]), [one], "m", "1")
