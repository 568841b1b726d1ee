"""The proxy's life: a thread with a loop of its own, in the process of the command that runs the canary."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlsplit

from ....errors import InputError, LexportError, SystemProblem
from ... import folders
from ...canary.rule import Rule
from ...embedded.http import Limits, Server, new_event_loop
from ...embedded.processes.sockets import room_for_connections
from ...settings.addresses import Address
from ...settings.properties import parse
from ...state import Server as State
from ..handover import listening_sockets
from ..listeners import NotPermitted
from .proxy import Proxy
from .steering import SOURCE, beside, give_back
from .upstream import Upstream


class Running:
    """A proxy that runs."""

    def __init__(self, server: State, rule: Rule, listen: Address | None) -> None:
        """Stand in front of `server` by the `rule`, at `listen`; None: in its place."""
        self._server, self._rule, self._listen = server, rule, listen
        self._proxy: Proxy | None = None
        self._ready = threading.Event()
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self.lost = False
        """Whether TorchServe has ended, or was started again."""

    def count(self) -> dict[str, Any]:
        """Return what has been counted. Raises SystemProblem if TorchServe has ended meanwhile."""
        if self.lost:
            raise SystemProblem(
                "TorchServe has ended, or was started again, while the canary ran. The canary is over, and all "
                "requests go to the default version. Look with: lexport status",
                code="LX-SERVE-194",
            )
        assert self._proxy is not None
        return self._proxy.tally.to_json()

    def start(self) -> None:
        """Return once the proxy gets the connections. Raises SystemProblem or InputError if it cannot."""
        self._thread = threading.Thread(target=self._run, name="lexport-canary", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Give the connections back and return once all requests have been answered."""
        if self._loop is not None and self._end is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        address = urlsplit(self._server.inference_url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        upstream = Upstream(host, port, SOURCE if self._listen is None else None)
        rule = self._rule
        proxy = self._proxy = Proxy(upstream, rule, quote(rule.name, safe=""), quote(rule.version, safe=""))
        front = Server(proxy.handle, _limits(self._server))
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        process = self._watch_frontend()
        taken: list[socket.socket] = []
        try:
            taken = await self._open(front)
            self._ready.set()
            await self._end.wait()
            for one in taken:
                with suppress(OSError):
                    give_back(one)
            await front.drain(0.0 if self.lost else self._server.drain)
        finally:
            front.close()
            proxy.close()
            upstream.close()
            for one in taken:
                one.close()
            self._loop.remove_reader(process)
            os.close(process)

    def _watch_frontend(self) -> int:
        """End when TorchServe does: while this process listens at its port, it cannot start again."""
        assert self._loop is not None
        try:
            process = os.pidfd_open(self._server.pid)
        except (AttributeError, OSError):
            raise _not_possible("TorchServe's process cannot be watched") from None
        self._loop.add_reader(process, self._note_loss)
        return process

    def _note_loss(self) -> None:
        assert self._end is not None
        self.lost = True
        self._end.set()

    async def _open(self, front: Server) -> list[socket.socket]:
        if self._listen is not None:
            host, port = self._listen.host, self._listen.port
            try:
                await front.start(host, port)
            except OSError as error:
                raise InputError(
                    f"The proxy of the canary cannot listen at {host}:{port}: {error.strerror or error}. Choose "
                    "another address with --listen.",
                    code="LX-SERVE-195",
                ) from None
            return []
        try:
            theirs = listening_sockets(self._server.run_dir)
        except NotPermitted as reason:
            raise _not_possible(str(reason)) from None
        taken: list[socket.socket] = []
        try:
            if len(theirs) != 1 or theirs[0].getsockname()[0] == "::1":
                raise _not_possible(f"it listens at {len(theirs)} sockets, or over IPv6 alone")
            taken.append(beside(theirs[0]))
            await front.start(listening=taken[0].dup())
        except OSError as error:
            for one in taken:
                one.close()
            raise _not_possible(error.strerror or str(error)) from None
        finally:
            for one in theirs:
                one.close()
        return taken


def _limits(server: State) -> Limits:
    """Return TorchServe's own limit of a body, and half of the connections that there is room for: each has two."""
    settings = parse((server.state_dir / folders.SETTINGS).read_text(encoding="utf-8"))
    body = int(settings.get("max_request_size", Limits.body))
    connections, _ = room_for_connections(grpc=False)
    return Limits(body=body, bodies=max(Limits.bodies, 2 * body), connections=max(1, connections // 2))


def _not_possible(reason: str) -> LexportError:
    return SystemProblem(
        f"The connections of TorchServe cannot be taken over for a canary: {reason}. Have the proxy listen at an "
        "address of its own, and send the requests there: --listen 127.0.0.1:8090",
        code="LX-SERVE-196",
    )


@contextmanager
def running(server: State, rule: Rule, listen: Address | None) -> Iterator[Running]:
    """Context manager: a proxy in front of TorchServe."""
    proxy = Running(server, rule, listen)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.end()
