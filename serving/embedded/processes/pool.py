"""The processes that answer, together: as many as are wanted, told the same, their counts added up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ....errors import LexportError
from ...settings.addresses import GRPC_INFERENCE
from ..statistics import added
from .channel import Closed
from .orders import Orders
from .sockets import beside, bound
from .workers import Died, Prepare, WorkerProcess

_WORKER = "lexport.serving.embedded.processes.worker"
_PATIENCE = 3.0  # seconds that a process may take to say what it has counted
LOOKED_EVERY = 0.5
"""Seconds between two looks at what processes have counted: one that is killed loses what came since the last."""


class Pool:
    """The processes of one server. All listen at the inference address, each at a socket of its own."""

    def __init__(self, orders: Orders, prepare: Prepare, died: Died) -> None:
        """Have none yet; `prepare` and `died` are those of `WorkerProcess`."""
        self._orders = orders
        self._prepare = prepare
        self._died = died
        self._workers: list[WorkerProcess] = []
        self._first: socket.socket | None = None
        self._grpc: socket.socket | None = None
        # What processes had counted that have ended, and what each of the others has said last: counters never fall.
        self._gone: dict[str, Any] = {}
        self._said: dict[int, dict[str, Any]] = {}
        self._looking: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[WorkerProcess]:
        """Iterate over the processes, those that are being started again included."""
        return iter(self._workers)

    def __len__(self) -> int:
        """Return how many there are to be."""
        return len(self._workers)

    @property
    def ready(self) -> list[WorkerProcess]:
        """Those that answer."""
        return [worker for worker in self._workers if worker.ready]

    def open(self) -> None:
        """Take the inference addresses, and begin to look at counts. Raises OSError if an address is in use."""
        self._first = bound(*self._orders.addresses["inference"])
        if GRPC_INFERENCE in self._orders.addresses:
            # Each process listens there at a socket of its own; this one keeps other programs away.
            self._grpc = bound(*self._orders.addresses[GRPC_INFERENCE])
        self._looking = asyncio.ensure_future(self._look())

    async def grow(self, wanted: int) -> bool:
        """Start processes until there are `wanted`; return whether any was started.

        Raises what keeps one from becoming ready; then none of the new ones is left.
        """
        new: list[WorkerProcess] = []
        for number in range(len(self._workers), wanted):
            assert self._first is not None
            listening = self._first.dup() if number == 0 else beside(self._first)
            new.append(WorkerProcess(number, _WORKER, listening, self._orders.environment, self._prepare, self._lost))
        self._workers += new
        outcomes = await asyncio.gather(*[worker.start() for worker in new], return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:
            for worker in new:
                self._workers.remove(worker)
                await worker.end(0.0)
            raise failures[0]
        return bool(new)

    async def shrink(self, wanted: int, seconds: float) -> bool:
        """End processes beyond `wanted`, their requests answered within `seconds`; return whether there were any."""
        left_over, self._workers = self._workers[wanted:], self._workers[:wanted]
        await asyncio.gather(*[self._retire(worker, seconds) for worker in left_over])
        return bool(left_over)

    async def tell(self, question: str, **facts: Any) -> None:
        """Ask each that is ready for the same."""
        for worker in self.ready:
            try:
                await worker.ask(question, **facts)
            except Closed:  # the one that takes its place is told everything
                continue

    async def tell_all(self, question: str, **facts: Any) -> None:
        """Ask each for the same, those that are being started included."""
        for worker in list(self._workers):
            with suppress(Closed):  # the one that takes its place is told everything
                await worker.ask(question, **facts)

    async def count(self) -> dict[str, Any]:
        """Return the sum of what all have counted, those that have ended included.

        Of one that was killed it is what it had said when it was asked last, LOOKED_EVERY seconds before at most, and
        its last batch, while which it answers nothing.
        """
        await asyncio.gather(*map(self._ask_counts, self.ready))
        return added([self._gone, *self._said.values()])

    async def end(self, seconds: float) -> int:
        """End all, their requests answered within `seconds`. Return how many connections were cut."""
        if self._looking is not None:
            self._looking.cancel()
        for held in (self._first, self._grpc):
            if held is not None:
                held.close()
        ended = await asyncio.gather(*[worker.end(seconds) for worker in self._workers])
        return sum(one.cut for one in ended)

    async def _retire(self, worker: WorkerProcess, seconds: float) -> None:
        ended = await worker.end(seconds)
        if ended.counts is not None:
            self._said[worker.number] = ended.counts
        self._keep(worker)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOKED_EVERY)
            await asyncio.gather(*map(self._ask_counts, self.ready))

    def _lost(self, worker: WorkerProcess, reason: str) -> None:
        self._keep(worker)
        self._died(worker, reason)

    def _keep(self, worker: WorkerProcess) -> None:
        """Keep the counts of a process that has ended."""
        counts = self._said.pop(worker.number, None)
        if counts is not None:
            models = {name: {**model, "waiting": 0} for name, model in counts["models"].items()}
            self._gone = added([self._gone, {**counts, "models": models, "connections": 0}])

    async def _ask_counts(self, worker: WorkerProcess) -> None:
        """Have a process say what it has counted; what it said before stays where it does not answer."""
        with suppress(Closed, TimeoutError, LexportError):
            self._said[worker.number] = await asyncio.wait_for(worker.ask("count"), _PATIENCE)
