"""What calls may take of a process: long messages share their room with HTTP's bodies, and none waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("grpc", reason='no grpcio: pip install "lexport[dev]"')

import grpc
import grpc.aio

from lexport.serving.embedded.addresses.tokens import Bearer
from lexport.serving.embedded.grpc import arriving, server
from lexport.serving.embedded.grpc.messages import message
from lexport.serving.embedded.grpc.refused import Refused
from lexport.serving.embedded.grpc.server import Server
from lexport.serving.embedded.http import Limits
from lexport.serving.embedded.http import Server as HttpServer

from ..http.clients import POST, Held, connected, run, serving
from .conftest import free_ports

SERVICE = "inference.GRPCInferenceService"
LARGEST = 2_000_000
CODE = grpc.StatusCode


class Served:
    """A gRPC server beside an HTTP one, both in the test's loop, and a channel to it."""

    def __init__(self, http: HttpServer, answer: Callable[[Any], Awaitable[Any]]) -> None:
        self.http = http
        self.noted: list[tuple[int, str]] = []
        self.server = Server(
            Bearer(None),
            lambda metadata, status, error: self.noted.append((status, error)),
            largest=LARGEST,
            connections=3,
            room=http.room,
            unread=http.unread,
        )
        self.server.add(SERVICE, {"ModelInfer": lambda request, context: answer(request)})
        self.channel: Any = None
        self.port = 0

    def infer(self, size: int) -> Any:
        """A call with a message of about so many bytes."""
        call = self.channel.unary_unary(f"/{SERVICE}/ModelInfer")
        return call(message("inference.ModelInferRequest")(model_name="m" * size).SerializeToString())

    def begin(self) -> Any:
        """A call whose messages are to be written."""
        return self.channel.stream_unary(f"/{SERVICE}/ModelInfer")()

    async def send(self, data: bytes | None) -> Any:
        """Send a message that may be none, or None at all."""
        call = self.begin()
        if data is not None:
            await call.write(data)
        await call.done_writing()
        return await call


async def echo(request: Any) -> Any:
    return message("inference.ModelInferResponse")(model_name=request.model_name)


@asynccontextmanager
async def both(
    answer: Callable[[Any], Awaitable[Any]] = echo, limits: Limits | None = None, handle: Any = None
) -> AsyncIterator[Served]:
    async with serving(handle or Held(), limits) as http:
        served = Served(http, answer)
        served.port = free_ports()[0]
        await served.server.start("127.0.0.1", served.port)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
            served.channel = channel
            yield served
        await served.server.drain(0.0)


async def refused(call: Any, code: grpc.StatusCode, *words: str) -> None:
    """A call is refused with a status, and what is said has these words."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == code
    for word in words:
        assert word in str(caught.value.details())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


class Waiting:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[None]] = []

    async def __call__(self, request: Any) -> Any:
        self.futures.append(asyncio.get_running_loop().create_future())
        await self.futures[-1]
        return message("inference.ModelInferResponse")()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_long_messages_count_until_they_are_answered(loop: str) -> None:
    async def main() -> None:
        waiting = Waiting()
        async with both(waiting, Limits(bodies=1_500_000)) as served:
            room = served.http.room
            first = served.infer(900_000)
            await until(lambda: len(waiting.futures) == 1)
            assert 900_000 <= room.taken < 900_100
            await refused(served.infer(900_000), CODE.RESOURCE_EXHAUSTED, "Too many long bodies", "LX-HTTP-114")
            short = served.infer(100)  # a short one is no matter of room
            await until(lambda: len(waiting.futures) == 2)
            for future in waiting.futures:
                future.set_result(None)
            await asyncio.gather(first, short)
            assert room.taken == 0
            given_up = served.infer(900_000)
            await until(lambda: len(waiting.futures) == 3)
            given_up.cancel()
            await until(lambda: room.taken == 0)
            assert served.noted == [(503, "LX-HTTP-114")]

    run(main(), loop)


def test_they_share_their_room_with_bodies_over_http() -> None:
    async def main() -> None:
        limits, waiting, held = Limits(bodies=1_500_000), Waiting(), Held()
        body = POST + b"Content-Length: 900000\r\n\r\n"
        async with both(waiting, limits, held) as served, connected(served.http) as client:
            client.send(body + b"a" * 800_000)
            await until(lambda: served.http.room.taken >= 800_000)
            await refused(served.infer(900_000), CODE.RESOURCE_EXHAUSTED, "LX-HTTP-114")
            client.send(b"a" * 100_000)
            await held.until(1)
            await refused(served.infer(900_000), CODE.RESOURCE_EXHAUSTED, "LX-HTTP-114")
            held.answer(0)
            assert (await client.answer()).status == 200
            call = served.infer(900_000)
            await until(lambda: waiting.futures)
            client.send(body + b"a" * 800_000)
            assert (await client.answer()).code == "LX-HTTP-114"
            waiting.futures[0].set_result(None)
            await call

    run(main())


def test_messages_that_take_long_have_room_for_some_and_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can hold all calls of a server by beginning them; what comes at once is answered meanwhile."""
    monkeypatch.setattr(arriving, "_TICK", 0.01)
    monkeypatch.setattr(arriving, "_SECONDS", 1.0)

    async def main() -> None:
        async with both(limits=Limits(bodies=8_000_000)) as served:
            slow = [served.begin() for _ in range(3)]
            await until(lambda: served.noted)
            # Two with 2 MB each are half of the room; the other half stays for the rest.
            assert served.noted == [(503, "LX-HTTP-114")]
            assert served.http.room.taken == 2 * LARGEST
            assert len(await served.infer(1_000_000)) > 1_000_000
            outcomes = await asyncio.gather(*slow, return_exceptions=True)
            found = sorted((one.code().name, one.details()[-13:]) for one in outcomes)  # type: ignore[union-attr]
            assert found == [
                ("DEADLINE_EXCEEDED", "(LX-HTTP-136)"),
                ("DEADLINE_EXCEEDED", "(LX-HTTP-136)"),
                ("RESOURCE_EXHAUSTED", "(LX-HTTP-114)"),
            ]
            assert served.http.room.taken == 0

    run(main())


