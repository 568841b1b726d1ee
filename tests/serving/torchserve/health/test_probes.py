"""The port that answers probes, and what it says of a server whose TorchServe is a program of a line."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lexport.errors import InputError, SystemProblem
from lexport.serving import Server, launch, running
from lexport.serving.folders import fresh_logs, make_private
from lexport.serving.process import end
from lexport.serving.settings.addresses import Address, option_address
from lexport.serving.settings.environment import server_environment
from lexport.serving.settings.files import read_settings
from lexport.serving.torchserve import http as api
from lexport.serving.torchserve.engine import run
from lexport.serving.torchserve.health.probes import HealthEndpoint

from ....refusals import refused
from ...proxies.proxy_cases import free_port
from ...test_state import server as described
from ..test_supervisor import LASTS, PLAN, until


class Said:
    """A check that says what it is told to, and counts."""

    def __init__(self) -> None:
        self.words = ""
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return self.words


@pytest.fixture(scope="module")
def said() -> Said:
    return Said()


@pytest.fixture(scope="module")
def port(said: Said) -> int:
    number = free_port()
    HealthEndpoint("127.0.0.1", number, {"/readyz": said})
    return number


def exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_what_is_so_is_200_and_what_is_not_503_with_the_reason(port: int, said: Said) -> None:
    time.sleep(1.1)
    said.words = ""
    assert api.request("GET", f"http://127.0.0.1:{port}", "/readyz?verbose", token="") == (200, {"status": "ok"})
    time.sleep(1.1)
    said.words = 'no "worker"'
    answer = exchange(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b'\r\n\r\n{"status": "no \\"worker\\""}')
    head = exchange(port, b"HEAD /readyz HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert head.endswith(b"\r\n\r\n")


def test_it_is_looked_once_a_second_at_most(port: int, said: Said) -> None:
    time.sleep(1.1)
    before = said.asked
    for _ in range(20):
        exchange(port, b"GET /readyz HTTP/1.1\r\n\r\n")
    assert said.asked - before in (1, 2)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /models HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /readyz/ HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /readyz HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /readyz\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", b"400"),
    ],
    ids=["another path", "a slash more", "another method", "HTTP/0.9", "TLS", "too long"],
)
def test_nothing_else_is_answered(port: int, request_bytes: bytes, status: bytes) -> None:
    try:
        assert exchange(port, request_bytes).split(b" ", 2)[1] == status
    except ConnectionResetError:  # what it did not read of the long one
        assert len(request_bytes) > 8192


def test_slow_clients_are_closed_and_keep_nobody_waiting(port: int) -> None:
    began = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(10)]
    for client in slow:
        client.sendall(b"GET /rea")
    assert exchange(port, b"GET /readyz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 ")
    assert time.monotonic() - began < 1.5
    for client in slow:
        with client:
            assert client.recv(1) == b""
    assert time.monotonic() - began < 8


def test_a_port_in_use_is_said(port: int) -> None:
    with refused(SystemProblem, "LX-SERVE-067", f"127.0.0.1:{port}", "--health"):
        HealthEndpoint("127.0.0.1", port, {})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8083", Address("127.0.0.1", 8083)),
        ("0.0.0.0:8083", Address("0.0.0.0", 8083)),
        ("0", Address("127.0.0.1", 0)),
    ],
)
def test_an_address_or_a_port_alone(text: str, address: Address) -> None:
    assert option_address(text, "--health") == address


@pytest.mark.parametrize("text", ["", "yes", "65535", "host:", "127.0.0.1:8083/livez", "[::1]:8083"])
def test_what_is_no_address_is_said(text: str) -> None:
    with refused(InputError, "LX-SERVE-062"):
        option_address(text, "--health")


@pytest.fixture
def probed(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A supervisor that answers probes, above a program that listens nowhere."""
    folder, endpoint = tmp_path / "state", Address("127.0.0.1", free_port())
    make_private(folder)
    fresh_logs(folder)
    # With an id of its own: other tests end all processes of theirs.
    server = replace(described(folder), id=secrets.token_hex(16), authorized=False)
    environment = server_environment(os.environ, (), folder, server.id, PLAN, read_settings())
    try:
        made = run(server, LASTS, environment, None, bound=False, health=endpoint)
        launch.keep(made, bound=False)
        yield made, endpoint.url
    finally:
        end(server.id, patience=0.0)


def test_a_server_lives_while_it_starts_and_while_it_is_started_again(probed: tuple[Server, str]) -> None:
    server, url = probed
    assert api.request("GET", url, "/livez", token="") == (200, {"status": "ok"})
    assert api.request("GET", url, "/readyz", token="") == (503, {"status": "TorchServe does not answer"})
    psutil.Process(server.pid).kill()
    until(lambda: running(server.state_dir).restarts == 1)
    assert api.request("GET", url, "/livez", token="") == (200, {"status": "ok"})
    psutil.Process(server.supervisor).kill()
    with pytest.raises(OSError, match=r"refused|reset|disconnected"):
        api.request("GET", url, "/livez", token="")
