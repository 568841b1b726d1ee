"""A load of closed loops over keep-alive connections that says how each single request ended.

Each connection sends a request, waits for its answer and sends the next one; after anything but an answer it waits a
tenth of a second first. HTTP is written to and read from the socket here, because a client library retries, or hides
whether a request had been sent when its connection broke.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 10.0  # seconds of one request, its connection included
PAUSE = 0.1  # seconds after a request that was not answered
TOLERANCE = 1e-5  # between scores of one text in batches of different sizes
WINDOW, STEADY, STEP = 1.0, 3.0, 0.1  # seconds

_LENGTH = re.compile(rb"\r\ncontent-length:\s*([0-9]+)\s*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:\s*close\s*\r\n", re.IGNORECASE)
_LONGEST_KIND = 120  # characters


class End(StrEnum):
    """How a request ended; each request ends in one of these ways."""

    ANSWERED = "answered"
    """With status 200 and JSON."""
    NAMED = "named error"
    """With a status of 400 or more and JSON."""
    LOST = "lost"
    """The connection broke after the request was sent, or what came back cannot be read."""
    TIMED_OUT = "timed out"
    """Sent, and nothing came back in time."""
    NOT_SENT = "not sent"
    """No connection could be opened: whoever asks knows that the request was not handled."""


@dataclass(frozen=True)
class Ended:
    """One request; times in seconds on the clock of `time.monotonic`."""

    began: float
    ended: float
    end: End
    kind: str = ""
    """What sort of error; for an answer "" or that it is wrong."""


WRONG = "not the answer from before the fault"


class Load:
    """`connections` closed loops that ask the model at `url` about `texts`, one after the other.

    A connection is used for `per_connection` requests and then opened again; 0 keeps it as long as the server does.
    """

    def __init__(
        self, url: str, model: str, token: str, texts: Sequence[str], *, connections: int, per_connection: int = 0
    ) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.connections, self.per_connection = connections, per_connection
        self.ended: list[Ended] = []
        self._requests = [_request(parts.netloc, model, token, text) for text in texts]
        self._known: list[set[bytes]] = [set() for _ in texts]  # right answers, as bytes
        self._expected: list[Any] = []

    async def learn(self) -> None:
        """Ask every text once and remember the answers as the right ones.

        Raises ValueError if one is not answered.
        """
        connection = _Connection(self.host, self.port)
        try:
            for request in self._requests:
                await connection.open()
                status, body = await connection.ask(request)
                if status != 200:
                    raise ValueError(f"The server answered {status} before the fault: {body[:300]!r}")
                self._expected.append(json.loads(body))
        finally:
            connection.close()

    async def run(self, over: asyncio.Event) -> None:
        """Send requests until `over` is set; those under way are waited for. `ended` grows meanwhile."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.connections):
                group.create_task(self._loop(number, over))

    def counts(self) -> dict[str, int]:
        """Requests sent, the number of each end, and the wrong ones among the answers."""
        ends = Counter(one.end for one in self.ended)
        counts = {"sent": len(self.ended) - ends[End.NOT_SENT]} | {end.value: ends[end] for end in End}
        return counts | {"wrong": sum(one.kind == WRONG for one in self.ended)}

    def kinds(self) -> list[tuple[str, str, int]]:
        """(end, kind, number) of everything but right answers, the most frequent first."""
        found = Counter((one.end.value, one.kind) for one in self.ended if one.kind)
        return [(end, kind, count) for (end, kind), count in found.most_common()]

    def longest(self) -> float:
        """Seconds of the request that took longest, whatever its end."""
        return max((one.ended - one.began for one in self.ended), default=0.0)

    def rate(self, since: float, until: float) -> float:
        """Answers a second between two times."""
        return sum(one.end is End.ANSWERED and since <= one.ended < until for one in self.ended) / (until - since)

    def first_answer(self, moment: float) -> float | None:
        """Seconds from `moment` to the first answer to a request that began after it; None if there is none."""
        times = [one.ended - moment for one in self.ended if one.end is End.ANSWERED and one.began >= moment]
        return min(times, default=None)

    def steady_again(self, moment: float, rate: float) -> float | None:
        """Seconds from `moment` until `rate` answers a second are reached and kept for three seconds; None if never.

        The rate is looked at in windows of one second, ten of which begin each second.
        """
        answered = sorted(one.ended for one in self.ended if one.end is End.ANSWERED and one.ended >= moment)
        windows = int((time.monotonic() - moment - WINDOW) / STEP) + 1
        kept = 0
        for number in range(max(0, windows)):
            start = moment + number * STEP
            found = bisect_left(answered, start + WINDOW) - bisect_left(answered, start)
            kept = kept + 1 if found >= max(1.0, rate * WINDOW) else 0
            if kept * STEP >= STEADY - WINDOW:
                first = bisect_left(answered, moment + (number + 1 - kept) * STEP)
                return answered[first] - moment
        return None

    async def _loop(self, number: int, over: asyncio.Event) -> None:
        connection = _Connection(self.host, self.port)
        place = number
        try:
            while not over.is_set():
                if self.per_connection and connection.asked >= self.per_connection:
                    connection.close()
                ended = await self._one(connection, place % len(self._requests))
                self.ended.append(ended)
                place += 1
                if ended.end is not End.ANSWERED:
                    connection.close()
                    await asyncio.sleep(PAUSE)
        finally:
            connection.close()

    async def _one(self, connection: _Connection, place: int) -> Ended:
        began, sent = time.monotonic(), False
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.open()
                sent = True
                status, body = await connection.ask(self._requests[place])
                end, kind = self._judge(place, status, body)
        except TimeoutError:
            end, kind = End.TIMED_OUT, f"no answer within {PATIENCE:g} s"
            if not sent:
                end, kind = End.NOT_SENT, f"no connection within {PATIENCE:g} s"
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            end, kind = (End.LOST if sent else End.NOT_SENT), _reason(error)
        return Ended(began, time.monotonic(), end, kind)

    def _judge(self, place: int, status: int, body: bytes) -> tuple[End, str]:
        if status == 200 and body in self._known[place]:
            return End.ANSWERED, ""
        answer = json.loads(body)
        if status == 200:
            if self._expected and not alike(self._expected[place], answer):
                return End.ANSWERED, WRONG
            self._known[place].add(body)
            return End.ANSWERED, ""
        if status < 400:
            raise ValueError(f"status {status}")
        told = answer if isinstance(answer, dict) else {}
        said = " ".join(str(told.get("message") or told.get("error") or answer).split())
        return End.NAMED, f"{status}: {said}"[:_LONGEST_KIND]


