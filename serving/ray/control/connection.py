"""The connection of a server to its Ray cluster: looked through every second, and made again when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from ....errors import LexportError, SystemProblem
from ...process import end
from ...supervision import log, pause_before
from .link import Link
from .startup import RayOrders

CHANGE = 110.0
"""Seconds that a change may take: less than the command waits that asks for it."""

_EVERY = 1.0  # seconds between two looks at the cluster
_ANSWER = 15.0  # seconds that a look may take
_MISSED = 3  # looks in a row without an answer after which the connection is made anew
_LONGEST_PAUSE = 30.0


class Ask(Protocol):
    """Asks the cluster."""

    async def __call__(self, question: str, seconds: float = CHANGE, **facts: Any) -> Any:
        """Ask for a method of `cluster.Cluster`. Raises its LexportError, SystemProblem without an answer."""


class Owner(Protocol):
    """Whose connection it is."""

    def see(self, look: Mapping[str, Any]) -> None:
        """Take what a look has shown."""

    def lose(self, problem: LexportError) -> None:
        """Know that the cluster cannot be reached."""

    async def restore(self, ask: Ask) -> None:
        """Join the cluster and bring everything to it: it may know nothing of it. Raises LexportError."""


class Connection:
    """One server's connection."""

    def __init__(self, orders: RayOrders, owner: Owner) -> None:
        """Be connected to nothing yet."""
        self.changing = asyncio.Lock()
        """Held while what the replicas do is changed."""
        self.lost = ""
        """Why nothing can be changed; "" while the cluster answers."""
        self._orders = orders
        self._owner = owner
        self._link = Link(orders.environment)
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> str:
        """Join the cluster and return where requests are answered. Raises SystemProblem."""
        host, port = self._orders.addresses["inference"]
        return await self._link.open(self._orders.server.cluster or None, host, port, timeout=self._orders.timeout)

    async def ask(self, question: str, seconds: float = CHANGE, **facts: Any) -> Any:
        """Ask for a method of `cluster.Cluster`. Raises its LexportError, SystemProblem without an answer."""
        if self.lost:
            raise SystemProblem(
                f"{self.lost}, and nothing can be changed until it answers again. Look with: lexport status",
                code="LX-RAY-152",
            )
        return await self._ask(question, seconds, **facts)

    async def look(self) -> None:
        """Look at replicas and nodes. Raises SystemProblem."""
        self._owner.see(await self._link.ask("look", timeout=_ANSWER))

    def keep_looking(self) -> None:
        """Look again and again until `close`, and connect again if the cluster is lost."""
        self._looking = asyncio.ensure_future(self._look_on())

    def look_no_more(self) -> None:
        """End that."""
        if self._looking is not None:
            self._looking.cancel()

    async def close(self) -> None:
        """Leave the cluster; what runs there stays."""
        self.look_no_more()
        await self._link.close()

    async def _look_on(self) -> None:
        missed = 0
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.look()
                missed = 0
            except LexportError as problem:
                missed += 1
                if missed >= _MISSED or self._link.closed:
                    missed = 0
                    await self._open_again(problem)

    async def _ask(self, question: str, seconds: float = CHANGE, **facts: Any) -> Any:
        return await self._link.ask(question, timeout=seconds, **facts)

    async def _open_again(self, problem: LexportError) -> None:
        """Connect until it succeeds, and have everything answered as before."""
        server = self._orders.server
        where = f"at {server.cluster}" if server.cluster else "of this server"
        self.lost = reason = f"The Ray cluster {where} cannot be reached"
        log(f"{reason}: {problem}")
        self._owner.lose(problem)
        row = 0
        async with self.changing:
            while self.lost:
                row += 1
                await asyncio.sleep(min(pause_before(row), _LONGEST_PAUSE))
                try:
                    if not server.cluster:  # what is left of the former one holds its port
                        await self._link.close()
                        await asyncio.get_running_loop().run_in_executor(None, partial(end, server.id, patience=0.0))
                    await self._owner.restore(self._ask)
                    self.lost = ""
                    await self.look()
                except (LexportError, OSError) as again:
                    self.lost = reason
                    log(f"The connection to the Ray cluster could not be made again: {again}")
        log("The Ray cluster answers again, and so do all models.")
