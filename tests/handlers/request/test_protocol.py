"""Requests in, answers out: whatever arrives is a Request or a Refusal with a 4xx, and every answer is JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lexport.handlers.request import answers
from lexport.handlers.request.answers import render, render_refusal
from lexport.handlers.request.fields import MAX_TEXTS
from lexport.handlers.request.protocol import Request, parse
from lexport.handlers.request.refusals import Refusal

from ...refusals import refused

JSON = "application/json"
KINDS = ["", "text/plain", JSON, "application/ld+json", "application/x-www-form-urlencoded", "multipart/form-data"]
KINDS += ["application/octet-stream", "image/png", "text/plain; charset=utf-16", f"{JSON}; charset=us-ascii", ";=;"]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=3), inner),
    max_leaves=8,
)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": values | st.just("image"),
        "shape": values | st.lists(st.integers(0, 4), max_size=3),
        "datatype": st.sampled_from(["BYTES", "FP32"]) | values,
        "data": values | st.lists(st.floats(width=32)),
    },
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "text": values | st.text(),
        "texts": values | st.lists(st.text() | values),
        "image": values | st.lists(st.floats()),
        "images": values | st.lists(st.lists(st.floats() | st.integers())),
        "lang": values | st.text(),
        "top_k": values | st.integers(),
        "threshold": values | st.floats(0, 1),
        "parameters": values,
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
    assert bool(request.texts) != bool(request.images)
    assert len(request.texts or request.images or ()) <= MAX_TEXTS
    assert all(isinstance(text, str) for text in request.texts)
    "".join(request.texts).encode()  # no lone surrogate gets through
    assert all(image and np.isfinite(np.array(image, np.float32)).all() for image in request.images or ())
    assert request.languages is None or len(request.languages) == len(request.texts)
    assert request.top_k is None or request.top_k >= 1
    assert request.threshold is None or 0 <= request.threshold <= 1
    return request


def read(body: dict[str, Any]) -> Request:
    return parse({"body": json.dumps(body).encode()}, JSON)


@given(st.binary(), st.sampled_from(KINDS) | st.text(st.characters(max_codepoint=255)))
@example(b"\xef\xbb\xbf", JSON)
@example(b'{"text":' + b"[" * 5000, JSON)
@example(b'{"a":' * 994 + b"1" + b"}" * 994, JSON)
@example(b"[1e400, -0, " + b"9" * 4301 + b"]", JSON)
def test_any_bytes(body: bytes, content_type: str) -> None:
    for value in (body, bytearray(body)):
        outcome({"body": value}, content_type)
        outcome({"data": value}, content_type)
        for field in ("top_k", "threshold", "lang"):
            outcome({"data": value, field: value}, content_type)
            outcome({"body": value, field: value}, content_type)
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
    for parameters, code in (
        ({"body": b""}, "LX-HTTP-007"),
        ({"body": bytearray()}, "LX-HTTP-007"),
        ({"body": ""}, "LX-HTTP-009"),
    ):
        with refused(Refusal, code):
            parse(parameters, "text/plain")
    assert parse({"body": b" "}, "").texts == [" "]
    assert parse({"data": b""}, "").texts == [""]


def test_a_form_field_cannot_pose_as_the_body() -> None:
    assert parse({"body": b"x", "data": b"goal"}, "multipart/form-data; boundary=B").texts == ["goal"]
    with refused(Refusal, "LX-HTTP-010", "`data`", "body"):
        parse({"body": b"x"}, "application/x-www-form-urlencoded")


def test_top_k_of_the_json_comes_before_that_of_the_query() -> None:
    assert parse({"body": b'{"text": "a", "top_k": 2}', "top_k": b"5"}, JSON).top_k == 2
    assert parse({"body": b'{"text": "a"}', "top_k": b"5"}, JSON).top_k == 5
    assert parse({"body": b"a", "top_k": "5"}, "").top_k == 5
    for bad in (b"", b"0", b"-1", b"1.0", b"\xb2", "²", b"9" * 5000):
        with refused(Refusal, "LX-HTTP-033", "`top_k`"):
            parse({"body": b"a", "top_k": bad}, "")


def test_languages_are_named_once_or_for_each_text() -> None:
    assert read({"text": "a", "lang": "en"}).languages == ["en"]
    assert read({"text": "a", "lang": ["en"]}).languages == ["en"]
    assert read({"texts": ["a", "b"], "lang": "en"}).languages == ["en", "en"]
    assert read({"texts": ["a", "b"], "lang": ["en", "de"]}).languages == ["en", "de"]
    assert read({"text": "a", "lang": None}).languages is None
    tensor = {"datatype": "BYTES", "data": ["a", "b"]}
    assert read({"inputs": [tensor], "parameters": {"lang": "en"}}).languages == ["en", "en"]
    assert read({"inputs": [tensor], "lang": "en"}).languages is None, "v2 has its options under `parameters`"
    assert parse({"data": b"a", "lang": "fran\u00e7ais".encode()}, "").languages == ["fran\u00e7ais"]


def test_languages_of_the_json_come_before_that_of_the_query() -> None:
    assert parse({"body": b'{"text": "a", "lang": "en"}', "lang": b"de"}, JSON).languages == ["en"]
    assert parse({"body": b'{"texts": ["a", "b"]}', "lang": b"de"}, JSON).languages == ["de", "de"]
    assert parse({"body": b"a", "lang": "de", "threshold": "0.25"}, "").threshold == 0.25


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"text": "a", "lang": 1}, "`lang` is 1"),
        ({"text": "a", "lang": {}}, "`lang` is"),
        ({"text": "a", "lang": []}, "`lang` has 0 elements for 1 texts"),
        ({"texts": ["a", "b"], "lang": ["en"]}, "`lang` has 1 elements for 2 texts"),
        ({"image": [1], "lang": "en"}, "`lang` is given for images"),
        ({"inputs": [{"datatype": "BYTES", "data": ["a"]}], "parameters": []}, "`parameters` is a list"),
        ({"inputs": [{"datatype": "BYTES", "data": ["a"]}], "parameters": {"lang": 1}}, "`lang` is 1"),
        ({"text": "a", "image": [1]}, "both `text` and `image`"),
        ({"text": "a", "texts": ["a"], "images": [[1]]}, "has `text` and `texts` and `images`"),
        ({"image": 1}, "`image` is a number, not a list of numbers"),
        ({"image": []}, "`image` is an empty list"),
        ({"image": [1, "2", None, True, 1e39]}, "(1: a string; 2: null; 3: a boolean; 4: 1e+39)"),
        ({"image": [[1]]}, "(0: a list)"),
        ({"image": [10**400]}, "not numbers from -1e9 to 1e9"),
        ({"images": [[1e9, -1e9], [0, -1.1e9]]}, "(1: number 1 is -1100000000.0)"),
        ({"images": [1, [], [2, "x"], [3]]}, "(0: a number; 1: an empty list; 2: number 1 is a string)"),
        ({"images": []}, "`images` is an empty list"),
        ({"images": [[1]] * 1025}, "has 1,025 elements"),
        ({"text": "a", "threshold": 1.5}, "`threshold` is 1.5"),
        ({"text": "a", "threshold": "0.5"}, "`threshold` is '0.5'"),
        ({"text": "a", "threshold": True}, "`threshold` is True"),
        ({"inputs": [{"name": "image", "datatype": "FP32", "data": ["a"]}]}, "(0: a string)"),
        ({"inputs": [{"name": "picture", "datatype": "FP32", "data": [1]}]}, "'FP32', its name 'picture'"),
        ({"inputs": [{"name": "image", "datatype": "FP32", "data": [1, 2], "shape": [3]}]}, "the shape [3]"),
        ({"inputs": [{"name": "image", "datatype": "FP32", "data": [1, 2], "shape": [-1, -2]}]}, "shape [-1, -2]"),
        ({"inputs": [{"name": "image", "datatype": "FP32", "data": [1], "shape": [True]}]}, "the shape [True]"),
        ({"inputs": [{"name": "image", "datatype": "FP32", "data": [1], "shape": [1, 1, 1]}]}, "shape [1, 1, 1]"),
        (
            {"inputs": [{"name": "image", "datatype": "FP32", "data": [1]}], "parameters": {"lang": "en"}},
            "`lang` is given for images",
        ),
    ],
)
def test_what_is_wrong_with_a_language_an_image_or_a_threshold_is_said(body: dict[str, Any], error: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(body)
    assert caught.value.status == 400
    assert error in caught.value.body["error"]


def test_thresholds_are_written_as_numbers() -> None:
    assert read({"text": "a", "threshold": 0}).threshold == 0
    assert parse({"data": b"a", "threshold": b"0.75"}, "").threshold == 0.75
    for bad in (b"", b"1.01", b"-0", b"nan", b"1_0", b"1e-1", b".", b"0." + b"1" * 5000, "\u0661"):
        with refused(Refusal, "LX-HTTP-034", "`threshold`"):
            parse({"data": b"a", "threshold": bad}, "")


@given(st.lists(st.lists(st.floats(-1e9, 1e9, width=32), min_size=3, max_size=3), min_size=1))
def test_images_are_the_same_whatever_carries_them(images: list[list[float]]) -> None:
    assert read({"images": images}).images == images
    assert read({"image": images[0]}) == Request([], images=images[:1])
    flat = [value for image in images for value in image]
    tensor = {"name": "image", "datatype": "FP32", "shape": [len(images), 3], "data": flat}
    assert read({"inputs": [tensor]}).images == images
    assert read({"inputs": [{**tensor, "shape": [3], "data": flat[:3]}]}).images == images[:1]


def test_refusals_are_short_and_one_line() -> None:
    for body in (
        {"x" * 100_000: 1},
        {"text": "a", "top_k": "x" * 100_000},
        {"inputs": [{"datatype": "x\n" * 100_000}]},
        {"inputs": [{"datatype": "BYTES", "data": ["a"], "shape": ["x" * 10_000] * 4}]},
        {"texts": [1] * 1024},
        {"image": ["x"] * 1024},
        {"images": [[1, None]] * 1024},
        {"text": "a", "lang": ["x" * 10_000] * 2},
        {"text": "a", "lang": {"x" * 10_000: 1}},
        {"inputs": [{"datatype": "FP32", "name": "x\n" * 10_000}]},
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


SEVERAL = {
    "labels": [{"label": "c", "score": 0.75}, {"label": "a", "score": 0.5}],
    "scores": {"a": 0.5, "b": 0.25, "c": 0.75},
    "tokens": 3,
    "unknown": 1,
    "truncated": False,
}


@pytest.mark.parametrize(
    ("options", "labels", "scores"),
    [
        ({}, ["c", "a"], ["a", "b", "c"]),
        ({"threshold": 0.25}, ["c", "a", "b"], ["a", "b", "c"]),
        ({"threshold": 0.8}, [], ["a", "b", "c"]),
        ({"top_k": 1}, ["c"], ["c"]),
        ({"top_k": 2, "threshold": 0.0}, ["c", "a"], ["c", "a"]),
    ],
)
def test_a_threshold_and_top_k_limit_several_labels(
    options: dict[str, Any], labels: list[str], scores: list[str]
) -> None:
    before = json.dumps(SEVERAL)
    answer = json.loads(render(Request(["x"], **options), [SEVERAL], "m", "1"))
    assert [one["label"] for one in answer["labels"]] == labels
    assert list(answer["scores"]) == scores
    assert all(one["score"] == SEVERAL["scores"][one["label"]] for one in answer["labels"])  # type: ignore[index]
    assert list(answer) == list(SEVERAL)
    assert json.dumps(SEVERAL) == before


def v2(request: Request, answers_: list[dict[str, Any]]) -> dict[str, tuple[str, list[int], list[Any]]]:
    outputs = json.loads(render(request, answers_, "m", "1"))["outputs"]
    return {one["name"]: (one["datatype"], one["shape"], one["data"]) for one in outputs}


def test_several_labels_and_vectors_in_v2() -> None:
    request = Request(["x"] * 2, many=True, v2=True, shape=[2])
    assert v2(request, [SEVERAL] * 2) == {
        "scores": ("FP32", [2, 3], [0.5, 0.25, 0.75] * 2),
        "tokens": ("INT64", [2], [3, 3]),
        "unknown": ("INT64", [2], [1, 1]),
        "truncated": ("BOOL", [2], [False, False]),
    }
    outputs = json.loads(render(request, [SEVERAL] * 2, "m", "1"))["outputs"]
    assert outputs[0]["parameters"] == {"labels": ["a", "b", "c"]}
    counts = {"tokens": 1, "unknown": 0, "truncated": True}
    found = v2(request, [{"vector": [0.5, -1.0], **counts}, {"vector": [0.0, 1.0], **counts}])
    assert list(found) == ["vector", "tokens", "unknown", "truncated"]
    assert found["vector"] == ("FP32", [2, 2], [0.5, -1.0, 0.0, 1.0])
    shown = Request([], many=True, images=[[1.0]] * 2, v2=True)
    assert v2(shown, [{"vector": [1.0]}] * 2) == {"vector": ("FP32", [2, 1], [1.0, 1.0])}


def test_scores_keep_full_precision() -> None:
    score = 0.1 + 0.2
    one = {"label": "a", "score": score, "scores": {"a": score}, "tokens": 0, "unknown": 0, "truncated": False}
    assert json.loads(render(Request(["x"]), [one], "m", "1"))["score"] == score


def test_an_answer_torchserve_cannot_deliver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"label": "a", "score": 1.0, "scores": {"a": 1.0}, "tokens": 0, "unknown": 0, "truncated": False}
    size = len(render(Request(["x"] * 9, many=True), [one] * 9, "m", "1"))
    monkeypatch.setattr(answers, "MAX_RESPONSE", size)
    render(Request(["x"] * 9, many=True), [one] * 9, "m", "1")
    with refused(Refusal, "LX-HTTP-065", size) as caught:
        render(Request(["x"] * 10, many=True), [one] * 10, "m", "1")
    assert caught.value.status == 413


def test_a_score_that_is_no_number_is_never_sent() -> None:
    one = {"label": "a", "score": float("nan"), "scores": {"a": 1.0}, "tokens": 0, "unknown": 0, "truncated": False}
    with pytest.raises(ValueError, match="not JSON compliant"):
        render(Request(["x"]), [one], "m", "1")
