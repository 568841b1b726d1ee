"""Servers of both engines behind haproxy and nginx: what is ordinary passes unchanged, floods do not reach them."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from lexport.__main__ import run
from lexport.serving import Server, serve, stop
from lexport.serving.engines import ENGINES
from lexport.serving.proxies.configuration import Limits, Proxy, parse_address
from lexport.serving.settings.addresses import Address

from .proxy_cases import KINDS, exchange, free_port, running, started, statuses

FORM = "application/x-www-form-urlencoded"
V2 = {"id": "42", "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a goal", "soup"]}]}
each = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", params=ENGINES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, task_archive: Callable[[str], Path]
) -> Iterator[Server]:
    if request.param == "torchserve":
        request.getfixturevalue("java")
    folder = tmp_path_factory.mktemp("guarded") / "state"
    server = serve([task_archive("multilabel")], engine=request.param, workers="cpu:1", state_dir=folder, port=0)
    yield server
    stop(server.state_dir)


@pytest.fixture(scope="module")
def proxy(server: Server) -> Proxy:
    """Limits short enough for a test; sizes and numbers are the usual ones."""
    upstream = parse_address(server.inference_url.removeprefix("http://"))
    return Proxy(upstream=upstream, limits=Limits(header_time=2, body_time=2, idle_time=2))


@pytest.fixture
def path(server: Server) -> str:
    return f"/predictions/{next(iter(server.models))}"


def ask(
    server: Server, address: Address, path: str, body: str | bytes, kind: str = "application/json", wait: float = 30
) -> tuple[int, str | None, bytes]:
    """Status, version header and body of an answer."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=wait)
    try:
        connection.request("POST", path, body, {"Authorization": f"Bearer {server.token()}", "Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Lexport-Version"), answer.read()
    finally:
        connection.close()


@each
def test_ordinary_requests_are_answered_byte_for_byte_as_without(
    server: Server, proxy: Proxy, path: str, kind: str, tmp_path: Path
) -> None:
    name = path.rpartition("/")[2]
    requests = [
        (path, json.dumps({"text": "a goal and 汤"}), "application/json"),
        (path, json.dumps({"texts": ["soup", "", "storm " * 2000]}), "application/json"),
        (path, "the match", "text/plain"),
        (path, "data=the+match", FORM),
        (f"/v2/models/{name}/infer", json.dumps(V2), "application/json"),
        (path, "{", "application/json"),
        (path, "", "text/plain"),
        ("/predictions/absent", "x", "text/plain"),
    ]
    with running(kind, proxy, tmp_path) as address:
        for request in requests * 2:
            direct = ask(server, proxy.upstream, *request)
            assert ask(server, address, *request) == direct
    codes = [ask(server, proxy.upstream, *request)[0] for request in requests]
    assert codes == [200, 200, 200, 200, 200, 400, 400, 404]


@each
def test_over_tls_before_the_server_of_a_state_folder(
    server: Server, proxy: Proxy, path: str, kind: str, certificate: Path, tmp_path: Path
) -> None:
    listen, config = Address("127.0.0.1", free_port()), tmp_path / "proxy.cfg"
    options = ["--state-dir", str(server.state_dir), "--tls-certificate", str(certificate), "--out", str(config)]
    options += ["--listen", f"{listen.host}:{listen.port}"]
    key = ["--tls-key", f"{certificate}.key"] if kind == "nginx" else []
    assert run(["generate", kind, *options, *key]) == 0
    trusting = ssl.create_default_context(cafile=certificate)
    with started(kind, listen, tmp_path):
        connection = http.client.HTTPSConnection(listen.host, listen.port, timeout=30, context=trusting)
        try:
            for body in ('{"text": "a goal and 汤"}', '{"text": 1}'):
                headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "application/json"}
                connection.request("POST", path, body.encode(), headers)
                answer = connection.getresponse()
                found = (answer.status, answer.getheader("Lexport-Version"), answer.read())
                assert found == ask(server, proxy.upstream, path, body.encode())
        finally:
            connection.close()


@each
def test_what_clients_of_the_open_inference_protocol_ask_passes(
    server: Server, proxy: Proxy, path: str, kind: str, tmp_path: Path
) -> None:
    """TorchServe has none of it, and says so itself."""
    name = path.rpartition("/")[2]
    headers = {"Authorization": f"Bearer {server.token()}"}
    with running(kind, proxy, tmp_path) as address:
        for target in ("/v2", "/v2/health/ready", f"/v2/models/{name}", f"/v2/models/{name}/versions/1.0/ready"):
            answers = []
            for where in (proxy.upstream, address):
                url = f"http://{where.host}:{where.port}{target}"
                answer = httpx.get(url, headers=headers, trust_env=False)
                answers.append((answer.status_code, answer.content))
            assert answers[0] == answers[1]
            assert (answers[0][0] == 200) == (server.engine == "embedded")


