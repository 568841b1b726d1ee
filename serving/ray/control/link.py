"""The supervisor's side of the process that is connected to a Ray cluster."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ....errors import SystemProblem
from ... import launch
from ...embedded.processes.channel import Channel, Closed

_DRIVER = "lexport.serving.ray.control.driver"
_END = 3.0  # seconds that the process has to end once it is told nothing more


class Link:
    """One connection; `open` makes another one, in another process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Be connected to nothing yet; the process is to have this `environment`."""
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, address: str | None, host: str, port: int, *, timeout: float) -> str:
        """Connect to the cluster at `address`, None: to a new one here, and return where requests are answered.

        Raises SystemProblem.
        """
        await self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *launch.command(_DRIVER),
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                env=dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,  # what Ray prints belongs into the log
            )
        self._channel = await Channel.over(ours)
        self._reading = asyncio.ensure_future(self._channel.run())
        return str(await self.ask("connect", timeout=timeout, address=address, host=host, port=port))

    async def ask(self, question: str, *, timeout: float, **facts: Any) -> Any:
        """Ask for one of the methods of `cluster.Cluster`, within `timeout` seconds.

        Raises the LexportError of that method, SystemProblem if the connection has ended or there is no answer.
        """
        try:
            if self._channel is None:
                raise Closed
            return await asyncio.wait_for(self._channel.ask(question, **facts), timeout)
        except Closed:
            raise SystemProblem(
                "The connection to the Ray cluster has ended; the server connects again. Look with: lexport status",
                code="LX-RAY-150",
            ) from None
        except TimeoutError:
            raise SystemProblem(
                f"The Ray cluster has not answered within {timeout:g} s ({question}). Look at it with: ray status",
                code="LX-RAY-151",
            ) from None

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._channel is None or self._channel.closed

    async def close(self) -> None:
        """End the process, and with it the connection; what runs on the cluster stays."""
        process, self._process, self._channel = self._process, None, None
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), _END)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
