"""The Open Inference Protocol's requests: nested data, binary tensors, encodings; the unknown is refused by name."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.request.protocol import Request, parse
from lexport.handlers.request.refusals import Refusal

from ...refusals import refused

JSON = "application/json"
TRITON = pytest.importorskip("tritonclient.http", reason='no tritonclient: pip install "lexport[dev]"')


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["goal", "rain"]} | changes


def ask(one: dict[str, Any], **more: Any) -> Request:
    return parse({"body": json.dumps({"inputs": [one], **more}).encode()}, JSON)


def binary(
    contents: list[bytes], head: dict[str, Any] | None = None, content_type: str = "application/octet-stream"
) -> Request:
    tail = b"".join(struct.pack("<I", len(one)) + one for one in contents)
    one = tensor(shape=[len(contents)], parameters={"binary_data_size": len(tail)})
    del one["data"]
    return parse({"body": json.dumps({"inputs": [one | (head or {})]}).encode() + tail}, content_type)


@pytest.mark.parametrize(
    ("shape", "data"), [([2, 1], [["goal"], ["rain"]]), ([1, 2], [["goal", "rain"]])], ids=["column", "row"]
)
def test_data_may_be_nested_as_its_shape_says(shape: list[int], data: list[list[str]]) -> None:
    assert ask(tensor(shape=shape, data=data)).texts == ["goal", "rain"]


@pytest.mark.parametrize(
    ("shape", "data", "error"),
    [
        ([2], [["goal"], ["rain"]], ("LX-HTTP-053", "[2]")),
        ([2, 1], [["goal", "rain"]], ("LX-HTTP-053", "1", "[2, 1]")),
        ([2, 1], [["goal"], ["rain", "x"]], ("LX-HTTP-049", "`data`", "1 elements", "1: 2 elements")),
        (2, [["a"], ["b"]], ("LX-HTTP-053", "2")),
    ],
    ids=str,
)
def test_data_nested_otherwise_is_refused(shape: Any, data: list[list[str]], error: tuple[str, ...]) -> None:
    with refused(Refusal, *error):
        ask(tensor(shape=shape, data=data))


def test_images_may_be_nested() -> None:
    found = ask({"name": "image", "shape": [2, 3], "datatype": "FP32", "data": [[1, 2, 3], [4, 5, 6.5]]})
    assert found.images == [[1, 2, 3], [4, 5, 6.5]]


@pytest.mark.parametrize("level", ["tensor", "request"])
def test_base64_is_decoded(level: str) -> None:
    encoded = [base64.b64encode(text.encode()).decode() for text in ("goal", "rain 很")]
    parameters = {"parameters": {"content_type": "base64"}}
    found = ask(tensor(data=encoded, **parameters)) if level == "tensor" else ask(tensor(data=encoded), **parameters)
    assert found.texts == ["goal", "rain 很"]


def test_base64_that_is_none_is_refused_with_its_positions() -> None:
    with refused(Refusal, "LX-HTTP-050", "`data`", "1") as caught:
        ask(tensor(data=["Z29hbA==", "rain!"], parameters={"content_type": "base64"}))
    assert caught.value.body["positions"] == [1]


@pytest.mark.parametrize("kind", ["str", ""])
def test_strings_may_be_called_so(kind: str) -> None:
    assert ask(tensor(parameters={"content_type": kind})).texts == ["goal", "rain"]


@pytest.mark.parametrize(
    ("level", "parameters", "error"),
    [
        ("tensor", {"top_k": 3}, ("LX-HTTP-041", "`top_k`")),
        ("tensor", {"sequence_id": 7}, ("LX-HTTP-041", "`sequence_id`")),
        ("tensor", {"content_type": "hg_json"}, ("LX-HTTP-052", "`content_type`", "'hg_json'")),
        ("tensor", {"content_type": 7}, ("LX-HTTP-042", "`content_type`", "a number")),
        ("tensor", [], ("LX-HTTP-040", "`parameters of the tensor`", "a list")),
        ("request", {"top_k": 3}, ("LX-HTTP-041", "`top_k`")),
        ("request", {"sequence_id": 7}, ("LX-HTTP-041", "`sequence_id`")),
        ("request", {"content_type": "hg_json"}, ("LX-HTTP-052", "`content_type`", "'hg_json'")),
        ("request", {"content_type": 7}, ("LX-HTTP-042", "`content_type`", "a number")),
        ("request", [], ("LX-HTTP-040", "`parameters`", "a list")),
    ],
    ids=str,
)
def test_unknown_parameters_are_refused_by_name(level: str, parameters: Any, error: tuple[str, ...]) -> None:
    with refused(Refusal, *error):
        ask(tensor(parameters=parameters)) if level == "tensor" else ask(tensor(), parameters=parameters)


def test_parameters_that_change_no_answer_are_taken() -> None:
    found = ask(tensor(), parameters={"binary_data_output": True, "priority": 1, "timeout": 5, "lang": "en"})
    assert (found.texts, found.languages) == (["goal", "rain"], ["en", "en"])


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8),
    st.sampled_from(["", JSON, "text/plain"]),
)
def test_binary_tensors_are_read_whatever_their_content_type(texts: list[str], content_type: str) -> None:
    found = binary([text.encode() for text in texts], content_type=content_type)
    assert found == Request(texts, many=True, v2=True, shape=[len(texts)])


def test_tritons_default_request_is_read() -> None:
    given = TRITON.InferInput("text", [2], "BYTES")
    given.set_data_from_numpy(np.array([b"goal", "rain 很".encode()], object))
    body, _ = TRITON.InferenceServerClient.generate_request_body([given], request_id="7")
    assert parse({"body": body}, "application/octet-stream") == Request(
        ["goal", "rain 很"], many=True, v2=True, id="7", shape=[2]
    )


def test_binary_images_are_read() -> None:
    numbers = np.array([[0.5, 1, 2], [3, 4, 5]], np.float32)
    one = {"name": "image", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}}
    found = parse({"body": json.dumps({"inputs": [one]}).encode() + numbers.tobytes()}, JSON)
    assert found.images == numbers.tolist()


@pytest.mark.parametrize(
    ("contents", "head", "error"),
    [
        ([b"goal"], {"parameters": {"binary_data_size": 7}}, ("LX-HTTP-045", "7", "8 bytes")),
        ([b"goal"], {"parameters": {"binary_data_size": "8"}}, ("LX-HTTP-045", "'8'", "8 bytes")),
        ([b"goal"], {"data": ["goal"]}, ("LX-HTTP-044", "`data`", "`binary_data_size`")),
        ([b"goal", b"\xff"], {}, ("LX-HTTP-047", "1", "0xff")),
        ([b""] * 1025, {}, ("LX-HTTP-046", "1,024")),
        ([b"goal"], {"shape": [2]}, ("LX-HTTP-053", "1", "[2]")),
        ([b"goal"], {"datatype": "INT64"}, ("LX-HTTP-039", "'INT64'", "'text'")),
        ([b"goal"], {"datatype": "FP32", "name": "image", "shape": [2]}, ("LX-HTTP-028", "-1e9 to 1e9")),
        ([b"rains"], {"datatype": "FP32", "name": "image", "shape": [2]}, ("LX-HTTP-051", "9 bytes", "FP32")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_binary_tensors_are_refused(contents: list[bytes], head: dict[str, Any], error: tuple[str, ...]) -> None:
    with refused(Refusal, *error) as caught:
        binary(contents, head)
    assert caught.value.status == 400


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_binary_tensor_that_breaks_off_is_refused(cut: int) -> None:
    tail = (struct.pack("<I", 4) + b"goal")[:cut]
    one = tensor(shape=[1], parameters={"binary_data_size": cut})
    del one["data"]
    with refused(Refusal, "LX-HTTP-048", "element 0"):
        parse({"body": json.dumps({"inputs": [one]}).encode() + tail}, "")


def test_bytes_behind_the_json_that_nothing_names_are_refused() -> None:
    one = tensor(parameters={"binary_data_size": 0}, shape=[1])
    del one["data"]
    body = json.dumps({"inputs": [one]}).encode()
    with refused(Refusal, "LX-HTTP-045", "0", "3 bytes"):
        parse({"body": body + b"abc"}, "")
