"""The processes that answer, seen from their supervisor: started, started again when they die, and asked."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ....errors import LexportError, SystemProblem
from ... import launch
from ...supervision import MAX_RESTARTS, STEADY, log, pause_before
from .channel import Channel, Closed
from .refusing import Refusing

_LONGEST_PAUSE = 30.0  # seconds between two starts of a process that dies again and again
_REFUSED_FROM = 1.0  # seconds of a pause from which on connections are refused rather than left waiting

Prepare = Callable[["WorkerProcess"], Awaitable[None]]
"""Tells a process that has just started what it needs to know, until it can listen."""

Died = Callable[["WorkerProcess", str], None]
"""Is told of a process that has ended without being asked to, and why."""


class Ended(NamedTuple):
    """What a process says when it ends."""

    cut: int
    """Connections that were cut."""
    counts: dict[str, Any] | None
    """What it has counted; None if it did not say."""


class WorkerProcess:
    """One process, and those that take its place when it dies. All of them listen at the same socket."""

    def __init__(
        self,
        number: int,
        module: str,
        listening: socket.socket,
        environment: Mapping[str, str],
        prepare: Prepare,
        died: Died,
    ) -> None:
        """Run `module`. `prepare` is called at each start, `died` with the reason of each end nobody asked for."""
        self.number = number
        self.pid = 0
        """Process number; 0 while none runs."""
        self.started = 0.0
        """When it was started, in seconds since 1970."""
        self.ready = False
        """Whether it answers requests."""
        self.row = 0
        """How often it has died in a row."""
        self.ending = False
        """Whether it is to end."""
        self._module = module
        self._listening = listening
        self._environment = environment
        self._prepare = prepare
        self._died = died
        self._process: asyncio.subprocess.Process | None = None
        self._began = 0.0
        self._channel: Channel | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process, and return when it is ready. Raises LexportError if it does not become so."""
        run = await self._spawn()
        try:
            await self._prepare(self)
        except Closed:
            raise SystemProblem(
                f"{await self._reason(run)} before it was ready (out of memory?). Look into the server's logs.",
                code="LX-SERVE-104",
            ) from None
        self.ready = True
        self._watching = asyncio.ensure_future(self._watch(run))

    async def ask(self, question: str, **facts: Any) -> Any:
        """Ask the process. Raises its LexportError; Closed if it has gone."""
        if self._channel is None:
            raise Closed
        return await self._channel.ask(question, **facts)

    async def end(self, seconds: float) -> Ended:
        """End the process, its requests answered within `seconds`."""
        self.ending, self.ready = True, False
        self._listening.close()
        ended = Ended(0, None)
        with suppress(Closed, LexportError, TimeoutError):
            ended = Ended(**await asyncio.wait_for(self.ask("drain", seconds=seconds), seconds + 5.0))
        if self._watching is not None:
            if self.pid:
                await asyncio.wait([self._watching], timeout=2.0)
            self._watching.cancel()  # it may be about to start another one
        self.kill()
        return ended

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _spawn(self) -> asyncio.Task[None]:
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = (theirs.fileno(), self._listening.fileno())
            self._process = await asyncio.create_subprocess_exec(
                *launch.command(self._module),
                *map(str, numbers),
                pass_fds=numbers,
                env=dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
            )
        self.pid, self.started = self._process.pid, time.time()
        self._began = time.monotonic()
        self._channel = await Channel.over(ours)
        return asyncio.ensure_future(self._channel.run())

    async def _reason(self, run: asyncio.Task[None]) -> str:
        """Return why the process has ended, once it has."""
        assert self._process is not None
        await run
        try:
            code = await asyncio.wait_for(self._process.wait(), 5.0)
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        if code < 0:
            return f"Worker {self.number} was killed by signal {-code} ({signal.strsignal(-code) or 'unknown'})"
        return f"Worker {self.number} ended with exit code {code}"

    async def _watch(self, run: asyncio.Task[None]) -> None:
        """Wait until the process has ended; start another one unless it was to end."""
        while True:
            reason = await self._reason(run)
            self.ready, self.pid = False, 0
            if self.ending:
                return
            self._died(self, reason)
            self.row = 1 if time.monotonic() - self._began > STEADY else self.row + 1
            run = await self._restart()

    async def _restart(self) -> asyncio.Task[None]:
        """Start another process, again and again with growing pauses until one is ready."""
        while True:
            pause = min(pause_before(self.row), _LONGEST_PAUSE)
            if pause >= _REFUSED_FROM:
                async with Refusing(self._listening, pause):
                    await asyncio.sleep(pause)
            run = await self._spawn()
            try:
                await self._prepare(self)
            except (Closed, LexportError) as problem:
                self.kill()
                log(f"{await self._reason(run)} while it was started again: {problem}")
                self.row += 1
            else:
                self.ready = True
                return run

    @property
    def loops(self) -> bool:
        """Whether it dies again and again."""
        return self.row > MAX_RESTARTS
