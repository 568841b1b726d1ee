"""The request path through the real TorchServe: what docs/http.md promises, whatever a client sends."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from urllib.parse import quote_plus

import pytest

from lexport.export.archive.inprocess import LoadedArchive
from lexport.serving.torchserve.health.ready import read_reports

from .cases import FORM, JSON, LIMIT, MULTIPART, NESTED, REFUSED, TEXTS, multipart

pytestmark = pytest.mark.usefixtures("unharmed")


def same(answer: Any, expected: dict[str, Any]) -> None:
    """Equal but for the last bits of scores: the worker may use more threads."""
    assert list(answer) == ["label", "score", "scores", "tokens", "unknown", "truncated"]
    assert answer["scores"] == pytest.approx(expected["scores"], abs=1e-6)
    assert answer["score"] == max(answer["scores"].values())
    for key in ("label", "tokens", "unknown", "truncated"):
        assert answer[key] == expected[key]


@pytest.mark.long
def test_every_worker_reads_its_batches_in_chunks(client: Any, pids: list[int]) -> None:
    if client.server.engine != "torchserve":
        pytest.skip("only TorchServe's workers get their batches from another process")
    reports = read_reports(client.server)
    assert {report["pid"]: report["chunked"] for report in reports} == dict.fromkeys(pids, True)


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_answered_alike_whatever_carries_it(
    client: Any, inprocess: dict[str, LoadedArchive], model: str, name: str
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
    bad: dict[int, Any] = {3: None, 7: 1, 11: ["a"], 12: {}, 13: True, 31: "\ud800"}
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
    """The model waits twenty seconds for 32 requests: answers before that show that one batch held all."""
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
        assert time.monotonic() - began < 15
        assert {number for number, reply in replies.items() if reply.status != 200} == {bad}
        assert replies[bad].status == 400
        for number in set(replies) - {bad}:
            assert (replies[number].json["tokens"], replies[number].json["unknown"]) == (number + 1, 0)


V2: dict[str, Any] = {
    "inputs": [{"name": "text", "shape": [3], "datatype": "BYTES", "data": ["goal", "", "rain 很"]}],
    "id": "é 7",
}


@pytest.mark.parametrize("path", ["/predictions/{}", "/v2/models/{}/infer"])
def test_v2_is_recognised_by_its_shape(
    client: Any, inprocess: dict[str, LoadedArchive], model: str, path: str
) -> None:
    plain = inprocess[model].predict(["goal", "", "rain 很"])
    for shape in ([3], [3, 1], [1, 3], None):
        tensor = (
            {**V2["inputs"][0], "shape": shape} if shape else {"datatype": "BYTES", "data": ["goal", "", "rain 很"]}
        )
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


def test_the_query_of_older_paths_alone_reaches_the_handler(client: Any, model: str) -> None:
    for query, error in (("lang=en", "`lang` is given"), ("threshold=0.5", "`threshold` is 0.5")):
        for path in (f"/models/{model}/invoke", f"/{model}/predict"):
            reply = client.json(f"{path}?{query}", {"text": "goal"})
            assert reply.status == 400
            assert reply.json["error"].startswith(error)
        assert client.json(f"/predictions/{model}?{query}", {"text": "goal"}).status == 200