class _Connection:
    """One keep-alive connection, opened where there is none."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.asked = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect unless a connection is open already that the server has not closed."""
        if self._streams:
            reader = self._streams[0]
            if not reader.at_eof() and reader.exception() is None:
                return
            self.close()
        self._streams = await asyncio.open_connection(self.host, self.port)
        self.asked = 0

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send `request`; the status and the body of its answer.

        Raises OSError or EOFError if the connection breaks, ValueError if the answer cannot be read.
        """
        if self._streams is None:
            raise ConnectionError("not connected")
        reader, writer = self._streams
        writer.write(request)
        self.asked += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit() or length is None:
            raise ValueError("no HTTP answer with a length")
        try:
            body = await reader.readexactly(int(length[1]))
        except asyncio.IncompleteReadError as error:
            raise EOFError("the connection was closed in the middle of an answer") from error
        if _CLOSE.search(head):
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        """Close the connection if one is open."""
        if self._streams:
            self._streams[1].close()
        self._streams = None


def alike(expected: Any, found: Any) -> bool:
    """Whether two JSON values are the same but for rounding of their numbers."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=0.0, abs_tol=TOLERANCE)
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(alike(expected[key], found[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(alike, expected, found))
    return bool(expected == found)


def _request(host: str, model: str, token: str, text: str) -> bytes:
    body = json.dumps({"text": text}).encode()
    lines = [
        f"POST /predictions/{model} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _reason(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection was closed " + ("in the middle of an answer" if error.partial else "before an answer")
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return (
        str(error) if isinstance(error, EOFError) else f"unreadable: {type(error).__name__}: {error}"[:_LONGEST_KIND]
    )
