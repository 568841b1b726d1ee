"""A client of many connections, each of which asks as soon as it has its answer, in one thread of Python."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

PATIENCE = 20  # seconds until a server must answer


@dataclass(frozen=True)
class Cell:
    """What one server did for so many connections."""

    rate: float
    """Requests a second, without those that were answered with an error."""
    median: float
    """Milliseconds from a request to its answer."""
    p99: float
    """Of a hundred requests, one takes longer, in milliseconds."""
    cpu: float
    """Processor time of the server's processes, in microseconds a request."""
    refused: float = 0.0
    """Percentage of the requests that were answered with an error."""
    client: float = 0.0
    """Processor time of the client, in microseconds a request."""


def load(
    address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float, process: psutil.Process
) -> Cell:
    """Ask over so many connections, each as soon as it has its answer; `process` is the server's."""
    watched = select.epoll()
    clients: dict[int, socket.socket] = {}
    began: dict[int, float] = {}
    try:
        for place in range(connections):
            client = socket.create_connection(address, PATIENCE)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            clients[client.fileno()] = client
            watched.register(client, select.EPOLLIN)
            began[client.fileno()] = time.perf_counter()
            client.sendall(requests[place % len(requests)])
        _turns(watched, clients, began, requests, min(1.0, seconds / 3))
        before, own = spent(process), time.process_time()
        started = time.perf_counter()
        took = _turns(watched, clients, began, requests, seconds)
        passed, own, after = time.perf_counter() - started, time.process_time() - own, spent(process)
    finally:
        for client in clients.values():
            client.close()
        watched.close()
    took.sort()
    count = len(took)
    return Cell(
        count / passed,
        took[count // 2] * 1e3,
        took[count * 99 // 100] * 1e3,
        (after - before) / count * 1e6,
        client=own / count * 1e6,
    )


def _turns(
    watched: select.epoll,
    clients: dict[int, socket.socket],
    began: dict[int, float],
    requests: Sequence[bytes],
    seconds: float,
) -> list[float]:
    """Seconds from each request to its answer, for so many seconds. Raises SystemExit for any but 200."""
    took: list[float] = []
    clock, number, ends = time.perf_counter, 0, time.perf_counter() + seconds
    while (now := clock()) < ends:
        for place, _ in watched.poll(PATIENCE):
            client = clients[place]
            receive(client)
            now = clock()
            took.append(now - began[place])
            began[place] = now
            number += 1
            client.sendall(requests[number % len(requests)])
    return took


def receive(client: socket.socket) -> None:
    """Read one answer. Raises SystemExit for any but 200, or where the connection is closed before its end."""
    answer = client.recv(1 << 16)
    while not whole(answer):
        more = client.recv(1 << 16)
        if not more:
            raise SystemExit(f"the connection was closed in the middle of an answer: {answer!r}")
        answer += more


def whole(answer: bytes) -> bool:
    """Whether an answer of a known length is all here. Raises SystemExit for any but 200."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"expected 200: {answer[:200]!r}")
    head = answer[:end].lower()
    place = head.index(b"content-length:") + 15
    return len(answer) >= end + 4 + int(head[place:].split(b"\r", 1)[0])


def spent(process: psutil.Process) -> float:
    """Processor time of a process and those that it started, in seconds."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return sum(one.user + one.system for one in times)
