"""Real proxies on free ports, a backend that records every byte, and a client that sends whatever it is told."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lexport.serving.proxies.configuration import Limits, Proxy, proxy_configuration
from lexport.serving.settings.addresses import Address

KINDS = ("haproxy", "nginx")
SHORT = Limits(body=1 << 18, form=1 << 12, header_time=1, body_time=1, idle_time=1)
HEALTH = b"GET /ping HTTP/1.1\r\nhost: models\r\n"
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.[01]")
_FIELD = re.compile(rb"(" + _TOKEN + rb"): ?([\x20-\x7e\x80-\xff\t]*)")


def program(kind: str) -> str:
    """The proxy's program; skips where it is not installed."""
    path = shutil.which(kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{kind} is not installed; Debian's package has that name")
    return path


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def command(kind: str, folder: Path, *, check: bool = False) -> list[str]:
    """What runs the proxy of the configuration `folder/proxy.cfg` as the current user, or checks that file."""
    configuration = str(folder / "proxy.cfg")
    if kind == "haproxy":
        return [program(kind), "-c", "-f", configuration] if check else [program(kind), "-db", "-f", configuration]
    # Started by root, nginx changes to a user who cannot look into the test's folder.
    user = ["-g", f"user {getpass.getuser()};"] if os.geteuid() == 0 else []
    return [program(kind), "-p", str(folder), *user, "-c", configuration, *(["-t"] if check else [])]


@contextmanager
def running(kind: str, proxy: Proxy, folder: Path) -> Iterator[Address]:
    """The proxy, listening on a free port; ended afterwards."""
    listen = Address("127.0.0.1", free_port())
    (folder / "proxy.cfg").write_text(proxy_configuration(kind, replace(proxy, listen=listen)))
    with started(kind, listen, folder):
        yield listen


@contextmanager
def started(kind: str, listen: Address, folder: Path) -> Iterator[None]:
    """The proxy of the configuration `folder/proxy.cfg`, which listens there; ended afterwards."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(kind, folder), stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: process.poll() is not None or _accepts(listen))
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)


def _accepts(address: Address) -> bool:
    with suppress(OSError), socket.create_connection((address.host, address.port), 1):
        return True
    return False


class Malformed(Exception):
    """Bytes that are not one request after another in HTTP's normal form."""


def split(sent: bytes) -> list[bytes]:
    """The requests in the bytes of a connection, each with its body.

    Raises Malformed for what two servers may read differently: line ends other than CRLF, spaces before a colon,
    folded lines, several or strange lengths, a length beside chunks, incomplete requests.
    """
    requests = []
    rest = sent
    while rest:
        head, ended, after = rest.partition(b"\r\n\r\n")
        if not ended:
            raise Malformed(f"no end of the header: {rest!r}")
        first, *lines = head.split(b"\r\n")
        fields = [_FIELD.fullmatch(line) for line in lines]
        if not _REQUEST_LINE.fullmatch(first) or not all(fields):
            raise Malformed(f"not in normal form: {head!r}")
        named = [(match[1].lower(), match[2]) for match in fields if match]
        lengths = [value for name, value in named if name == b"content-length"]
        hosts = [name for name, _ in named].count(b"host")
        encodings = [value.lower() for name, value in named if name == b"transfer-encoding"]
        if len(lengths) + len(encodings) > 1 or hosts > 1 or (hosts == 0 and first.endswith(b"1.1")):
            raise Malformed(f"ambiguous: {head!r}")
        if encodings:
            size = _chunked(after) if encodings == [b"chunked"] else None
        else:
            size = int((lengths or [b"0"])[0]) if re.fullmatch(rb"[0-9]+", (lengths or [b"0"])[0]) else None
        if size is None or size > len(after):
            raise Malformed(f"no complete body: {rest!r}")
        requests.append(rest[: len(rest) - len(after) + size])
        rest = after[size:]
    return requests


def _chunked(data: bytes) -> int | None:
    """The length of a chunked body with its trailers, or None if it is not a complete one."""
    position = 0
    while match := re.match(rb"([0-9a-fA-F]+)\r\n", data[position:]):
        position += match.end()
        size = int(match[1], 16)
        if size == 0:
            trailers = re.match(rb"(?:" + _FIELD.pattern + rb"\r\n)*\r\n", data[position:])
            return position + trailers.end() if trailers else None
        position += size + 2
        if data[position - 2 : position] != b"\r\n":
            return None
    return None


def contents(request: bytes) -> tuple[bytes, bytes]:
    """Method and path of a request, and its body as its reader has it."""
    head, _, body = request.partition(b"\r\n\r\n")
    if b"transfer-encoding:" in head.lower():
        whole = b""
        while size := int(body.partition(b"\r\n")[0], 16):
            body = body.partition(b"\r\n")[2]
            whole, body = whole + body[:size], body[size + 2 :]
        body = whole
    return head.partition(b" HTTP/")[0], body


class Recorder:
    """A backend that answers each request with 200 and keeps every byte of every connection."""

    def __init__(self, delay: float = 0.0, length: int = 2) -> None:
        """Answer after `delay` seconds with a body of `length` bytes that ends with `ok`."""
        self.delay = delay
        self.body = b"ok".rjust(length)
        self._received: list[bytearray] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._socket.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            received = bytearray()
            while part := connection.recv(1 << 20):
                if not received:
                    self._received.append(received)
                received += part
                try:
                    whole = split(bytes(received))
                except Malformed:
                    continue  # perhaps not all of it is here yet
                received = bytearray()  # the next requests of a kept connection are an entry of their own
                for request in whole:
                    time.sleep(self.delay)
                    answer = b"HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nContent-Length: %d\r\n\r\n" % len(self.body)
                    connection.sendall(answer + (b"" if request.startswith(b"HEAD") else self.body))

    @property
    def reached(self) -> int:
        """The bytes that came since `taken`, without haproxy's question for the backend's health."""
        return sum(len(one) for one in list(self._received) if HEALTH not in one)

    def taken(self) -> list[bytes]:
        """The requests since the last call, without haproxy's question for the backend's health. Raises Malformed."""
        received = [bytes(one) for one in self._received]
        self._received.clear()
        return [one for bytes_ in received for one in split(bytes_) if HEALTH not in one]

    def close(self) -> None:
        # Unlike close(), this wakes the thread that accepts.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._accepting.join(10)


def exchange(address: Address, data: bytes, *, pause: float = 0.05, source: str = "127.0.0.1") -> bytes:
    """Send bytes and return what comes back within 5 seconds, until a pause of so many seconds or the end."""
    got = bytearray()
    with socket.create_connection((address.host, address.port), 10, (source, 0)) as client:
        with suppress(ConnectionError):  # refused while it was being sent
            client.sendall(data)
        client.settimeout(5)
        with suppress(TimeoutError, ConnectionError):
            while part := client.recv(1 << 16):
                got += part
                client.settimeout(pause)
    return bytes(got)


def statuses(answer: bytes) -> list[int]:
    """The status codes of the answers in the bytes of a connection."""
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] ([0-9]{3})", answer)]


@contextmanager
def proxied(kind: str, limits: Limits, folder: Path, **more: Any) -> Iterator[tuple[Address, Recorder]]:
    """A proxy and the recorder behind it; `more` goes to Recorder and Proxy."""
    recorder = Recorder(more.pop("delay", 0.0), more.pop("length", 2))
    try:
        with running(kind, Proxy(upstream=recorder.address, limits=limits, **more), folder) as address:
            yield address, recorder
    finally:
        recorder.close()