@each
def test_a_flood_of_forms_is_refused_at_once(
    server: Server, proxy: Proxy, path: str, kind: str, tmp_path: Path
) -> None:
    """Six bodies of 1.6 million fields: without a proxy they stop TorchServe for over a minute, and nobody else."""
    flood = b"data=x" + b"&a=" * 1_600_000
    memory = _memory(server)
    found: list[tuple[int, float]] = []

    def send(body: bytes) -> None:
        began = time.monotonic()
        answer = exchange(address, _request(server, path, body))
        found.append((statuses(answer)[0], time.monotonic() - began))

    with running(kind, proxy, tmp_path) as address:
        threads = [threading.Thread(target=send, args=(flood,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        slowest = _slowest(lambda: ask(server, address, path, "rain", "text/plain"), threads)
        assert [status for status, _ in found] == [413] * 6
        # Generous: each takes a few hundredths of a second on an idle machine.
        assert max(seconds for _, seconds in found) < 10
        assert slowest < 10
        assert _memory(server) < memory + 200e6

        longest = b"data=x" + b"&a" * ((proxy.limits.form - 6) // 2)
        threads = [threading.Thread(target=ask, args=(server, address, path, longest, FORM)) for _ in range(6)]
        for thread in threads:
            thread.start()
        assert _slowest(lambda: ask(server, address, path, "rain", "text/plain"), threads) < 20


def _memory(server: Server) -> int:
    """Bytes of the process that reads requests."""
    return int(_reader(server).memory_info().rss)


def _reader(server: Server) -> psutil.Process:
    """Java, or the process that answers."""
    process = psutil.Process(server.pid)
    return process if server.engine == "torchserve" else process.children()[0]


def _request(server: Server, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token()}\r\nContent-Type: {FORM}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _slowest(request: Callable[[], tuple[int, object, object]], threads: Sequence[threading.Thread]) -> float:
    """Repeat a request until the threads have ended; seconds of the slowest. Each must be answered with 200."""
    slowest = 0.0
    while True:
        alive = any(thread.is_alive() for thread in threads)
        began = time.monotonic()
        assert request()[0] == 200
        slowest = max(slowest, time.monotonic() - began)
        if not alive:
            return slowest


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open the sockets of a flood."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        pytest.skip(f"this process may open {hard} files at most; the flood and the proxy need 8,192")
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.long
@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("addresses", [1, 30], ids=["one address", "30 addresses"])
@each
def test_idle_and_slow_connections_lock_nobody_out(
    server: Server, proxy: Proxy, path: str, kind: str, addresses: int, tmp_path: Path
) -> None:
    """1,200 connections that send nothing and 100 that send half a header or half a body."""
    reader = _reader(server)
    at_rest = _connections(reader, proxy)
    halves = [b"POST /predic", _request(server, path, b"x" * 100)[:-50]]
    with running(kind, proxy, tmp_path) as address, ExitStack() as stack:
        clients = []
        for number in range(1300):
            client = stack.enter_context(socket.socket())
            client.bind((f"127.0.1.{1 + number % addresses}", 0))
            client.settimeout(1)
            with suppress(OSError):  # refused, or waiting for a place
                client.connect((address.host, address.port))
                if number % 13 == 12:
                    client.sendall(halves[number % 2])
            clients.append(client)
        began = time.monotonic()
        assert ask(server, address, path, "rain", "text/plain")[0] == 200
        # At worst somebody waits until the idle ones have had their time.
        assert time.monotonic() - began < 2 * proxy.limits.header_time + 3
        assert _connections(reader, proxy) - at_rest < 10
        deadline = time.monotonic() + 20
        while not all(map(_closed, clients)):
            assert time.monotonic() < deadline, "connections stay open"
            time.sleep(0.2)
        assert ask(server, address, path, "rain", "text/plain")[0] == 200


def _connections(reader: psutil.Process, proxy: Proxy) -> int:
    """How many clients the server has."""
    ports = [
        connection.laddr.port for connection in reader.net_connections("tcp") if connection.status == "ESTABLISHED"
    ]
    return ports.count(proxy.upstream.port)


def _closed(client: socket.socket) -> bool:
    """Whether the other side has closed a connection, after an answer or without one."""
    client.setblocking(False)
    try:
        while client.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
