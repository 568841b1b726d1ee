"""The request path through the real TorchServe: what docs/http.md promises, whatever a client sends."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from lexport.errors import SystemProblem
from lexport.export.inprocess import Archived, opened
from lexport.serving import serve

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
LIMIT = 6_553_500

# name: text, tokens, unknown, truncated
TEXTS: dict[str, tuple[str, int, int | None, bool]] = {
    "plain": ("the team won the match .", 6, None, False),
    "empty": ("", 0, 0, False),
    "blank": (" \t\r\n\u3000\u00a0", 0, 0, False),
    "1 MB": ("goal " * 200_000, 1024, 0, True),
    "1 MB of one word": ("x" * 1_000_000, 1, 1, False),
    "1 MB of spaces": (" " * 1_000_000, 0, 0, False),
    "10,000 unknown words": (" ".join(f"zz{n}" for n in range(10_000)), 1024, 1024, True),
    "NUL and controls": ("goal\0team\x01\x08\x1b\x7f\x85\u200b\ufeffsalt", 3, 0, False),
    "emoji": ("👩\u200d👧 goal 🏳️‍🌈", 6, None, False),
    "Chinese": ("很好看，goal", 5, 4, False),
    "cases without context": ("ΟΔΥΣΣΕΥΣ İstanbul K", 3, 3, False),
    "beyond the plane": ("\U0010fffd\U000e0001\uffff goal", 1, 0, False),
    "[PAD] [UNK]": ("[PAD] [UNK]", 6, None, False),
}

# name: status, what the error says, body, content type
NESTED = b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
DEEP = b"[" * 900 + b"]" * 900
REFUSED: dict[str, tuple[int, str, bytes, str | None]] = {
    "empty body": (400, "body is empty", b"", None),
    "empty text/plain": (400, "body is empty", b"", "text/plain"),
    "empty JSON": (400, "body is empty", b"", JSON),
    "empty form": (400, "no field `data`", b"", FORM),
    "form without data": (400, "its fields: text", b"text=goal", FORM),
    "text as a form": (400, "`curl -d`", b"the team won", FORM),
    "form top_k": (400, "`top_k` is '0.5'", b"data=goal&top_k=0.5", FORM),
    "cut multipart": (
        400,
        "no field `data`",
        b'--B\r\nContent-Disposition: form-data; name="data"\r\n\r\nx',
        MULTIPART,
    ),
    "multipart without boundary": (400, "no field `data`", b"--B--\r\n", "multipart/form-data"),
    "invalid UTF-8": (400, "not valid UTF-8: byte 0xff at position 5", b"goal \xff", "text/plain"),
    "cut UTF-8": (400, "not valid UTF-8: byte 0xe5 at position 5", b"goal \xe5\xa5", None),
    "encoded surrogate": (400, "not valid UTF-8", b"\xed\xa0\x80", None),
    "invalid UTF-8 in JSON": (400, "not valid UTF-8", b'{"text": "\xe9"}', JSON),
    "invalid UTF-8 in a form": (400, "not valid UTF-8", b"data=%ff", FORM),
    "UTF-16": (415, "charset utf-16 is not served", "goal".encode("utf-16"), "text/plain; charset=utf-16"),
    "Latin-1": (415, "charset iso-8859-1 is not served", b"caf\xe9", 'text/plain; charset="ISO-8859-1"'),
    "Latin-1 JSON": (415, "charset latin-1", b"{}", "application/json;charset=latin-1"),
    "UTF-16 without saying so": (400, "not valid UTF-8", "goal".encode("utf-16"), None),
    "not ASCII": (400, "not valid US-ASCII", "é".encode(), "text/plain; charset=us-ascii"),
    "gzip": (400, "not valid UTF-8", gzip.compress(b"goal"), None),
    "a picture": (415, "content type image/png is not served", b"\x89PNG", "image/png"),
    "nonsense type": (415, "content type ;;; is not", b"x", "\u00ff" * 100),
    "malformed JSON": (400, "line 1, column 10", b'{"text": goal}', JSON),
    "two JSON values": (400, "Extra data", b'{"text": "a"} {"text": "b"}', JSON),
    "a word": (400, "not valid JSON", b"goal", JSON),
    "200,000 deep": (400, "nested too deeply", NESTED, JSON),
    "900 deep text": (400, "`text` is a list", b'{"text": ' + DEEP + b"}", JSON),
    "900 deep top_k": (400, "`top_k` is", b'{"text": "a", "top_k": ' + DEEP + b"}", JSON),
    "900 deep shape": (
        400,
        "the shape",
        b'{"inputs":[{"datatype":"BYTES","data":["a"],"shape":' + DEEP + b"}]}",
        JSON,
    ),
    "900 deep datatype": (400, "datatype is a list", b'{"inputs":[{"datatype":' + DEEP + b"}]}", JSON),
    "5,000 digits": (400, "thousands of digits", b'{"text": "a", "top_k": ' + b"9" * 5000 + b"}", JSON),
    "NaN": (400, "it holds NaN", b'{"text": NaN}', JSON),
    "infinity": (400, "it holds -Infinity", b'{"text": "a", "top_k": -Infinity}', JSON),
    "a huge number": (400, "`top_k` is inf", b'{"text": "a", "top_k": 1e999}', JSON),
    "a lone surrogate": (400, "a lone surrogate", b'{"text": "\\ud83d"}', JSON),
    "a surrogate in a list": (400, "1: a string with a lone surrogate", b'{"texts": ["a", "\\udc00"]}', JSON),
    "a surrogate as key": (400, "its keys: ", b'{"\\ud800": 1}', JSON),
    "a surrogate as id": (400, "`id`", b'{"inputs":[{"datatype":"BYTES","data":["a"]}],"id":"\\ud800"}', JSON),
    "no keys": (400, "its keys: none", b"{}", JSON),
    "other keys": (400, "its keys: txt, x", b'{"txt": "a", "x": 1}', JSON),
    "text and texts": (400, "both `text` and `texts`", b'{"text": "a", "texts": ["a"]}', JSON),
    "top_k 0": (400, "`top_k` is 0", b'{"text": "a", "top_k": 0}', JSON),
    "top_k true": (400, "`top_k` is True", b'{"text": "a", "top_k": true}', JSON),
    "top_k text": (400, "`top_k` is '1'", b'{"text": "a", "top_k": "1"}', JSON),
    "empty list": (400, "`texts` is an empty list", b'{"texts": []}', JSON),
    "1,025 texts": (400, "has 1,025 elements", json.dumps({"texts": ["a"] * 1025}).encode(), JSON),
    **{
        f"JSON is {kind}": (400, f"The JSON is {kind}, not an object", body, JSON)
        for kind, body in {"a list": b'["a"]', "a string": b'"a"', "a number": b"1", "null": b"null"}.items()
    },
    **{
        f"text is {kind}": (400, f"`text` is {kind}, not a string", b'{"text": ' + value + b"}", JSON)
        for kind, value in {
            "null": b"null",
            "a boolean": b"false",
            "a number": b"1.5",
            "a list": b'["a"]',
            "an object": b"{}",
        }.items()
    },
    **{
        f"texts is {kind}": (400, f"`texts` is {kind}, not a list", b'{"texts": ' + value + b"}", JSON)
        for kind, value in {"null": b"null", "a string": b'"abc"', "an object": b"{}", "a number": b"3"}.items()
    },
    **{
        f"v2 {name}": (400, error, json.dumps({"inputs": inputs}).encode(), JSON)
        for name, error, inputs in (
            ("no tensor", "exactly one tensor", []),
            ("two tensors", "exactly one tensor", [{}, {}]),
            ("inputs object", "exactly one tensor", {}),
            ("tensor text", "exactly one tensor", ["a"]),
            ("datatype", "datatype is 'FP32'", [{"datatype": "FP32", "data": [1.0]}]),
            ("no datatype", "datatype is null", [{"data": ["a"]}]),
            ("no data", "`data` is null", [{"datatype": "BYTES"}]),
            ("bad data", "1: a number", [{"datatype": "BYTES", "data": ["a", 1]}]),
            ("shape", "2 elements and the shape [3]", [{"datatype": "BYTES", "data": ["a", "b"], "shape": [3]}]),
            ("float shape", "the shape [1.0]", [{"datatype": "BYTES", "data": ["a"], "shape": [1.0]}]),
            ("bool shape", "the shape [True]", [{"datatype": "BYTES", "data": ["a"], "shape": [True]}]),
        )
    },
    "v2 id": (400, "`id` is a number", b'{"inputs":[{"datatype":"BYTES","data":["a"]}],"id":1}', JSON),
}
REFUSED["nonsense type"] = (415, "is not served", b"x", "\u00ff" * 100)


@pytest.fixture(scope="module")
def inprocess(archives: dict[str, Path]) -> Iterator[dict[str, Archived]]:
    with opened(archives["torchscript"]) as torchscript, opened(archives["onnx"]) as onnx:
        yield {"torchscript": torchscript, "onnx": onnx}


@pytest.fixture(params=["torchscript", "onnx"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pids(client: Any) -> list[int]:
    found: list[int] = client.workers()
    assert len(found) == 3
    return found


@pytest.fixture(autouse=True)
def unharmed(client: Any, pids: list[int]) -> Iterator[None]:
    """After every single test the workers are the same processes."""
    yield
    assert client.workers() == pids


def same(answer: Any, expected: dict[str, Any]) -> None:
    """Equal but for the last bits of scores: the worker may use more threads."""
    assert list(answer) == ["label", "score", "scores", "tokens", "unknown", "truncated"]
    assert answer["scores"] == pytest.approx(expected["scores"], abs=1e-6)
    assert answer["score"] == max(answer["scores"].values())
    for key in ("label", "tokens", "unknown", "truncated"):
        assert answer[key] == expected[key]


def multipart(text: str, options: bytes = b"") -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="data"' + options + b"\r\n\r\n"
    return head + text.encode() + b"\r\n--B--\r\n"


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_answered_alike_whatever_carries_it(
    client: Any, inprocess: dict[str, Archived], model: str, name: str
) -> None:
    text, tokens, unknown, truncated = TEXTS[name]
    path = f"/predictions/{model}"
    expected = inprocess[model].predict([text])[0]
    assert (expected["tokens"], expected["truncated"]) == (tokens, truncated)
    assert unknown is None or expected["unknown"] == unknown
    body = text.encode()
    ways: list[tuple[bytes, str | None]] = [
        (json.dumps({"text": text}).encode(), JSON),
        (json.dumps({"text": text}, ensure_ascii=False).encode(), "application/json; charset=UTF-8"),
        (multipart(text), MULTIPART),
        (multipart(text, b'; filename="a.txt"\r\nContent-Type: text/plain'), MULTIPART),
        (b"data=" + quote_plus(text).encode(), FORM),
        (b"\xef\xbb\xbf" + body, "text/plain"),
    ]
    if body:
        ways += [(body, None), (body, "text/plain"), (body, 'Text/Plain; Charset="utf-8"')]
    for sent, content_type in ways:
        reply = client.post(path, sent, content_type)
        assert (reply.status, reply.headers["content-type"]) == (200, JSON), (content_type, reply.body[:300])
        same(reply.json, expected)
    many = client.json(path, {"texts": [text, "rain", text]})
    assert many.status == 200
    assert len(many.json) == 3
    same(many.json[0], expected)
    assert many.json[2] == many.json[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_refused_with_the_reason(client: Any, name: str) -> None:
    status, error, body, content_type = REFUSED[name]
    for model in ("torchscript", "onnx"):
        reply = client.post(f"/predictions/{model}", body, content_type)
        assert (reply.status, reply.headers["content-type"]) == (status, JSON), reply.body[:300]
        assert error in reply.json["error"]
        assert reply.json["expected"]
        assert len(reply.body) < 1000


def test_a_list_with_bad_elements_names_every_position(client: Any, model: str) -> None:
    bad = {3: None, 7: 1, 11: ["a"], 12: {}, 13: True, 31: "\ud800"}
    reply = client.json(f"/predictions/{model}", {"texts": [bad.get(n, "goal") for n in range(32)]})
    assert reply.status == 400
    assert reply.json["positions"] == list(bad)
    assert (
        "3: null; 7: a number; 11: a list; 12: an object; 13: a boolean; 31: a string with a" in reply.json["error"]
    )
    reply = client.json(f"/predictions/{model}", {"texts": [1] * 1024})
    assert reply.json["positions"] == list(range(1024))
    assert "and 1014 more" in reply.json["error"]


def test_a_bad_request_does_not_harm_the_31_others_of_its_batch(client: Any) -> None:
    """The model waits three seconds for 32 requests: answers before that show that one batch held all."""
    texts = ["goal " * n + "rain" for n in range(32)]
    bodies = [json.dumps({"text": text}).encode() for text in texts]
    for bad, body in ((5, b'{"text": "\\ud800"}'), (17, NESTED), (31, b"")):
        replies: dict[int, Any] = {}
        barrier = threading.Barrier(32)

        def ask(number: int, body: bytes, replies: dict[int, Any] = replies, barrier: Any = barrier) -> None:
            barrier.wait()
            replies[number] = client.post("/predictions/patient", body, JSON)

        batch = [body if number == bad else bodies[number] for number in range(32)]
        threads = [threading.Thread(target=ask, args=item) for item in enumerate(batch)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 2.9
        assert {number for number, reply in replies.items() if reply.status != 200} == {bad}
        assert replies[bad].status == 400
        for number in set(replies) - {bad}:
            assert (replies[number].json["tokens"], replies[number].json["unknown"]) == (number + 1, 0)


V2 = {"inputs": [{"name": "text", "shape": [3], "datatype": "BYTES", "data": ["goal", "", "rain 很"]}], "id": "é 7"}


@pytest.mark.parametrize("path", ["/predictions/{}", "/v2/models/{}/infer"])
def test_v2_is_recognised_by_its_shape(client: Any, inprocess: dict[str, Archived], model: str, path: str) -> None:
    plain = inprocess[model].predict(["goal", "", "rain 很"])
    for shape in ([3], [3, 1], [1, 3], None):
        tensor = (
            {**V2["inputs"][0], "shape": shape} if shape else {"datatype": "BYTES", "data": ["goal", "", "rain 很"]}
        )  # type: ignore[dict-item]
        reply = client.json(path.format(model), {**V2, "inputs": [tensor]})
        assert reply.status == 200
        answer = reply.json
        assert (answer["id"], answer["model_name"], answer["model_version"]) == ("é 7", model, "1.0")
        outputs = {tensor["name"]: tensor for tensor in answer["outputs"]}
        assert list(outputs) == ["label", "score", "scores", "tokens", "unknown", "truncated"]
        types = [tensor["datatype"] for tensor in outputs.values()]
        assert types == ["BYTES", "FP32", "FP32", "INT64", "INT64", "BOOL"]
        labels = outputs["scores"]["parameters"]["labels"]
        assert outputs["scores"]["shape"] == [3, len(labels)]
        for key in ("label", "tokens", "unknown", "truncated"):
            assert outputs[key]["data"] == [one[key] for one in plain]
            assert outputs[key]["shape"] == (shape or [3])
        scores = [score for one in plain for score in one["scores"].values()]
        assert outputs["scores"]["data"] == pytest.approx(scores, abs=1e-6)
        assert labels == list(plain[0]["scores"])
    same(client.json(f"/v2/models/{model}/infer", {"text": "goal"}).json, plain[0])
    assert "id" not in client.json(path.format(model), {"inputs": V2["inputs"]}).json


def test_an_id_can_neither_kill_a_worker_nor_be_longer_than_256(client: Any, model: str) -> None:
    """TorchServe ends a worker whose answer is longer than max_response_size."""
    for length, status in ((256, 200), (257, 400), (LIMIT - 200, 400)):
        reply = client.json(f"/predictions/{model}", {"inputs": V2["inputs"], "id": "x" * length})
        assert reply.status == status


def test_top_k_sorts_and_cuts(client: Any, model: str) -> None:
    path = f"/predictions/{model}"
    whole = client.json(path, {"text": "goal rain"}).json["scores"]
    assert list(whole) == sorted(whole)
    ranked = sorted(whole.items(), key=lambda item: -item[1])
    for count in (1, 2, 3, 100):
        reply = client.json(path, {"text": "goal rain", "top_k": count}).json
        assert list(reply["scores"].items()) == ranked[:count]
        assert reply["label"] == ranked[0][0]
    two = dict(ranked[:2])
    assert client.json(path, {"texts": ["goal rain"], "top_k": 2}).json[0]["scores"] == two
    assert client.post(path, b"data=goal+rain&top_k=2", FORM).json["scores"] == two
    # TorchServe keeps the query of these paths alone.
    assert client.post(f"{path}?top_k=2", b"goal rain").json["scores"] == whole
    for query in (f"/models/{model}/invoke?top_k=2", f"/{model}/predict?top_k=2"):
        assert client.post(query, b"goal rain").json["scores"] == two
        assert client.json(query, {"text": "goal rain", "top_k": 1}).json["scores"] == dict(ranked[:1])
    assert client.post(f"/models/{model}/invoke?top_k=x", b"goal rain").status == 400


def test_methods_and_paths(client: Any) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        assert client.post("/predictions/onnx", b"goal", method=method).status == 200
    for method in ("GET", "HEAD"):
        assert client.post("/predictions/onnx", method=method).status == 400
    assert "openapi" in client.post("/predictions/onnx", method="OPTIONS").json
    for path in ("/predictions/onnx/", "/predictions/onnx/1.0", "/predictions/onn%78", "/v1/models/onnx:predict"):
        assert client.post(path, b"goal").status == 200
    for path in ("/explanations/onnx", "/v2/models/onnx/explain"):
        reply = client.post(path, b"goal")
        assert (reply.status, reply.json["error"]) == (404, "This archive gives no explanations.")
    for path in (
        "/predictions",
        "/predictions/nobody",
        "/predictions/onnx/9",
        "/predictions/../onnx",
        "/v2/models/x/infer",
    ):
        assert client.post(path, b"goal").status == 404
    assert client.post("/", b"goal").status == 405
    assert client.post("/predictions/%zz", b"goal").status == 403


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_right_token_torchserve_answers_400(client: Any, token: str) -> None:
    reply = client.post("/predictions/onnx", b"goal", token=token)
    assert (reply.status, reply.json["type"]) == (400, "InvalidKeyException")


def test_what_torchserve_does_by_itself(client: Any) -> None:
    assert client.post("/predictions/onnx", b"goal", chunked=True).json["tokens"] == 1
    assert client.post("/predictions/onnx", b"x" * LIMIT).json["tokens"] == 1
    head = b"POST /predictions/onnx HTTP/1.1"
    assert client.raw(head + b"\r\nContent-Length: 99999999\r\nExpect: 100-continue") == 413
    assert client.raw(head + b"\r\nContent-Length: 4\r\nExpect: 100-continue") == 100
    assert client.raw(head + b"\r\nContent-Length: four") == 400
    assert client.raw(head + b"\r\nTransfer-Encoding: chunked", b"zz\r\n") == 400
    assert client.raw(head + b"\r\nX-Long: " + b"x" * 9000) == 400
    assert client.raw(b"\x16\x03\x01 \xff") == 400
    # Its own reading of forms ends in 500; the worker never sees them.
    for body in (b"data=%zz", b"data=%f"):
        assert client.post("/predictions/onnx", body, FORM).status == 500


def test_header_bytes_that_are_not_utf8_reach_no_one(client: Any) -> None:
    head = b"POST /predictions/onnx HTTP/1.1\r\nContent-Length: 4\r\n"
    assert client.raw(head + b"X-Name: caf\xe9 \xff\xfe", b"goal") == 200
    assert client.raw(head + b"Content-Type: text/plain; x=\xe9", b"goal") == 200
    assert client.raw(head + b"Content-Type: text/plain; charset=\xe9", b"goal") == 415
    assert client.raw(head + b"X-\xe9: x", b"goal") == 400
    assert client.raw(head + b"X-Name: \0", b"goal") == 400
    assert client.post("/predictions/onnx", multipart("goal", b"\r\nContent-Type: \xff"), MULTIPART).status in (
        200,
        500,
    )
    # Fields named like the headers the handler reads.
    for name in ("explain", "content-type", "Content-Type", "body"):
        body = f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nTrue\r\n'.encode() + multipart("goal")
        assert client.post("/predictions/onnx", body, MULTIPART).json["tokens"] == 1
    assert client.post("/predictions/onnx", b"goal", headers={"explain": "True"}).status == 200


def test_clients_that_leave_early_harm_no_one(client: Any) -> None:
    for _ in range(20):
        with pytest.raises((OSError, IndexError)):
            client.raw(b"POST /predictions/onnx HTTP/1.1\r\nContent-Length: 400\r\nConnection: close", None)
    assert client.post("/predictions/onnx", b"goal").status == 200


def test_texts_are_never_logged(client: Any) -> None:
    secret = "xyzzyplugh"
    for body, content_type in (
        (secret.encode(), None),
        (secret.encode(), JSON),
        (b'{"text": "' + secret.encode() + b'\\ud800"}', JSON),
        (b'{"inputs": "' + secret.encode() + b'"}', JSON),
        (b"data=" + secret.encode(), FORM),
        (secret.encode() + b"\xff", "text/plain"),
    ):
        client.post("/predictions/onnx", body, content_type)
    logs = [path for path in client.server.logs.rglob("*") if path.is_file()]
    assert logs
    assert not [path for path in logs if secret in path.read_text(encoding="utf-8", errors="replace")]


def test_an_archive_whose_labels_changed_is_not_served(
    archives: dict[str, Path], repack: Callable[..., Path], tmp_path: Path
) -> None:
    damaged = repack(archives["onnx"], {"labels.json": b'["kitchen", "weather", "sport"]'})
    with pytest.raises(SystemProblem) as caught:
        serve([damaged], workers="cpu:1", state_dir=tmp_path / "state", port=0)
    message = str(caught.value)
    assert "A worker of onnx 1.0 could not start: ValueError:" in message
    assert "golden answers of onnx 1.0 (onnx-int8) differ: golden " in message
    assert "recorded" in message
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["logs"]
