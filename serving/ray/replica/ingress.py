"""The replica's HTTP server in the place of Ray's, where Ray's HAProxy sends requests straight to replicas.

Ray's is uvicorn with three tasks of asyncio, a line of its log and four metrics for each request, which together take
longer than a small model. Ray has no setting for another server, so the function that starts it is replaced
in this process. Should a later Ray not have it, Ray's server answers, as it does without HAProxy.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from ...embedded.http import Fields, Request, Response, Server
from .asgi import Answers

OWN = "LEXPORT_RAY_SERVER"
"""The environment variable of a node that says `ray` where Ray's own HTTP server is to answer."""

_MODULE, _START = "ray.serve._private.replica", "start_asgi_http_server"
_RAYS = "/-/"  # paths that Ray asks: /-/healthz, /-/routes
_GRACE = 20.0  # seconds that requests under way have when the replica ends

log = logging.getLogger("lexport")


def install(answering: Answers) -> bool:
    """Have this replica's own server answer in the running loop, once Ray starts one. Return whether it will."""
    module = importlib.import_module(_MODULE)
    theirs = getattr(module, _START, None)
    if theirs is None or os.environ.get(OWN) == "ray":
        return False
    setattr(module, _START, partial(_start, answering, asyncio.get_running_loop(), theirs))
    return True


async def _start(
    answering: Answers,
    loop: asyncio.AbstractEventLoop,
    theirs: Callable[..., Awaitable[Any]],
    app: Callable[..., Awaitable[None]],
    options: Any,
    *,
    event_loop: asyncio.AbstractEventLoop,
    **others: Any,
) -> Any:
    """Listen at Ray's port; return a task that ends with the server, and the server, as Ray's function does."""
    if options.ssl_keyfile:
        return await theirs(app, options, event_loop=event_loop, **others)
    sockets = _sockets(options.port)
    running = _Running(answering, loop, event_loop)
    answering.server.handle = partial(_handle, answering.inference.handle, app, event_loop)
    starting = asyncio.run_coroutine_threadsafe(_listen(answering.server, sockets), loop)
    await asyncio.wrap_future(starting)
    return event_loop.create_task(running.wait()), running


def _sockets(port: int) -> list[socket.socket]:
    """Bind where HAProxies look for replicas: those of other nodes at this node's address, its own on loopback."""
    found: list[socket.socket] = []
    for host in dict.fromkeys((importlib.import_module("ray.util").get_node_ip_address(), "127.0.0.1")):
        found.append(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM))
        try:
            found[-1].bind((host, port))
        except OSError as error:
            for one in found:
                one.close()
            raise RuntimeError(f"Cannot listen at {host}:{port}.") from error  # Ray tries another port
    return found


async def _listen(server: Server, sockets: list[socket.socket]) -> None:
    first, *others = sockets
    await server.start(listening=first)
    for one in others:
        await server.listen(one)


class _Running:
    """The server as Ray knows one: it ends when `should_exit` is set."""

    def __init__(
        self, answering: Answers, loop: asyncio.AbstractEventLoop, theirs: asyncio.AbstractEventLoop
    ) -> None:
        self._answering = answering
        self._loop = loop
        self._ended: asyncio.Future[None] = theirs.create_future()
        self._ending = False

    async def wait(self) -> None:
        """Return when the server has answered everything and closed."""
        await self._ended

    @property
    def should_exit(self) -> bool:
        """Whether the server is to end."""
        return self._ending

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value and not self._ending:
            self._ending = True
            draining = asyncio.run_coroutine_threadsafe(self._answering.server.drain(_GRACE), self._loop)
            draining.add_done_callback(self._tell)

    def _tell(self, _: object) -> None:
        self._ended.get_loop().call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _handle(
    ours: Callable[[Request], Any],
    app: Callable[..., Awaitable[None]],
    theirs: asyncio.AbstractEventLoop,
    request: Request,
) -> Any:
    if request.target.startswith(_RAYS):
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_ask(app, request), theirs))
    return ours(request)


async def _ask(app: Callable[..., Awaitable[None]], request: Request) -> Response:
    """Return Ray's answer to one of its own paths."""
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query.encode(),
        "headers": list(request.fields.items()),
        "root_path": "",
    }
    status, body, kind = 500, b"", "text/plain"

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, body, kind
        if message["type"] == "http.response.start":
            status = message["status"]
            kind = dict(message["headers"]).get(b"content-type", b"text/plain").decode("latin-1")
        else:
            body += message.get("body", b"")

    await app(scope, receive, send)
    return Response(status, body, Fields(("content-type", kind)))
