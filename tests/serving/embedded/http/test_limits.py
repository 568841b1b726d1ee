"""Limits of size, number and time, with small ones; times are those of a test, fractions of a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from lexport.handlers.request.refusals import Refusal
from lexport.serving.embedded.http import Fields, Limits, Request, Response

from .clients import CHUNKED, GET, LOOPS, PLAIN, POST, Held, ask, connected, echo, run, serving

pytestmark = pytest.mark.parametrize("loop", LOOPS)
SMALL = Limits(target=20, head=200, fields=5, body=100, chunks=4)
SHORT = Limits(head_seconds=0.2, body_seconds=0.2, idle_seconds=0.3, write_seconds=0.2, linger_seconds=0.1)


def get(target: str = "/", lines: int = 1, more: int = 0) -> bytes:
    """A request with so many header lines, the last one longer by `more` bytes."""
    return (f"GET {target} HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * (lines - 1) + f"c: d{'e' * more}\r\n\r\n").encode()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (get("/" + "a" * 19), 200, None),
        (get("/" + "a" * 20), 414, "LX-HTTP-106"),
        (b"GET /" + b"a" * 300, 414, "LX-HTTP-106"),
        (get(lines=4), 200, None),
        (get(lines=5), 431, "LX-HTTP-107"),
        (get(more=200 - len(get())), 200, None),
        (get(more=201 - len(get())), 431, "LX-HTTP-107"),
        (GET[:-2] + b"a: " + b"b" * 300, 431, "LX-HTTP-107"),
        (POST + b"Content-Length: 100\r\n\r\n" + b"a" * 100, 200, None),
        (POST + b"Content-Length: 101\r\n\r\n", 413, "LX-HTTP-108"),
        (POST + b"Content-Length: 1" + b"0" * 17 + b"\r\n\r\n", 413, "LX-HTTP-108"),
        (CHUNKED + b"64\r\n" + b"a" * 100 + b"\r\n0\r\n\r\n", 200, None),
        (CHUNKED + b"65\r\n", 413, "LX-HTTP-108"),
        (CHUNKED + b"ffffffffffffff\r\n", 413, "LX-HTTP-108"),
        (CHUNKED + b"32\r\n" + b"a" * 50 + b"\r\n33\r\n", 413, "LX-HTTP-108"),
        (CHUNKED + b"1\r\na\r\n" * 4 + b"0\r\n\r\n", 200, None),
        (CHUNKED + b"1\r\na\r\n" * 5 + b"0\r\n\r\n", 413, "LX-HTTP-109"),
        (CHUNKED + b"1;" + b"a" * 300, 400, "LX-HTTP-101"),
        (CHUNKED + b"1;" + b"a" * 300 + b"\r\n", 400, "LX-HTTP-101"),
        (CHUNKED + b"0\r\n" + b"a: b\r\n" * 33 + b"\r\n", 200, None),
        (CHUNKED + b"0\r\n" + b"a: b\r\n" * 40 + b"\r\n", 431, "LX-HTTP-107"),
        (CHUNKED + b"0\r\na: " + b"b" * 300, 431, "LX-HTTP-107"),
    ],
)
def test_what_is_longer_than_its_limit_is_refused(data: bytes, status: int, code: str | None, loop: str) -> None:
    async def main() -> None:
        async with serving(limits=SMALL) as server:
            answer = await ask(server, data)
            assert answer.status == status
            if code is not None:
                assert answer.code == code
                assert answer.headers["connection"] == "close"
                assert server.counts.refused == {code: 1}

    run(main(), loop)


def test_a_refused_upload_reads_why_while_it_sends(loop: str) -> None:
    async def main() -> None:
        async with serving(limits=SMALL) as server, connected(server) as client:
            client.send(POST + b"Content-Length: 50000000\r\n\r\n")
            for _ in range(50):
                client.send(b"a" * 100_000)
                await asyncio.sleep(0)
            assert (await client.answer()).status == 413

    run(main(), loop)


async def drip(send: Callable[[bytes], None], data: bytes, seconds: float) -> None:
    """Send a byte every so many seconds."""
    for place in range(len(data)):
        send(data[place : place + 1])
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(
    ("begun", "dripped", "code"),
    [
        (b"", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 50, "LX-HTTP-110"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"b" * 500, "LX-HTTP-110"),
        (GET + b"GET /", b"a" * 500, "LX-HTTP-110"),
        (POST + b"Content-Length: 5000\r\n\r\n", b"a" * 500, "LX-HTTP-111"),
        (CHUNKED + b"1000\r\n", b"a" * 500, "LX-HTTP-111"),
        (CHUNKED, b"1\r\na\r\n" * 100, "LX-HTTP-111"),
        (CHUNKED + b"1;", b"a" * 200, "LX-HTTP-111"),
        (CHUNKED + b"0\r\n", b"a: b\r\n" * 30, "LX-HTTP-111"),
    ],
)
def test_a_request_that_drips_is_refused_when_its_time_is_over(
    begun: bytes, dripped: bytes, code: str, loop: str
) -> None:
    async def main() -> None:
        async with serving(limits=SHORT) as server, connected(server) as client:
            client.send(begun)
            if begun.startswith(GET):
                assert (await client.answer()).status == 200
            began = time.monotonic()
            dripping = asyncio.create_task(drip(client.send, dripped, 0.01))
            answer = await client.answer()
            dripping.cancel()
            assert (answer.status, answer.code) == (408, code)
            assert 0.15 < time.monotonic() - began < 2
            assert await client.closed()

    run(main(), loop)


def test_a_body_that_keeps_the_least_rate_may_take_longer(loop: str) -> None:
    limits = Limits(body_seconds=0.1, least_rate=500)

    async def main() -> None:
        async with serving(limits=limits) as server, connected(server) as client:
            client.send(POST + b"Content-Length: 600\r\n\r\n")
            for _ in range(30):
                client.send(b"a" * 20)
                await asyncio.sleep(0.01)
            assert (await client.answer()).status == 200

    run(main(), loop)


@pytest.mark.parametrize(("first", "least", "most"), [(b"", 0.15, 0.3), (GET, 0.25, 0.5), (GET + b"\r\n", 0.25, 0.5)])
def test_an_idle_connection_is_closed_without_a_word(first: bytes, least: float, most: float, loop: str) -> None:
    async def main() -> None:
        async with serving(limits=SHORT) as server, connected(server) as client:
            client.send(first)
            if first:
                await client.answer()
            began = time.monotonic()
            assert await client.closed()
            assert least < time.monotonic() - began < most + 1.5  # a busy machine
            assert server.counts.ended == {"idle": 1}

    run(main(), loop)


def test_a_client_that_waits_for_its_answer_is_not_idle(loop: str) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.7)
        return echo(request)

    async def main() -> None:
        async with serving(slow, SHORT) as server:
            assert (await ask(server, GET)).status == 200

    run(main(), loop)


def test_a_client_that_does_not_read_is_held_back_and_then_cut(loop: str) -> None:
    long = Response(200, b"a" * 1_000_000, PLAIN)
    count = 0

    def handle(request: Request) -> Response:
        nonlocal count
        count += 1
        return long

    async def main() -> None:
        limits = Limits(write_seconds=0.3, least_rate=1e9)
        async with serving(handle, limits) as server, connected(server) as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            began = time.monotonic()
            client.send(GET * 1_000)
            while server.counts.ended["write"] == 0:
                await asyncio.sleep(0.01)
            assert time.monotonic() - began > 0.25
            # What the sockets' buffers hold, and one more.
            assert count < 50
            await asyncio.sleep(0.05)
            assert server.connections == 0

    run(main(), loop)


def test_one_that_reads_late_gets_everything(loop: str) -> None:
    long = Response(200, b"a" * 1_000_000, PLAIN)

    async def main() -> None:
        async with serving(lambda request: long) as server, connected(server) as client:
            transport = client.writer.transport
            transport.pause_reading()  # type: ignore[attr-defined]
            client.send(GET * 40)
            await asyncio.sleep(0.1)
            transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(40):
                assert len((await client.answer()).body) == 1_000_000

    run(main(), loop)


def test_a_connection_too_many_is_told_so(loop: str) -> None:
    async def main() -> None:
        async with serving(limits=Limits(connections=3)) as server, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(server)) for _ in range(3)]
            for client in clients:
                client.send(GET)
                await client.answer()
            async with connected(server) as other:
                other.send(GET)
                answer = await other.answer()
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert answer.code == "LX-HTTP-113"
                assert await other.closed()
            clients[0].writer.close()
            while server.connections == 3:
                await asyncio.sleep(0.001)
            assert (await ask(server, GET)).status == 200

    run(main(), loop)


def test_a_flood_of_connections_leaves_those_that_are_open_alone(loop: str) -> None:
    async def main() -> None:
        limits = Limits(connections=2, linger_seconds=0.2)
        async with serving(limits=limits) as server, connected(server) as client, AsyncExitStack() as stack:
            client.send(GET)
            await client.answer()
            for _ in range(150):
                await stack.enter_async_context(connected(server))
            client.send(GET)
            assert (await client.answer()).status == 200
            assert server.connections <= 2

    run(main(), loop)


def test_all_arriving_bodies_together_have_a_limit(loop: str) -> None:
    limits = Limits(bodies=1_000_000)

    async def main() -> None:
        async with serving(limits=limits) as server, connected(server) as first, connected(server) as second:
            first.send(POST + b"Content-Length: 900000\r\n\r\n" + b"a" * 800_000)
            while server.room.taken < 800_000:
                await asyncio.sleep(0.001)
            second.send(POST + b"Content-Length: 900000\r\n\r\n" + b"a" * 800_000)
            answer = await second.answer()
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "LX-HTTP-114", "1")
            first.send(b"a" * 100_000)
            assert (await first.answer()).status == 200
            assert server.room.taken == 0
            assert (await ask(server, POST + b"Content-Length: 2\r\n\r\nhi")).status == 200
            async with connected(server) as third:
                third.send(POST + b"Content-Length: 900000\r\n\r\n" + b"a" * 800_000)
                while server.room.taken < 800_000:
                    await asyncio.sleep(0.001)
            while server.room.taken:
                await asyncio.sleep(0.001)

    run(main(), loop)


def test_idle_connections_make_room_where_places_are_short(loop: str) -> None:
    limits = Limits(connections=8, idle_seconds=30, short_idle_seconds=0.2)

    async def main() -> None:
        async with serving(limits=limits) as server, AsyncExitStack() as stack:
            for count in range(1, 9):
                client = await stack.enter_async_context(connected(server))
                client.send(GET)
                assert (await client.answer()).status == 200
                if count == 7:  # seven of eight are no reason yet
                    await asyncio.sleep(0.5)
                    assert server.connections == 7
            while server.connections > 1:
                await asyncio.sleep(0.01)
            assert server.counts.ended["idle"] == 7
            assert (await ask(server, GET)).status == 200

    run(main(), loop)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_handler_may_end_the_connection(loop: str, refuses: bool) -> None:
    def handle(request: Request) -> Response:
        request.keep = request.target != "/last"
        if refuses and not request.keep:
            raise Refusal(429, "Enough.", "less", code="LX-HTTP-117")
        return echo(request)

    async def main() -> None:
        async with serving(handle) as server, connected(server) as client:
            client.send(GET + GET.replace(b"/ ", b"/last ") + GET)
            assert [(await client.answer()).headers.get("connection") for _ in range(2)] == [None, "close"]
            assert await client.closed()
            assert server.counts.requests == 2

    run(main(), loop)


def test_a_long_body_counts_until_its_request_is_answered_or_given_up(loop: str) -> None:
    limits, held = Limits(bodies=1_000_000), Held()
    long = POST + b"Content-Length: 900000\r\n\r\n" + b"a" * 900_000

    async def main() -> None:
        async with serving(held, limits) as server, connected(server) as first, connected(server) as short:
            first.send(long)
            await held.until(1)
            assert server.room.taken == 900_000
            async with connected(server) as second:
                second.send(long)
                assert (await second.answer()).code == "LX-HTTP-114"
            short.send(POST + b"Content-Length: 2\r\n\r\nhi")  # a short one is no matter of room
            await held.until(2)
            held.answer(1)
            assert (await short.answer()).status == 200
            held.answer(0)
            assert (await first.answer()).status == 200
            assert server.room.taken == 0
            async with connected(server) as gone:
                gone.send(long)
                await held.until(3)
                assert server.room.taken == 900_000
            while server.room.taken:
                await asyncio.sleep(0.001)
            first.send(long)
            await held.until(4)
            held.futures[3].set_exception(ValueError("no answer"))
            assert (await first.answer()).status == 500
            assert server.room.taken == 0

    run(main(), loop)


def test_all_unread_answers_together_have_a_limit_and_who_leaves_most_is_cut(loop: str) -> None:
    limits, held = Limits(answers=100_000_000), Held()
    long = Response(200, b"a" * 30_000_000, PLAIN)

    async def main() -> None:
        async with serving(held, limits) as server, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(server)) for _ in range(4)]
            for client, count in zip(clients, (1, 2, 1, 1), strict=True):
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                before = len(held.requests)
                client.send(GET * count)
                await held.until(before + count)
                for future in held.futures[before:]:
                    future.set_result(long)
                while server.unread.taken == 0:
                    await asyncio.sleep(0.001)
            while server.counts.ended["write"] == 0:
                await asyncio.sleep(0.001)
            assert server.unread.taken <= 100_000_000
            await asyncio.sleep(0)
            assert server.connections == 3
            for place in (0, 2, 3):
                clients[place].writer.transport.resume_reading()  # type: ignore[attr-defined]
                assert len((await clients[place].answer()).body) == 30_000_000
            while server.unread.taken:
                await asyncio.sleep(0.001)

    run(main(), loop)


def test_a_slow_crowd_does_not_keep_others_waiting(loop: str) -> None:
    """Sixty clients that send a byte now and then, and one that is in a hurry."""
    limits = Limits(head_seconds=0.4, body_seconds=0.4, linger_seconds=0.1)
    beginnings = [b"GET / HTTP/1.1\r\nHost: x\r\nA: ", POST + b"Content-Length: 500\r\n\r\n", CHUNKED + b"f;"]

    async def main() -> None:
        async with serving(lambda request: Response(200, b"", Fields()), limits) as server, AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(connected(server)) for _ in range(60)]
            for number, client in enumerate(crowd):
                client.send(beginnings[number % 3])
            dripping = [asyncio.create_task(drip(client.send, b"a" * 100, 0.02)) for client in crowd]
            async with connected(server) as client:
                for _ in range(100):
                    client.send(GET)
                    assert (await client.answer()).status == 200
            for client in crowd:
                assert (await client.answer()).status == 408
            for task in dripping:
                task.cancel()
            assert server.counts.refused == {"LX-HTTP-110": 20, "LX-HTTP-111": 40}

    run(main(), loop)
