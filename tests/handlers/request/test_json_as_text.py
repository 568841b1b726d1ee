"""JSON that comes in a form or as plain text is read as what it says, and never classified as the text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lexport.handlers.request.protocol import Request, parse
from lexport.handlers.request.refusals import Refusal

from ...refusals import refused

FORM = "multipart/form-data; boundary=x"
PLACES = [
    pytest.param("body", "text/plain", id="text"),
    pytest.param("body", "", id="no-content-type"),
    pytest.param("body", "application/octet-stream", id="octet-stream"),
    pytest.param("data", FORM, id="form"),
]


def ask(field: str, content_type: str, value: Any) -> Request:
    body = value if isinstance(value, str) else json.dumps(value)
    return parse({field: body.encode()}, content_type)


@pytest.mark.parametrize(("field", "content_type"), PLACES)
def test_json_of_a_served_shape_is_read(field: str, content_type: str) -> None:
    assert ask(field, content_type, {"text": "goal", "top_k": 2}) == Request(["goal"], top_k=2)
    assert ask(field, content_type, {"texts": ["goal", "rain"]}) == Request(["goal", "rain"], many=True)
    assert ask(field, content_type, ' \n{"text": "goal"}\n').texts == ["goal"]
    v2 = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["goal"]}]}
    assert ask(field, content_type, v2) == Request(["goal"], many=True, v2=True, shape=[1])


@pytest.mark.parametrize(("field", "content_type"), PLACES)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"text": 5}, ("LX-HTTP-022", "`text`", "a number")),
        ({"texts": []}, ("LX-HTTP-031", "`texts`")),
        ({"text": "a", "texts": ["b"]}, ("LX-HTTP-020", "`text`", "`texts`")),
        ({"instances": ["goal"]}, ("LX-HTTP-021", "instances")),
        ({"data": "goal"}, ("LX-HTTP-021", "data")),
        ({"inputs": "goal"}, ("LX-HTTP-035", "`inputs`")),
    ],
    ids=str,
)
def test_json_of_another_shape_is_refused_by_name(
    field: str, content_type: str, value: Any, error: tuple[str, ...]
) -> None:
    with refused(Refusal, *error) as caught:
        ask(field, content_type, value)
    assert caught.value.status == 400


@pytest.mark.parametrize(("field", "content_type"), PLACES)
@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        "{",
        "{text: goal}",
        '{"text": "goal"} and more',
        '["goal"]',
        '"goal"',
        "{" * 3000,
        "{}",
        '{"x": NaN}',
    ],
    ids=lambda text: text[:12],
)
def test_what_only_looks_like_json_is_text(field: str, content_type: str, text: str) -> None:
    assert ask(field, content_type, text) == Request([text])


def test_text_that_torchserve_has_decoded_is_read_alike() -> None:
    assert parse({"body": '{"text": "goal"}'}, "text/plain").texts == ["goal"]
    assert parse({"body": "{goal}"}, "text/plain").texts == ["{goal}"]
