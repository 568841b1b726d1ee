"""A gRPC server in the running loop, and how refusals are told over gRPC."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import grpc
import grpc.aio

from ....handlers.request.refusals import Refusal
from ..addresses.answers import Failure, wrong_token
from ..addresses.tokens import Bearer
from .messages import message, service

log = logging.getLogger("lexport")

_CODES = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNPROCESSABLE_ENTITY: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}
"""The gRPC status of each HTTP status that is refused with; INTERNAL of any other."""
_LATER = (("grpc-retry-pushback-ms", "1000"),)
_LEAST_MESSAGE = 1 << 16
_QUIET = 0.1  # seconds without a call, after which none is taken to be on its way
_REFUSING = 2.0  # seconds at most
_MOST_CALLS = 1_000  # at once, each with a message of at most the server's size; further ones are refused unread

Call = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]
"""Answers a message by a message. Raises Failure, Refusal or Refused."""
Count = Callable[[int], None]
"""Is told the HTTP status that stands for a refusal."""


class Refused(Exception):
    """A request that is refused with a gRPC status of its own."""

    def __init__(self, status: int, details: str, code: grpc.StatusCode | None = None) -> None:
        """Name the HTTP status that stands for it; `code` None: the gRPC status that goes with it."""
        super().__init__(details)
        self.status = status
        self.code = code or _CODES.get(HTTPStatus(status), grpc.StatusCode.INTERNAL)

    async def tell(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """End a call with it."""
        later = self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
        await context.abort(self.code, str(self), _LATER if later else ())


class Server:
    """A gRPC server. `start`, then `drain`."""

    def __init__(self, token: str | None, count: Count, *, largest: int) -> None:
        """Serve those who bear the `token`; None: everybody who can connect.

        Messages have at most `largest` bytes.
        """
        self._bearer = Bearer(token)
        self._count = count
        self._calls = 0
        self._draining = False
        self._server = grpc.aio.server(
            interceptors=[_Gate(self._admit)],
            maximum_concurrent_rpcs=_MOST_CALLS,
            options=[
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", max(largest, _LEAST_MESSAGE)),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", 1_000),
                ("grpc.max_connection_idle_ms", 300_000),
            ],
        )

    def add(self, name: str, calls: Mapping[str, Call], *, called: str | None = None) -> None:
        """Serve those methods of a service of the protocol files that have a call; `called`: under another name."""
        methods = {}
        for method in service(name).methods:
            if method.name not in calls:
                continue
            call, streams = calls[method.name], method.server_streaming
            make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
            methods[method.name] = make(
                self._stream(call) if streams else self._guarded(call),
                request_deserializer=message(method.input_type.full_name).FromString,
                response_serializer=message(method.output_type.full_name).SerializeToString,
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

    def _stream(self, call: Call) -> Callable[..., AsyncIterator[Any]]:
        guarded = self._guarded(call)

        async def only(request: Any, context: Any) -> AsyncIterator[Any]:
            yield await guarded(request, context)

        return only

    def _guarded(self, call: Call) -> Call:
        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                return await call(request, context)
            except Refused as refused:
                problem = refused
            except Failure as failure:
                problem = Refused(failure.status, str(failure))
            except Refusal as refusal:
                problem = of_refusal(refusal.status, refusal.body)
            except Exception as error:
                log.exception("A gRPC request failed.")
                problem = Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"The server failed: {type(error).__name__}.")
            self._count(problem.status)
            return await problem.tell(context)

        return guarded

    def _admit(self, metadata: Sequence[tuple[str, str | bytes]]) -> Refused | None:
        """Return why a call is refused before its message is read."""
        self._calls += 1
        if self._draining:
            refused = Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.")
        elif not self._bearer.is_borne(_given(metadata)):
            refused = Refused(HTTPStatus.BAD_REQUEST, str(wrong_token()), grpc.StatusCode.PERMISSION_DENIED)
        else:
            return None
        self._count(refused.status)
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


def of_refusal(status: int, body: Mapping[str, Any]) -> Refused:
    """Return what refuses with the body of a refusal, or of a server's failure."""
    if "message" in body:
        return Refused(status, body["message"])
    return Refused(status, f"{body['error']} Expected: {body['expected']} ({body['code']})")


def _given(metadata: Sequence[tuple[str, str | bytes]]) -> bytes:
    """Return the header `authorization`, the only one a token may be in; b"" where there is none, or are several."""
    found = [value for name, value in metadata if name == "authorization"]
    if len(found) != 1:
        return b""
    return found[0].encode() if isinstance(found[0], str) else found[0]