def test_a_client_that_goes_frees_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "_TICK", 0.01)

    async def main() -> None:
        async with both(limits=Limits(bodies=8_000_000)) as served:
            slow = served.begin()
            await until(lambda: served.http.room.taken)
            slow.cancel()
            await until(lambda: served.http.room.taken == 0)
            assert served.noted == []

    run(main())


def test_answers_that_wait_to_be_sent_have_a_limit() -> None:
    async def main() -> None:
        async with both(limits=Limits(answers=1_000_000)) as served:
            await refused(served.infer(1_500_000), CODE.RESOURCE_EXHAUSTED, "LX-HTTP-134")
            for _ in range(3):
                assert len(await served.infer(900_000)) > 900_000
            await until(lambda: served.http.unread.taken == 0)
            assert served.http.room.taken == 0

    run(main())


def test_what_is_no_message_is_refused_by_its_reason() -> None:
    async def main() -> None:
        async with both() as served:
            await refused(served.send(b"\xff\xff"), CODE.INVALID_ARGUMENT, "2 bytes", "LX-HTTP-137")
            await refused(served.send(None), CODE.INVALID_ARGUMENT, "without a message", "LX-HTTP-135")
            await refused(served.send(b"a" * (LARGEST + 1)), CODE.RESOURCE_EXHAUSTED, "larger than max")
            assert served.noted == [(400, "LX-HTTP-137")]

    run(main())


def test_a_long_reason_is_cut_and_an_error_of_the_server_named() -> None:
    """A reason is sent as a header: clients refuse long ones, and an answer with them."""

    async def fail(request: Any) -> Any:
        if request.model_name == "x":
            raise ValueError("secret")
        raise Refused(404, request.model_name)

    async def main() -> None:
        async with both(fail) as served:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await served.infer(100_000)
            assert caught.value.code() == CODE.NOT_FOUND
            assert caught.value.details() == "m" * 1_000 + "…"
            call = served.channel.unary_unary(f"/{SERVICE}/ModelInfer")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(message("inference.ModelInferRequest")(model_name="x").SerializeToString())
            assert caught.value.code() == CODE.INTERNAL
            assert "ValueError" in str(caught.value.details())
            assert "secret" not in str(caught.value.details())

    run(main())


def test_a_connection_too_many_is_closed_and_the_others_are_answered() -> None:
    async def main() -> None:
        async with both() as served:
            assert await served.infer(10)
            opened = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
            # HTTP/2's settings come first, or nothing.
            assert [bool(await reader.read(1)) for reader, _ in opened] == [True, True, False]
            assert await served.infer(10)
            for _, writer in opened:
                writer.close()

    run(main())


def test_a_connection_has_an_age_and_no_call_is_lost_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_AGE", 200)
    monkeypatch.setattr(server, "_GRACE", 200)

    async def main() -> None:
        async with both() as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            ended = asyncio.ensure_future(reader.read())
            while not ended.done():
                assert await served.infer(100)
            writer.close()

    run(main())
