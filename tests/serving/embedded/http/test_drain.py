"""The end of a server: nothing that is under way is lost, idle connections are closed, time is limited."""

from __future__ import annotations

import asyncio
import time

import pytest

from lexport.serving.embedded.http import Limits, Request, Response, Server

from .clients import CHUNKED, GET, LOOPS, POST, Held, connected, echo, run, serving

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_connections_that_have_been_idle_are_closed_at_once(loop: str) -> None:
    async def main() -> None:
        async with serving() as server, connected(server) as client:
            address = server.address
            client.send(GET)
            await client.answer()
            await asyncio.sleep(1.1)
            began = time.monotonic()
            assert await server.drain(5) == 0
            assert time.monotonic() - began < 0.5
            assert await client.closed()
            with pytest.raises(OSError, match=r"(?i)connect"):
                await asyncio.open_connection(*address)

    run(main(), loop)


def test_one_that_was_just_answered_may_ask_once_more(loop: str) -> None:
    async def main() -> None:
        async with serving() as server, connected(server) as client, connected(server) as silent:
            for one in (client, silent):
                one.send(GET)
                await one.answer()
            draining = asyncio.create_task(server.drain(5))
            await asyncio.sleep(0.2)
            client.send(GET)
            assert (await client.answer()).headers["connection"] == "close"
            began = time.monotonic()
            assert await silent.closed()
            assert time.monotonic() - began < 2
            assert await draining == 0

    run(main(), loop)


def test_what_is_under_way_is_answered_and_then_closed(loop: str) -> None:
    handler = Held()

    async def main() -> None:
        async with serving(handler) as server, connected(server) as client, connected(server) as slow:
            client.send(GET * 3)
            slow.send(POST + b"Content-Length: 4\r\n\r\nhi")
            await handler.until(3)
            draining = asyncio.create_task(server.drain(5))
            await asyncio.sleep(0.01)
            slow.send(b" you"[:2])
            await handler.until(4)
            for place in (1, 0, 2, 3):
                handler.answer(place)
            answers = [await client.answer() for _ in range(3)]
            assert [answer.headers.get("connection") for answer in answers] == [None, None, "close"]
            assert await client.closed()
            answer = await slow.answer()
            assert (answer.body, answer.headers["connection"]) == (b"POST /p hi y", "close")
            assert await draining == 0

    run(main(), loop)


def test_what_was_received_and_held_back_is_answered_too(loop: str) -> None:
    async def later(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return echo(request)

    async def main() -> None:
        for handle in (echo, later):
            async with serving(handle, Limits(pipelined=3)) as server, connected(server) as client:
                client.send(GET * 20)
                first = await client.answer()
                draining = asyncio.create_task(server.drain(5))
                answers = [first, *[await client.answer() for _ in range(19)]]
                assert [answer.headers.get("connection") for answer in answers] == [None] * 19 + ["close"]
                assert await client.closed()
                assert await draining == 0

    run(main(), loop)


def test_a_client_that_has_just_connected_may_ask_once(loop: str) -> None:
    async def main() -> None:
        async with serving() as server, connected(server) as client, connected(server) as silent:
            while server.connections < 2:
                await asyncio.sleep(0.001)
            draining = asyncio.create_task(server.drain(5))
            await asyncio.sleep(0.05)
            client.send(GET)
            assert (await client.answer()).headers["connection"] == "close"
            assert await silent.closed()
            assert await draining == 0

    run(main(), loop)


def test_when_its_time_is_over_the_rest_is_cut_and_counted(loop: str) -> None:
    handler = Held()

    async def main() -> None:
        async with serving(handler) as server, connected(server) as client, connected(server) as slow:
            client.send(GET)
            slow.send(CHUNKED + b"2\r\nh")
            await handler.until(1)
            while server.connections < 2:
                await asyncio.sleep(0.001)
            began = time.monotonic()
            assert await server.drain(0.1) == 2
            assert 0.09 < time.monotonic() - began < 2
            assert server.counts.ended["drain"] == 2
            assert await client.closed()
            assert await slow.closed()
            assert handler.futures[0].cancelled()

    run(main(), loop)


def test_clients_that_ask_all_the_time_lose_no_answer(loop: str) -> None:
    """Each of eight asks until it is told that the connection closes; what it asked until then was answered."""

    async def asking(server: Server) -> int:
        count = 0
        async with connected(server) as client:
            while True:
                client.send(GET)
                answer = await client.answer()
                assert answer.status == 200
                count += 1
                if "connection" in answer.headers:
                    assert await client.closed()
                    return count

    async def main() -> None:
        async def later(request: Request) -> Response:
            await asyncio.sleep(0.002)
            return echo(request)

        async with serving(later) as server:
            clients = [asyncio.create_task(asking(server)) for _ in range(8)]
            await asyncio.sleep(0.1)
            assert await server.drain(5) == 0
            assert sum(await asyncio.gather(*clients)) == server.counts.requests

    run(main(), loop)


def test_closing_cuts_everything(loop: str) -> None:
    handler = Held()

    async def main() -> None:
        async with serving(handler) as server, connected(server) as client:
            client.send(GET)
            await handler.until(1)
            server.close()
            assert await client.closed()
            assert handler.futures[0].cancelled()
            with pytest.raises(RuntimeError, match="does not listen"):
                _ = server.address

    run(main(), loop)
