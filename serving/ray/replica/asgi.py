"""Requests that come through Ray's own HTTP servers, as the embedded engine has them, and its answers for them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol
from urllib.parse import quote

from ....handlers.request.refusals import Refusal
from ...embedded.addresses import answers
from ...embedded.addresses.inference import Inference
from ...embedded.addresses.outcomes import Outcomes
from ...embedded.http import Request, Response, Server, refusals

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger("lexport")


class Answers(Protocol):
    """What answers: `answering.Answering` or `front.Front`."""

    @property
    def inference(self) -> Inference:
        """The addresses."""

    @property
    def outcomes(self) -> Outcomes:
        """What is counted of them."""

    @property
    def server(self) -> Server:
        """What has limits and counts, whether it listens or not."""


class Asgi:
    """An ASGI application over a replica's models."""

    def __init__(self, answering: Answers) -> None:
        """Answer with what `answering` has open."""
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the start and the end of the application."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await write(await self._answer(scope, receive), send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        request, answering = request_of(scope), self._answering
        refused = answering.inference.admit(request)
        if refused is not None:
            return refused
        body = await read(receive, answering.server.limits.body)
        if body is None:
            return refuse(answering, refusals.body(answering.server.limits), request)
        request.body = body
        return await handle(answering, request)


async def handle(answering: Answers, request: Request) -> Response:
    """Answer a request whose body has been read. Raises nothing."""
    try:
        answer = answering.inference.handle(request)
        return answer if isinstance(answer, Response) else await answer
    except Refusal as refusal:
        return refuse(answering, refusal, request)
    except Exception:
        log.exception("A request could not be answered.")
        return refuse(answering, refusals.failure(), request)


def refuse(answering: Answers, refusal: Refusal, request: Request) -> Response:
    """Return the answer of a refusal, and count it."""
    counts = answering.server.counts
    counts.refused[refusal.body["code"]] += 1
    counts.statuses[refusal.status] += 1
    return answering.outcomes.refuse(refusal, request)


def request_of(scope: Scope) -> Request:
    """Return the request of an ASGI scope, without its body."""
    fields: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        lower = name.lower()
        fields[lower] = fields[lower] + b", " + value if lower in fields else value
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return Request(scope["method"], f"{path}?{query}" if query else path, fields)


async def read(receive: Receive, most: int) -> bytes | None:
    """Return a body of at most `most` bytes, None if it is longer."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        part = message.get("body", b"")
        length += len(part)
        if length > most:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def headers_of(response: Response) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer, names in lower case."""
    pairs = (line.partition(b": ") for line in response.fields.lines.split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in pairs]


async def write(response: Response, send: Send) -> None:
    """Send an answer. Ray's servers add the id of the request by themselves."""
    headers = [pair for pair in headers_of(response) if pair[0] != answers.REQUEST_ID.encode()]
    headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
