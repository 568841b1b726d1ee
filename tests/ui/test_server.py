"""The server of `lexport ui`, over real connections, and its command."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lexport.errors import SystemProblem
from lexport.ui.server import HOST, Server

from ..cli.conftest import Place, place  # noqa: F401
from ..refusals import refused
from .conftest import Visitor


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder, 0)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def ask(address: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request(method, parts.path, body, headers)
    with connection.getresponse() as reply:
        found = reply.status, dict(reply.getheaders()), reply.read()
    connection.close()
    return found


def test_pages_and_answers_over_a_connection(server: Server) -> None:
    status, headers, content = ask(server.address)
    assert (status, headers["Cache-Control"], headers["Referrer-Policy"]) == (200, "no-store", "no-referrer")
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    )
    links = re.findall(r'href="(item/\w+)"', content.decode())
    for link in links:
        status, headers, content = ask(server.address + link)
        assert status == 200
        [nonce] = re.findall(r"script-src 'nonce-([\w-]+)'", headers["Content-Security-Policy"])
        assert content.decode().count(f'<script nonce="{nonce}">') == 1
        body = json.dumps({"text": "the goal"}).encode()
        status, headers, content = ask(server.address + link.replace("item", "answer"), "POST", body)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(content)["answers"]
    assert ask(server.address, "HEAD")[2] == b""


def test_other_hosts_are_refused_over_a_connection(server: Server) -> None:
    assert ask(server.address, Host="evil.example")[0] == 403
    assert ask(server.address.replace(server.site.token, "x"))[0] == 404


@pytest.mark.parametrize("length", ["1000001", "-1", "x", "9" * 30])
def test_a_body_that_is_too_long_is_refused_before_it_is_read(server: Server, length: str) -> None:
    parts = urlsplit(server.address)
    with socket.create_connection((HOST, server.server_address[1]), timeout=30) as link:
        link.sendall(
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        assert link.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_port_in_use_is_named(server: Server, folder: Path) -> None:
    port = server.server_address[1]
    with refused(SystemProblem, "LX-UI-005", port, "--port 0"):
        Server(folder, port)


def test_the_command_prints_its_address_and_a_port_in_use_exits_3(place: Place) -> None:  # noqa: F811
    first = place.start("ui", "--port", "0")
    assert first.stdout is not None
    address = first.stdout.readline().split()[0]
    assert urlsplit(address).hostname == HOST
    assert ask(address)[0] == 200
    second = place.console("ui", "--port", str(urlsplit(address).port))
    assert (second.code, second.error[0]) == (3, "LX-UI-005")
    assert place.console("ui", "absent").error[0] == "LX-UI-006"
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    first.stdout.close()
    assert first.stderr is not None
    first.stderr.close()


def test_nothing_in_the_folder_is_changed(visitor: Visitor, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for address in visitor.links().values():
        visitor.page(address)
        visitor.ask(address.replace("item", "evaluation"))
        visitor.answer(address.removeprefix("item/"), text="the goal")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
