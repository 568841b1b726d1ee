"""A gRPC server in the running loop, and how refusals are told over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from ....handlers.request.refusals import Refusal
from ..addresses.answers import wrong_token
from ..addresses.tokens import Bearer
from ..http import Room
from .arriving import LONG, Arriving
from .messages import message, service
from .refused import Refused, refused_by

_LEAST_MESSAGE = 1 << 16
_QUIET = 0.1  # seconds without a call, after which none is taken to be on its way
_REFUSING = 2.0  # seconds at most
_AGE, _GRACE = 600_000, 60_000  # milliseconds of a connection, and for its last calls
_MOST_CALLS = 1_000  # at once; further ones are refused unread

Call = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]
"""Answers a message by a message. Raises Failure, Refusal or Refused."""
Answer = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[bytes]]
"""Reads the message of a call and answers it, both as bytes."""
Note = Callable[[Mapping[str, str | bytes], int, str], None]
"""Is told of a refused call: its metadata, the HTTP status that stands for the refusal, its code or kind."""


class Server:
    """A gRPC server. `start`, then `drain`."""

    def __init__(
        self, bearer: Bearer, note: Note, *, largest: int, connections: int, room: Room, unread: Room
    ) -> None:
        """Serve those whose token `bearer` finds right. `note` is told of refused calls.

        Messages have at most `largest` bytes; further `connections` than so many are closed at once. `room` is for
        long messages until they are answered, `unread` for long answers until they are sent: those of the HTTP
        server of this process.
        """
        self._bearer = bearer
        self._note = note
        self._room = room
        self._unread = unread
        largest = max(largest, _LEAST_MESSAGE)
        self._arriving = Arriving(room, largest, self._end)
        self._calls = 0
        self._draining = False
        self._ending: set[asyncio.Task[None]] = set()
        self._server = grpc.aio.server(
            interceptors=[_Gate(self._admit)],
            maximum_concurrent_rpcs=_MOST_CALLS,
            options=[
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", largest),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", _MOST_CALLS),
                ("grpc.max_allowed_incoming_connections", connections),
                # As over HTTP: a connection begins within 10 s, and may be idle for 75 s.
                ("grpc.server_handshake_timeout_ms", 10_000),
                ("grpc.http2.settings_timeout", 10_000),
                ("grpc.max_connection_idle_ms", 75_000),
                # After its age a connection takes no further calls, and its client opens another one: to any process
                # that there is by now. Calls whose answers nobody reads end with it.
                ("grpc.max_connection_age_ms", _AGE),
                ("grpc.max_connection_age_grace_ms", _GRACE),
                # A client's machine that is gone is found out, and its calls are given up.
                ("grpc.keepalive_time_ms", 60_000),
            ],
        )

    def add(self, name: str, calls: Mapping[str, Call], *, called: str | None = None) -> None:
        """Serve those methods of a service of the protocol files that have a call; `called`: under another name."""
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for method in service(name).methods:
            if method.name not in calls:
                continue
            answer = self._answering(calls[method.name], message(method.input_type.full_name).FromString)
            # Handlers of streams read the message themselves, and are not given any but bytes.
            methods[method.name] = (
                grpc.stream_stream_rpc_method_handler(_as_stream(answer))
                if method.server_streaming
                else grpc.stream_unary_rpc_method_handler(answer)
            )
        handler = grpc.method_handlers_generic_handler(called or name, methods)
        self._server.add_generic_rpc_handlers((handler,))

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError if the address cannot be opened."""
        try:
            opened = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(str(error)) from None
        if not opened:
            raise OSError(f"{host}:{port} cannot be opened")
        await self._server.start()

    async def drain(self, seconds: float) -> None:
        """Refuse new calls, answer what is under way within `seconds`, and close.

        gRPC's own end cancels calls that have arrived and that Python has not taken yet. So calls are refused by
        name, for two seconds at most, until none comes any more.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        self._draining, seen = True, -1
        while seen != self._calls and loop.time() < end - max(0.0, seconds - _REFUSING):
            seen = self._calls
            await asyncio.sleep(_QUIET)
        await self._server.stop(max(0.0, end - loop.time()))

    def _answering(self, call: Call, read: Callable[[bytes], Any]) -> Answer:
        """Return what answers bytes by bytes, whatever happens in a call."""

        async def answer(requests: Any, context: Any) -> bytes:
            held = 0
            try:
                data = await self._arriving.read(context)
                if data is None:
                    return b""
                held = len(data) if len(data) >= LONG else 0
                found: bytes = (await call(_parsed(data, read), context)).SerializeToString()
                if len(found) >= LONG:
                    self._unread.take(len(found))
                    context.add_done_callback(lambda _: self._unread.free(len(found)))
                return found
            except grpc.aio.AbortError:  # `_end` has ended the call, and told why
                raise
            except Exception as error:
                problem = refused_by(error)
            finally:
                if held:
                    self._room.free(held)
            await self._tell(context, problem)
            return b""

        return answer

    async def _tell(self, context: Any, problem: Refused) -> None:
        """End a call with a refusal. Raises grpc's own error, which ends the handler."""
        if not problem.noted:
            self._note(dict(context.invocation_metadata() or ()), problem.status, problem.error)
        await problem.tell(context)

    def _end(self, context: Any, refusal: Refusal) -> None:
        """End a call whose handler waits for its message."""

        async def end() -> None:
            with suppress(grpc.aio.AbortError):
                await self._tell(context, refused_by(refusal))

        task = asyncio.ensure_future(end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _admit(self, metadata: Sequence[tuple[str, str | bytes]]) -> Refused | None:
        """Return why a call is refused before its message is read."""
        self._calls += 1
        if self._draining:
            stopping = "ServiceUnavailableException"
            refused = Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.", error=stopping)
        elif not self._bearer.is_borne(_given(metadata)):
            wrong = wrong_token()
            refused = Refused(wrong.status, str(wrong), grpc.StatusCode.PERMISSION_DENIED, error=wrong.kind)
        else:
            return None
        self._note(dict(metadata), refused.status, refused.error)
        return refused


class _Gate(grpc.aio.ServerInterceptor):
    """Refuses calls whose messages have not been read."""

    def __init__(self, admit: Callable[[Sequence[tuple[str, str | bytes]]], Refused | None]) -> None:
        self._admit = admit

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        refused = self._admit(handler_call_details.invocation_metadata or ())
        if refused is None:
            return await continuation(handler_call_details)

        async def refuse(requests: Any, context: Any) -> None:
            await refused.tell(context)

        # A handler of streams is called before anything is read.
        return grpc.stream_stream_rpc_method_handler(refuse)


def _parsed(data: bytes, read: Callable[[bytes], Any]) -> Any:
    try:
        return read(data)
    except DecodeError:
        raise Refusal(
            400,
            f"The {len(data):,} bytes of the message cannot be read.",
            "a message of the type that the call has in the protocol file",
            code="LX-HTTP-137",
        ) from None


def _as_stream(answer: Answer) -> Callable[..., AsyncIterator[bytes]]:
    """Return what answers by a stream of one answer."""

    async def only(requests: Any, context: Any) -> AsyncIterator[bytes]:
        yield await answer(requests, context)

    return only


def _given(metadata: Sequence[tuple[str, str | bytes]]) -> bytes:
    """Return the header `authorization`, the only one a token may be in; b"" where there is none, or are several."""
    found = [value for name, value in metadata if name == "authorization"]
    if len(found) != 1:
        return b""
    return found[0].encode() if isinstance(found[0], str) else found[0]
