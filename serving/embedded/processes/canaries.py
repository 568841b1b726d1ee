"""The canaries of a server, one for each name: told to its processes, counted, and ended with who watches them."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import Any, Protocol

from ...canary.counts import Tally
from ...canary.rule import Rule
from ...supervision import log
from ..addresses import answers
from .registry import Registry
from .workers import WorkerProcess

LEASE = 30.0
"""Seconds after the last look at its counts that a canary ends: the command that watched it has died."""


class Processes(Protocol):
    """The processes that answer, or their replicas on a cluster."""

    async def tell_all(self, question: str, **facts: Any) -> None:
        """Ask each for the same, those that are being started included."""

    async def count(self) -> dict[str, Any]:
        """Return the sum of what all have counted."""


class Canaries:
    """What `lexport canary` asks for at the management address."""

    def __init__(self, pool: Processes, registry: Registry) -> None:
        """Have none yet."""
        self._pool = pool
        self._registry = registry
        self._running: dict[str, tuple[str, Rule]] = {}
        self._leases: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def begin(self, rule: Rule) -> None:
        """Send a share of a name's requests to another version.

        Raises Failure if the version is not here or is the default, or if the name has a canary;
        LexportError if the processes cannot be told.
        """
        served = self._registry.find(rule.name, rule.version)
        if self._registry.find(rule.name) == served:
            raise answers.conflict(f"{served} is the default of its name")
        if rule.name in self._running:
            raise answers.conflict(f"{self._running[rule.name][1].version} is a canary of {rule.name} already")
        identity = token_hex(8)
        self._running[rule.name] = identity, rule
        self._renew(rule.name)
        try:
            await self._pool.tell_all("canary", identity=identity, **rule.to_json())
        except BaseException:
            del self._running[rule.name]
            self._leases.pop(rule.name).cancel()
            raise
        log(f"{served} is a canary: it gets {rule.share:.1%} of the requests{' as copies' if rule.mirror else ''}.")

    async def count(self, name: str) -> dict[str, Any]:
        """Return what all processes have counted since the canary of a name began. Raises Failure for none."""
        identity, _ = self._find(name)
        self._renew(name)
        counted = await self._pool.count()
        found: dict[str, Any] = counted.get("canaries", {}).get(identity) or Tally().to_json()
        return found

    async def end(self, name: str) -> None:
        """Send all requests that name no version to the default again. Raises Failure if there is no canary."""
        _, rule = self._find(name)
        del self._running[name]
        self._leases.pop(name).cancel()
        await self._pool.tell_all("end_canary", name=name)
        log(f"{name} {rule.version} is no longer a canary.")

    async def tell(self, worker: WorkerProcess) -> None:
        """Tell a process that has just started."""
        for identity, rule in self._running.values():
            await worker.ask("canary", identity=identity, **rule.to_json())

    def _find(self, name: str) -> tuple[str, Rule]:
        if name not in self._running:
            raise answers.bad_request(f"{name[:100]} has no canary.")
        return self._running[name]

    def _renew(self, name: str) -> None:
        if name in self._leases:
            self._leases[name].cancel()
        self._leases[name] = asyncio.get_running_loop().call_later(LEASE, self._expire, name)

    def _expire(self, name: str) -> None:
        log(f"Nobody has watched the canary of {name} for {LEASE:g} s.")
        task = asyncio.ensure_future(self.end(name))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
