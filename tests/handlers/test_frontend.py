"""What TorchServe itself does with requests before a worker sees them, as docs/http.md says."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from .cases import FORM, JSON, LIMIT, MULTIPART, multipart

pytestmark = pytest.mark.usefixtures("unharmed")


def test_methods_and_paths(client: Any) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        assert client.post("/predictions/onnx", b"goal", method=method).status == 200
    for method in ("GET", "HEAD"):
        assert client.post("/predictions/onnx", method=method).status == 400
    assert "openapi" in client.post("/predictions/onnx", method="OPTIONS").json
    for path in ("/predictions/onnx/", "/predictions/onnx/1.0", "/predictions/onn%78", "/v1/models/onnx:predict"):
        assert client.post(path, b"goal").status == 200
    for path in ("/explanations/onnx", "/v2/models/onnx/explain"):
        reply = client.post(path, b"Goal")
        assert (reply.status, reply.json["method"]) == (200, "additive")
        assert [(token["token"], token["start"], token["end"]) for token in reply.json["tokens"]] == [("goal", 0, 4)]
    for path in (
        "/predictions",
        "/predictions/nobody",
        "/predictions/onnx/9",
        "/predictions/../onnx",
        "/v2/models/x/infer",
    ):
        assert client.post(path, b"goal").status == 404
    known, undecodable = {"torchserve": (404, 403), "embedded": (200, 404)}[client.server.engine]
    for path in ("/v2/health/ready", "/v2/models/onnx/ready"):
        assert client.post(path, method="GET").status == known
    assert client.post("/", b"goal").status == 405
    assert client.post("/predictions/%zz", b"goal").status == undecodable


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_right_token_torchserve_answers_400(client: Any, token: str) -> None:
    reply = client.post("/predictions/onnx", b"goal", token=token)
    assert (reply.status, reply.json["type"]) == (400, "InvalidKeyException")


def test_what_torchserve_does_by_itself(client: Any) -> None:
    if client.server.engine != "torchserve":
        pytest.skip("tests/serving/embedded/http has what the embedded engine's server does by itself")
    assert client.post("/predictions/onnx", b"goal", chunked=True).json["tokens"] == 1
    assert client.post("/predictions/onnx", b"x" * LIMIT).json["tokens"] == 1
    head = b"POST /predictions/onnx HTTP/1.1"
    assert client.raw(head + b"\r\nContent-Length: 99999999\r\nExpect: 100-continue") == 413
    assert client.raw(head + b"\r\nContent-Length: 4\r\nExpect: 100-continue") == 100
    assert client.raw(head + b"\r\nContent-Length: four") == 400
    assert client.raw(head + b"\r\nTransfer-Encoding: chunked", b"zz\r\n") == 400
    assert client.raw(head + b"\r\nX-Long: " + b"x" * 9000) == 400
    assert client.raw(b"POST /predictions/onnx?" + b"x" * 5000 + b" HTTP/1.1") == 400
    assert client.raw(b"\x16\x03\x01 \xff") == 400
    # Its own reading of forms ends in 500; the worker never sees them.
    for body in (b"data=%zz", b"data=%f"):
        assert client.post("/predictions/onnx", body, FORM).status == 500
    for part in (b"x=1", b'name="data"\r\nContent-Type: text/plain; charset=nonsense'):
        body = b"--B\r\nContent-Disposition: form-data; " + part + b"\r\n\r\nx\r\n--B--\r\n"
        assert client.post("/predictions/onnx", body, MULTIPART).status == 500


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
    head = f"POST /predictions/onnx HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.server.token()}\r\n"
    for body in (b"", b"goal", b"goal" * 100):
        for _ in range(10):
            with socket.create_connection(client.address, timeout=60) as connection:
                connection.sendall(head.encode() + b"Content-Length: 400\r\n\r\n" + body)
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
