"""A connection: order of answers, how long it stays, what is asked for and what is given up. In both loops."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from lexport.handlers.request.refusals import Refusal
from lexport.serving.embedded.http import JSON, Fields, Limits, Request, Response, Server
from lexport.serving.embedded.processes.sockets import beside, bound

from .clients import CHUNKED, GET, LOOPS, PLAIN, POST, Client, Held, ask, connected, echo, run, serving

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def numbered(count: int, start: int = 0) -> bytes:
    return b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(start, start + count))


def test_a_connection_stays_open_for_further_requests(loop: str) -> None:
    async def main() -> None:
        async with serving() as server, connected(server) as client:
            for number in range(3):
                client.send(POST + b"Content-Length: 1\r\n\r\n%d" % number)
                answer = await client.answer()
                assert answer.body == b"POST /p %d" % number
                assert "connection" not in answer.headers
            assert server.counts.connections == 1
            assert server.counts.requests == 3

    run(main(), loop)


def test_several_connections_are_accepted_in_one_turn_of_the_loop(loop: str) -> None:
    """A model takes a turn for each batch: clients that come together are not heard one after the other."""

    async def main() -> None:
        async with serving() as server:
            clients = [socket.create_connection(server.address) for _ in range(40)]
            turns = 0
            while server.counts.connections < len(clients):
                await asyncio.sleep(0)
                turns += 1
            assert turns <= len(clients) / 4 + 5
            for client in clients:
                client.close()

    run(main(), loop)


def test_an_answer_has_length_date_and_the_headers_of_its_handler(loop: str) -> None:
    fields = Fields(("content-type", "application/json"), ("Lexport-Version", "1.0"))

    async def main() -> None:
        async with serving(lambda request: Response(418, b"{}", fields)) as server:
            answer = await ask(server, GET)
        assert answer.status == 418
        assert answer.body == b"{}"
        assert parsedate_to_datetime(answer.headers.pop("date")).year >= 2026
        assert answer.headers == {
            "content-type": "application/json",
            "lexport-version": "1.0",
            "content-length": "2",
        }

    run(main(), loop)


def test_answers_come_in_the_order_of_the_requests(loop: str) -> None:
    handler = Held()

    async def main() -> None:
        async with serving(handler) as server, connected(server) as client:
            client.send(numbered(3))
            await handler.until(3)
            handler.answer(2)
            handler.answer(1)
            assert await client.nothing()
            handler.answer(0)
            assert [(await client.answer()).body for _ in range(3)] == [b"GET /0 ", b"GET /1 ", b"GET /2 "]

    run(main(), loop)


def test_beyond_a_number_of_unanswered_requests_nothing_is_read(loop: str) -> None:
    handler = Held()

    async def main() -> None:
        async with serving(handler, Limits(pipelined=4)) as server, connected(server) as client:
            client.send(numbered(10))
            await handler.until(4)
            await asyncio.sleep(0.05)
            assert len(handler.requests) == 4
            for number in range(10):
                await handler.until(number + 1)
                handler.answer(number)
                assert (await client.answer()).body == b"GET /%d " % number
            assert len(handler.requests) == 10

    run(main(), loop)


def test_a_client_with_thousands_of_requests_leaves_others_their_turn(loop: str) -> None:
    order: list[str] = []

    def handle(request: Request) -> Response:
        order.append(request.path)
        return echo(request)

    async def main() -> None:
        async with serving(handle) as server, connected(server) as greedy, connected(server) as other:
            greedy.send(numbered(3_000))
            await greedy.answer()
            other.send(GET)
            await other.answer()
            assert order.index("/") < 3_000
            for _ in range(2_999):
                await greedy.answer()

    run(main(), loop)


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n", False),
    ],
)
def test_a_connection_stays_as_its_request_says(head: bytes, stays: bool, loop: str) -> None:
    async def main() -> None:
        async with serving() as server, connected(server) as client:
            client.send(head + b"\r\n" + (b"" if stays else GET[:9]))
            answer = await client.answer()
            if stays:
                assert answer.headers.get("connection") == ("keep-alive" if b"1.0" in head else None)
                client.send(GET)
                assert (await client.answer()).status == 200
            else:
                assert answer.headers["connection"] == "close"
                client.send(GET)
                assert await client.closed()
                assert server.counts.requests == 1
                assert server.counts.refused == {}

    run(main(), loop)


def test_head_gets_the_length_and_no_body(loop: str) -> None:
    async def main() -> None:
        async with serving() as server, connected(server) as client:
            client.send(GET.replace(b"GET", b"HEAD") + GET)
            answer = await client.answer(bodiless=True)
            assert answer.headers["content-length"] == str(len(b"HEAD / "))
            assert (await client.answer()).body == b"GET / "

    run(main(), loop)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_no_length(status: int, loop: str) -> None:
    async def main() -> None:
        async with serving(lambda request: Response(status, b"", Fields())) as server, connected(server) as client:
            client.send(GET * 2)
            for _ in range(2):
                answer = await client.answer()
                assert answer.status == status
                assert "content-length" not in answer.headers

    run(main(), loop)


def test_a_body_is_asked_for_where_the_client_holds_it_back(loop: str) -> None:
    async def main() -> None:
        async with serving() as server, connected(server) as client:
            for head in (POST + b"Content-Length: 2\r\n", CHUNKED[:-2]):
                client.send(head + b"Expect: 100-continue\r\n\r\n")
                assert await client.head() == (100, {})
                client.send(b"hi" if b"Length" in head else b"2\r\nhi\r\n0\r\n\r\n")
                assert (await client.answer()).body == b"POST /p hi"

    run(main(), loop)


def test_it_is_asked_for_after_the_answers_before_it(loop: str) -> None:
    handler = Held()

    async def main() -> None:
        async with serving(handler) as server, connected(server) as client:
            client.send(GET + POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            await handler.until(1)
            assert await client.nothing()
            handler.answer(0)
            assert (await client.answer()).body == b"GET / "
            assert await client.head() == (100, {})
            client.send(b"hi")
            await handler.until(2)
            handler.answer(1)
            assert (await client.answer()).body == b"POST /p hi"

    run(main(), loop)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (POST + b"Expect: 100-continue\r\nContent-Length: 6553501\r\n", 413),
        (POST + b"Expect: 100-continue\r\nContent-Length: 2\r\nContent-Length: 2\r\n", 400),
        (POST + b"Expect: something\r\nContent-Length: 2\r\n", 417),
    ],
)
def test_a_body_that_will_not_be_read_is_not_asked_for(head: bytes, status: int, loop: str) -> None:
    async def main() -> None:
        async with serving() as server:
            assert (await ask(server, head + b"\r\n")).status == status

    run(main(), loop)


def test_a_request_may_be_refused_before_its_body_is_read(loop: str) -> None:
    def admit(request: Request) -> Response | None:
        return None if request.header("authorization") == "Bearer key" else Response(401, b"{}")

    async def main() -> None:
        async with serving(admit=admit) as server:
            held = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n"
            async with connected(server) as client:
                client.send(held + b"\r\n")
                answer = await client.answer()
                assert (answer.status, answer.headers["connection"]) == (401, "close")
                client.send(b"hi" + GET)
                assert await client.closed()
            assert server.counts.requests == 0
            async with connected(server) as client:
                client.send(held + b"Authorization: Bearer key\r\n\r\n")
                assert await client.head() == (100, {})

    run(main(), loop)


def leave_politely(client: Client) -> None:
    client.writer.close()


def leave_at_once(client: Client) -> None:
    client.writer.transport.abort()


def test_what_a_gone_client_waits_for_is_given_up(loop: str) -> None:
    handler = Held()

    async def main() -> None:
        async with serving(handler) as server:
            for leave in (leave_politely, leave_at_once):
                async with connected(server) as client:
                    client.send(numbered(2))
                    await handler.until(2)
                    leave(client)
                    while server.connections:
                        await asyncio.sleep(0.001)
                    await asyncio.sleep(0)
                    assert [future.cancelled() for future in handler.futures] == [True, True]
                    handler.requests.clear()
                    handler.futures.clear()

    run(main(), loop)


async def _later(request: Request) -> Response:
    await asyncio.sleep(0)
    return echo(request)


async def _broken(request: Request) -> Response:
    raise KeyError("secret")


def _refusing(request: Request) -> Response:
    raise Refusal(429, "The queue is full.", "fewer requests", code="LX-HTTP-999")


def _given_up(request: Request) -> asyncio.Future[Response]:
    future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    return future


@pytest.mark.parametrize(
    ("handle", "status", "code", "again"),
    [
        (_later, 200, None, None),
        (_broken, 500, "LX-HTTP-115", None),
        (lambda request: 1 / 0, 500, "LX-HTTP-115", None),
        (_refusing, 429, "LX-HTTP-999", "1"),
        (_given_up, 503, "LX-HTTP-116", "1"),
    ],
)
def test_a_handler_may_answer_later_refuse_or_fail(
    handle: Callable[[Request], Response | Awaitable[Response]],
    status: int,
    code: str | None,
    again: str | None,
    loop: str,
) -> None:
    async def main() -> None:
        async with serving(handle) as server, connected(server) as client:
            client.send(GET * 2)
            for _ in range(2):
                answer = await client.answer()
                assert answer.status == status
                assert answer.headers.get("retry-after") == again
                assert b"secret" not in answer.body
                if code is not None:
                    assert answer.code == code
                    assert server.counts.refused[code] >= 1

    run(main(), loop)


def test_long_answers_and_bodies_arrive_whole(loop: str) -> None:
    body = bytes(range(256)) * 20_000  # 5 MB

    async def main() -> None:
        async with serving(lambda request: Response(200, request.body, PLAIN)) as server, connected(server) as client:
            for _ in range(2):
                client.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                assert (await client.answer()).body == body
            pieces = b"".join(b"10000\r\n" + body[at : at + 0x10000] + b"\r\n" for at in range(0, 0x40_0000, 0x10000))
            client.send(CHUNKED + pieces + b"0\r\n\r\n")
            assert (await client.answer()).body == body[:0x40_0000]
            assert server.room.taken == 0

    run(main(), loop)


def test_tls_with_a_certificate(loop: str, tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=str(certificate))

    async def main() -> None:
        server = Server(echo)
        await server.start("127.0.0.1", 0, ssl_context=served)
        reader, writer = await asyncio.open_connection(*server.address, ssl=trusted, server_hostname="localhost")
        client = Client(reader, writer)
        client.send(GET + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await client.answer()).body == b"GET / "
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.closed()
        writer.close()
        # Plain HTTP at the same port is no handshake.
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(GET)
        assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
        assert await server.drain(1) == 0

    run(main(), loop)


def _certificate(folder: Path) -> Path:
    """A certificate of `localhost` that signs itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_ports_may_be_shared_by_processes(loop: str) -> None:
    async def main() -> None:
        first, second = Server(echo), Server(echo)
        one = bound("127.0.0.1", 0)
        await first.start(listening=one)
        await second.start(listening=beside(one))
        for _ in range(20):
            assert (await ask(first, GET)).status == 200
        assert first.counts.requests + second.counts.requests == 20
        third = Server(echo)
        with pytest.raises(OSError, match="in use"):
            await third.start(*first.address)
        with pytest.raises(OSError, match="in use"):  # nor one that would share it
            bound(*first.address)
        first.close()
        second.close()

    run(main(), loop)


def test_refusals_are_json_as_a_models_are(loop: str) -> None:
    async def main() -> None:
        async with serving() as server:
            answer = await ask(server, b"GET / HTTP/1.1\r\n\r\n")
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body).keys() == {"error", "expected", "code"}
        assert JSON.lines == b"content-type: application/json\r\n"

    run(main(), loop)
