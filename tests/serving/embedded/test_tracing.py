"""Traces of the embedded engine, received by a collector as OpenTelemetry's exporter sends them."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from lexport.serving import Server, serve, stop

from .grpc.conftest import free_ports

collector = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason='pip install "lexport[otel]"'
)

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "goal of the secret text"


class Collector(ThreadingHTTPServer):
    """Keeps the spans that it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def wait(self, number: int) -> list[Any]:
        """Return the spans once there are so many."""
        for _ in range(300):
            if len(self.spans) >= number:
                return self.spans
            time.sleep(0.05)
        raise AssertionError(f"{len(self.spans)} spans came, {number} were expected")


class _Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        found = collector.ExportTraceServiceRequest.FromString(body)
        self.server.bytes += body
        for resource in found.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.server.services.add(names["service.name"])
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def received() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def start(archive: Path, folder: Path, url: str, grpc: int = 0) -> Server:
    settings = folder / "own.properties"
    settings.write_text(f"grpc_inference_port={grpc}\njob_queue_size=1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        patch.setenv("OTEL_SERVICE_NAME", "shop")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        names = [name for name in os.environ if name.startswith("OTEL_")]
        return serve(
            [archive], engine="embedded", workers="cpu:1", port=0, state_dir=folder / "s", env=names, config=settings
        )


@pytest.fixture(scope="module")
def ports() -> list[int]:
    return free_ports()


@pytest.fixture(scope="module")
def server(
    received: Collector, ports: list[int], archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    started = start(archive_of("onnx-int8"), tmp_path_factory.mktemp("traced"), received.url, ports[0])
    yield started
    stop(started.state_dir)


def ask(server: Server, text: str, **headers: str) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {server.token()}"}
    return httpx.post(f"{server.inference_url}/predictions/topics", json={"text": text}, headers=bearer | headers)


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_span_continues_the_callers_trace(server: Server, received: Collector) -> None:
    before = len(received.spans)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine-1"}
    assert ask(server, SECRET, **headers).status_code == 200
    assert ask(server, SECRET).status_code == 200
    assert ask(server, SECRET, **{"Content-Type": "application/pdf"}).status_code == 415
    spans = received.wait(before + 3)[before:]
    continued, alone, refused = sorted(spans, key=lambda span: span.start_time_unix_nano)
    assert (continued.trace_id.hex(), continued.parent_span_id.hex()) == (TRACE, PARENT)
    assert alone.trace_id.hex() != TRACE
    assert alone.parent_span_id == b""
    assert {span.name for span in spans} == {"predict topics"}
    told = attributes(continued)
    assert told["lexport.request.id"] == "mine-1"
    assert (told["http.response.status_code"], told["lexport.batch.requests"]) == (200, 1)
    assert (told["lexport.model.name"], told["lexport.model.version"]) == ("topics", "1.0")
    assert 0 < told["lexport.batch.seconds"] < 5
    assert 0 < (continued.end_time_unix_nano - continued.start_time_unix_nano) / 1e9 < 5
    assert attributes(refused)["http.response.status_code"] == 415
    assert received.services == {"shop"}
    assert b"secret" not in received.bytes


def test_over_grpc_too(server: Server, received: Collector, ports: list[int]) -> None:
    grpc = pytest.importorskip("grpc", reason='pip install "lexport[grpc]"')
    from lexport.serving.embedded.grpc.messages import message

    before = len(received.spans)
    asked = message("inference.ModelInferRequest")(model_name="topics")
    asked.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(SECRET.encode())
    with grpc.insecure_channel(f"127.0.0.1:{ports[0]}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message("inference.ModelInferResponse").FromString,
        )
        bearer = ("authorization", f"Bearer {server.token()}")
        continued = ("traceparent", f"00-{TRACE}-{PARENT}-01")
        call(asked, metadata=(bearer, continued), timeout=30)
        [span] = received.wait(before + 1)[before:]
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        for metadata, name, code, error in (
            ((continued,), "topics", grpc.StatusCode.PERMISSION_DENIED, "InvalidKeyException"),
            ((bearer, continued), "nothing", grpc.StatusCode.NOT_FOUND, "ModelNotFoundException"),
            ((bearer, continued), "topics", grpc.StatusCode.INVALID_ARGUMENT, "LX-HTTP-120"),
        ):
            before = len(received.spans)
            asked.model_name = name
            asked.raw_input_contents[:] = [b"x"] if error.startswith("LX-") else []
            with pytest.raises(grpc.RpcError) as caught:
                call(asked, metadata=metadata, timeout=30)
            assert caught.value.code() == code
            [span] = received.wait(before + 1)[before:]
            assert (span.name, span.trace_id.hex()) == ("refuse", TRACE)
            assert attributes(span)["error.type"] == error


CONTINUED = f"traceparent: 00-{TRACE}-{PARENT}-01\r\n"


def raw(server: Server, *heads: str, length: int = 0) -> None:
    """Send requests at once on one connection, each its first line and more headers, and read until it is closed."""
    where = httpx.URL(server.inference_url)
    bearer = f"Authorization: Bearer {server.token()}\r\nHost: x\r\nContent-Length: {length}\r\n"
    whole = "".join(f"{head.replace('BEARER', bearer)}\r\n{'a' * length}" for head in heads)
    with socket.create_connection((where.host, where.port or 80), 10) as client:
        client.sendall(whole.encode())
        client.shutdown(socket.SHUT_WR) if not length else None
        while client.recv(1 << 16) and length == 0:
            continue


@pytest.mark.parametrize(
    ("head", "status", "error"),
    [
        ("POST /predictions/topics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n", 400, "InvalidKeyException"),
        ("GET /predictions/topics HTTP/1.1\r\nHost: x\r\n", 400, "InvalidKeyException"),
        ("GET /predictions/nothing HTTP/1.1\r\nBEARER", 404, "ModelNotFoundException"),
        ("GET /nothing HTTP/1.1\r\nBEARER", 404, "ResourceNotFoundException"),
        ("GET / HTTP/1.1\r\n", 400, "LX-HTTP-102"),
        ("GET / HTTP/3.0\r\nHost: x\r\n", 505, "LX-HTTP-105"),
    ],
)
def test_what_is_refused_before_a_model_has_a_span_too(
    server: Server, received: Collector, head: str, status: int, error: str
) -> None:
    before = len(received.spans)
    raw(server, head + CONTINUED + "X-Request-Id: mine-2\r\n")
    [span] = received.wait(before + 1)[before:]
    told = attributes(span)
    assert (span.name, told["http.response.status_code"], told["error.type"]) == ("refuse", status, error)
    if not error.startswith("LX-"):  # else not even its headers could be read
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert told["lexport.request.id"] == "mine-2"
    assert 0 <= span.end_time_unix_nano - span.start_time_unix_nano < 5e9
    assert (span.status.code == span.status.STATUS_CODE_ERROR) == (status >= 500)


def test_a_full_queue_is_seen_in_the_trace(server: Server, received: Collector) -> None:
    """Three requests arrive in one turn of the loop, and one may wait."""
    before = len(received.spans)
    head = f"POST /predictions/topics HTTP/1.1\r\nBEARER{CONTINUED}"
    raw(server, head, head, head, length=4)
    spans = received.wait(before + 3)[before:]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert sorted(span.name for span in spans) == ["predict topics", "refuse", "refuse"]
    refused = [attributes(span) for span in spans if span.name == "refuse"]
    assert {(one["http.response.status_code"], one["error.type"]) for one in refused} == {(429, "LX-HTTP-117")}


def test_a_flood_of_refused_requests_is_no_flood_of_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    from lexport.serving.embedded import tracing

    with Collector() as flooded:
        threading.Thread(target=flooded.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", flooded.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
        monkeypatch.setattr(tracing, "_SECOND", 3_600_000_000_000)
        traces = tracing.Tracing()
        for number in range(1_000):
            traces.note_refused({}, f"mine-{number}", 400, "InvalidKeyException", 0.0)
        traces.close()
        assert len(flooded.spans) == 100
        flooded.shutdown()


def test_a_caller_may_decide_that_nothing_is_traced(server: Server, received: Collector) -> None:
    before = len(received.spans)
    assert ask(server, "goal", traceparent=f"00-{TRACE}-{PARENT}-00").status_code == 200
    assert ask(server, "goal", traceparent=f"00-{TRACE}-{PARENT}-01").status_code == 200
    assert len(received.wait(before + 1)) == before + 1


def test_a_collector_that_is_not_there_keeps_nobody_waiting(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    [closed, _] = free_ports()
    server = start(archive_of("onnx-int8"), tmp_path, f"http://127.0.0.1:{closed}")
    try:
        assert all(ask(server, "goal").status_code == 200 for _ in range(20))
        began = time.monotonic()
    finally:
        stop(server.state_dir)
    assert time.monotonic() - began < 8
