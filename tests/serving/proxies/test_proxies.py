"""haproxy and nginx with the generated configurations, before a backend that records every byte.

`test_guarded.py` has them before the real TorchServe.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lexport.serving.proxies.configuration import Limits, Proxy
from lexport.serving.proxies.rules import UPSTREAM_CONNECTIONS
from lexport.serving.settings.addresses import Address

from .proxy_cases import KINDS, SHORT, Recorder, contents, exchange, proxied, running, statuses
from .proxy_requests import BODY, POST, cases

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Address, Recorder]]]:
    """By kind, a proxy with short limits and the recorder behind it, started when first asked for."""
    with ExitStack() as stack:
        started: dict[str, tuple[Address, Recorder]] = {}

        def start(kind: str) -> tuple[Address, Recorder]:
            if kind not in started:
                started[kind] = stack.enter_context(proxied(kind, SHORT, tmp_path_factory.mktemp(kind)))
            started[kind][1].taken()
            return started[kind]

        yield start


Before = Callable[[str], tuple[Address, Recorder]]
each = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(("kind", "data", "status", "reached"), cases())
def test_a_request_arrives_in_normal_form_or_not_at_all(
    before: Before, kind: str, data: bytes, status: int, reached: list[tuple[bytes, bytes]]
) -> None:
    address, recorder = before(kind)
    answer = exchange(address, data, pause=0.05 if len(reached) < 2 else 0.5)
    # A part that was no request of its own may be refused behind the answer.
    assert statuses(answer)[: len(reached) or 1] == [status] * (len(reached) or 1)
    assert [contents(one) for one in recorder.taken()] == reached
    if status != 200:
        head, _, body = answer.partition(b"\r\n\r\n")
        # What is no HTTP at all haproxy answers with a page that cannot be changed.
        assert b"application/json" in head or (kind == "haproxy" and status in (400, 422))
        if b"application/json" in head:
            assert json.JSONDecoder().raw_decode(body.decode())[0].keys() == {"error", "expected"}


@each
def test_http_0_9_is_not_answered_by_the_backend(before: Before, kind: str) -> None:
    address, recorder = before(kind)
    assert b"ok" not in exchange(address, b"GET /ping\r\n\r\n")
    assert recorder.taken() == []


@each
@pytest.mark.parametrize("header", [b"", b"Content-Type: application/json\r\n"])
def test_the_longest_body_passes_whole_and_one_byte_more_is_refused(before: Before, kind: str, header: bytes) -> None:
    address, recorder = before(kind)
    for length, status in ((SHORT.body, 200), (SHORT.body + 1, 413)):
        body = bytes(97 + place % 26 for place in range(length))
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts(body, 5000)) + b"0\r\n\r\n"
        plain = POST + header + b"Content-Length: %d\r\n\r\n" % length + body
        for data in (plain, POST + header + b"Transfer-Encoding: chunked\r\n\r\n" + chunks):
            assert statuses(exchange(address, data)) == [status]
            assert [contents(one)[1] for one in recorder.taken()] == ([body] if status == 200 else [])


def parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@each
@pytest.mark.parametrize(
    "kinds",
    [
        [b"application/x-www-form-urlencoded"],
        [b"APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8"],
        [b"multipart/form-data; boundary=b"],
        [b"application/x-www-form-urlencoded", b"text/plain"],
    ],
    ids=["urlencoded", "capitals", "multipart", "two content types"],
)
def test_a_form_may_be_short_alone(before: Before, kind: str, kinds: list[bytes]) -> None:
    address, recorder = before(kind)
    header = POST + b"".join(b"Content-Type: %s\r\n" % one for one in kinds)
    for length, status in ((SHORT.form, 200), (SHORT.form + 1, 413)):
        body = b"a" * length
        plain = b"Content-Length: %d\r\n\r\n%s" % (length, body)
        chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (length, body)
        for data in (header + plain, header + chunked):
            assert statuses(exchange(address, data)) == [status]
            assert [contents(one)[1] for one in recorder.taken()] == ([body] if status == 200 else [])


@each
def test_a_form_behind_another_content_type_arrives_as_no_form(before: Before, kind: str) -> None:
    """haproxy refuses it for its length; nginx passes the first content type on, which is all TorchServe looks at."""
    address, recorder = before(kind)
    length = SHORT.form + 1
    data = POST + b"Content-Type: text/plain\r\n" + FORM + b"Content-Length: %d\r\n\r\n" % length + b"a" * length
    assert statuses(exchange(address, data)) == [413 if kind == "haproxy" else 200]
    assert all(b"urlencoded" not in one for one in recorder.taken())


@each
def test_slow_requests_never_reach_the_backend_and_are_closed(before: Before, kind: str) -> None:
    address, recorder = before(kind)
    sent = (
        b"",
        b"POST /pre",
        POST + b"X-Half",
        POST + b"Content-Length: 2\r\n\r\nh",
        POST + b"Content-Length: 100000\r\n\r\n" + b"a" * 50_000,
    )
    with ExitStack() as stack:
        clients = []
        for data in sent:
            client = stack.enter_context(socket.create_connection((address.host, address.port), 5))
            client.sendall(data)
            clients.append(client)
        began = time.monotonic()
        for client in clients:
            client.settimeout(4)
            while client.recv(1 << 16):  # an answer of 408, perhaps, then the end
                pass
        assert 0.5 < time.monotonic() - began < 4
    assert recorder.reached == 0


@each
def test_a_body_that_never_ends_does_not_reach_the_backend(before: Before, kind: str) -> None:
    """haproxy gives the whole body its time, nginx each part of it."""
    address, recorder = before(kind)
    with socket.create_connection((address.host, address.port), 5) as client:
        client.sendall(POST + b"Content-Length: 1000\r\n\r\n")
        answer = b""
        client.settimeout(0.2)
        for _ in range(15):  # three times the whole body's time
            with suppress(OSError):
                client.sendall(b"a")
            with suppress(TimeoutError):
                answer = client.recv(1000)
                break
        assert statuses(answer) == ([408] if kind == "haproxy" else [])
        assert recorder.reached == 0


@each
def test_a_body_that_comes_in_pieces_arrives_in_one(before: Before, kind: str) -> None:
    address, recorder = before(kind)
    with socket.create_connection((address.host, address.port), 5) as client:
        client.sendall(POST + b"Content-Length: 100000\r\n\r\n")
        for part in parts(b"a" * 100_000, 25_000):
            time.sleep(0.1)
            assert recorder.reached == 0
            client.sendall(part)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert [len(contents(one)[1]) for one in recorder.taken()] == [100_000]


@each
def test_an_idle_connection_is_closed_after_its_time(before: Before, kind: str) -> None:
    address, _ = before(kind)
    with socket.create_connection((address.host, address.port), 5) as client:
        client.sendall(POST + BODY)
        assert client.recv(1000).endswith(b"ok")
        client.sendall(POST + BODY)
        assert client.recv(1000).endswith(b"ok")
        began = time.monotonic()
        assert client.recv(1000) == b""
        assert 0.5 < time.monotonic() - began < 4


@each
def test_a_slow_answer_is_waited_for(kind: str, tmp_path: Path) -> None:
    with proxied(kind, SHORT, tmp_path, delay=2.5) as (address, _):
        assert exchange(address, POST + BODY).endswith(b"ok")


@each
def test_who_does_not_read_the_answer_is_closed(kind: str, tmp_path: Path) -> None:
    length = 16_000_000
    with (
        proxied(kind, SHORT, tmp_path, length=length) as (address, _),
        socket.create_connection((address.host, address.port), 5) as client,
    ):
        client.sendall(POST + BODY)
        time.sleep(4)
        read = 0
        with suppress(ConnectionError):
            while part := client.recv(1 << 20):
                read += len(part)
        assert read < length


@each
def test_who_asks_first_may_go_on_and_the_backend_is_not_asked(before: Before, kind: str) -> None:
    address, recorder = before(kind)
    with socket.create_connection((address.host, address.port), 5) as client:
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert statuses(client.recv(1000)) == [100]
        client.sendall(b"hi")
        assert statuses(client.recv(1000)) == [200]
    [request] = recorder.taken()
    assert b"expect" not in request.lower()


@each
def test_one_address_has_its_share_and_others_are_answered(kind: str, tmp_path: Path) -> None:
    limits = replace(SHORT, per_address=4, body_time=10, header_time=10)
    with proxied(kind, limits, tmp_path) as (address, _), ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.create_connection((address.host, address.port), 5, ("127.0.0.2", 0)))
            client.sendall(POST + b"Content-Length: 9\r\n\r\n")
        time.sleep(0.2)
        refused = exchange(address, POST + BODY, source="127.0.0.2")
        assert statuses(refused) == [429]
        assert b"\r\nretry-after: 1\r\n" in refused.lower()
        assert statuses(exchange(address, POST + BODY, source="127.0.0.3")) == [200]


@each
def test_a_backend_that_is_down_is_said_with_a_time_to_come_back(kind: str, tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.close()
    with running(kind, Proxy(upstream=recorder.address, limits=SHORT), tmp_path) as address:
        answer = exchange(address, POST + BODY)
    assert statuses(answer) == [503]
    assert b"\r\nretry-after: 1\r\n" in answer.lower()
    assert b'"error": "The ' in answer


@each
def test_more_requests_than_the_backend_takes_wait_or_are_told_to_come_back(kind: str, tmp_path: Path) -> None:
    more = UPSTREAM_CONNECTIONS + 20
    limits = Limits(per_address=more, connections=2 * more)
    with proxied(kind, limits, tmp_path, delay=2.0) as (address, _), ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((address.host, address.port), 20)) for _ in range(more)
        ]
        for client in clients:
            client.sendall(POST + BODY)
        answers = [client.recv(4096) for client in clients]
    refused = [answer for answer in answers if statuses(answer) == [503]]
    assert all(statuses(answer) == [200] for answer in answers if answer not in refused)
    assert len(refused) == (0 if kind == "haproxy" else 20)
    assert all(b"\r\nRetry-After: 1\r\n" in answer for answer in refused)


@each
def test_neither_texts_nor_versions_are_told(kind: str, tmp_path: Path) -> None:
    with proxied(kind, SHORT, tmp_path) as (address, _):
        private = b"a private sentence"
        for header in (b"", FORM):
            answer = exchange(address, POST + header + b"Content-Length: %d\r\n\r\n" % len(private) + private)
            assert statuses(answer) == [200]
            assert b"secret" not in answer
            assert b"nginx/" not in answer
        exchange(address, POST + FORM + b"Content-Length: 5000\r\n\r\n" + private * 300)
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(private in one for one in kept)


@each
def test_metrics_are_passed_on_when_asked_for(kind: str, tmp_path: Path) -> None:
    metrics = Recorder()
    with proxied(kind, SHORT, tmp_path, metrics=metrics.address) as (address, recorder):
        assert statuses(exchange(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")) == [200]
        assert recorder.taken() == []
    assert [contents(one) for one in metrics.taken()] == [(b"GET /metrics", b"")]
    metrics.close()
