"""What stands above the processes that answer: the models of a server, its own addresses, its state."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ....errors import LexportError
from ....export.archive.verify import verify
from ... import folders, state
from ...settings.addresses import GRPC_INFERENCE
from ...store import read
from ...supervision import log, say
from ..addresses import answers, metrics
from .archives import Archives
from .canaries import Canaries
from .channel import Closed
from .keys import Keys
from .listening import Listening
from .orders import Orders, of_numbers
from .pool import Pool
from .probes import Probes
from .registry import Registry, Served, described
from .workers import WorkerProcess


class Supervisor:
    """One server: its models, its processes and its own addresses."""

    def __init__(self, orders: Orders) -> None:
        """Do what the `orders` say."""
        self.orders = orders
        self.registry = Registry()
        self.server = replace(orders.server, supervisor=os.getpid(), pid=os.getpid(), started=time.time())
        self.abandoned = False
        """Whether the process that started the server has died before it was to outlive it."""
        self._pool = Pool(orders, self._prepare, self._note_death)
        self._listening = Listening(orders)
        self._ending = False
        self._archives = Archives(orders)
        self.canaries = Canaries(self._pool, self.registry)
        self._keys = Keys(orders, lambda tokens: self._pool.tell_all("tokens", tokens=tokens))

    async def start(self) -> None:
        """Open all addresses, extract and load all models. Raises LexportError or OSError."""
        orders = self.orders
        folders.fresh_run(orders.server.state_dir)
        self._pool.open()
        await self._listening.open("metrics", metrics.MetricsAddress(self._collect).handle)
        await self._listening.open_management(self, self._keys.management)
        if "health" in orders.addresses:
            await self._listening.open("health", Probes(self._pool, self.registry, lambda: self._ending).answer)
        self._keys.write()
        loop = asyncio.get_running_loop()
        for file, options in orders.models.items():
            served = await loop.run_in_executor(None, self._archives.extract, file, None, options)
            self.registry.add(served)
        await self._grow()
        state.save(self.server)
        log(f"The embedded engine runs (pid {self.server.pid}): {', '.join(map(str, self.registry.served))}.")

    async def end(self, drain: float | None = None) -> None:
        """Answer what has been asked, within the server's time to drain or `drain` seconds, and end all processes."""
        self._ending = True
        seconds = self.server.drain if drain is None else drain
        began = time.monotonic()
        cut = await self._pool.end(seconds)
        await self._listening.close()
        waited = f"after {time.monotonic() - began:.1f} s"
        log(f"Connections cut {waited}: {cut}." if cut else f"All requests were answered {waited}.")
        if self.abandoned:
            folders.clean(self.server.state_dir)
        log("The server has ended.")

    # What the management address asks for: `management.Operations`.

    async def describe(self, served: Served) -> dict[str, Any]:
        """Return a version as TorchServe describes it."""
        waiting = 0
        if served.workers:
            counted = await self._pool.count()
            waiting = counted.get("models", {}).get(str(served), {}).get("waiting", 0)
        return described(served, list(self._pool), waiting)

    async def describe_itself(self, served: Served) -> Any:
        """Return what the model says of itself. Raises Failure if no process can."""
        for worker in self._pool.ready:
            if served.workers:
                try:
                    return await worker.ask("describe", name=served.name, version=served.version)
                except Closed:
                    continue
        raise answers.no_worker(served.name)

    def check(self, file: str, name: str | None) -> None:
        """Raise Failure for what `register` would refuse by its name, LexportError for a file that is no archive."""
        archive = read(self._archives.path_of(file))
        self.registry.check_new(name or archive.name, archive.version)

    async def register(self, file: str, name: str | None, options: Mapping[str, int]) -> Served:
        """Serve an archive of the store. Raises Failure, or the LexportError that kept it from being opened."""
        known = self.orders.models.get(file)
        path = self._archives.path_of(file)
        defaults = known if known is not None else self.orders.defaults
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, verify, path, self.orders.keys)
        own = {} if known is not None else of_numbers(read(path).numbers)
        served = await loop.run_in_executor(None, self._archives.extract, file, name, {**defaults, **own, **options})
        served = replace(served, at_startup=False)
        try:
            self.registry.add(served)
        except answers.Failure:
            folders.discard(served.folder)
            raise
        try:
            await self._everywhere(served)
            await self._grow()
        except BaseException:
            await self._forget(served)
            raise
        log(f"{served} was registered.")
        return served

    async def scale(self, served: Served, workers: int) -> None:
        """Have so many processes answer a version. Raises LexportError if one does not start."""
        changed = self.registry.scale(served, workers)
        try:
            if bool(served.workers) != bool(workers):
                await self._everywhere(changed)
            await self._grow()
        except BaseException:
            self.registry.scale(changed, served.workers)
            raise
        await self._shrink()
        log(f"{served} is answered by {workers} {'worker' if workers == 1 else 'workers'}.")

    def files(self) -> list[tuple[str, str, str]]:
        """Return file, name and version of each archive in the store that is not served."""
        return self._archives.unused({(one.name, one.version) for one in self.registry.served})

    def repository(self) -> list[tuple[str, str, bool]]:
        """Return name and version of each that is served or in the store, and whether it answers."""
        ready = bool(self._pool.ready)
        served = [(one.name, one.version, ready and one.workers > 0) for one in self.registry.served]
        return sorted([*served, *((name, version, False) for _, name, version in self.files())])

    async def make_default(self, name: str, version: str) -> None:
        """Make a version its name's default. Raises Failure."""
        self.registry.make_default(name, version)
        await self._pool.tell("default", name=name, version=version)
        self._save()
        log(f"{name} {version} is the default of its name.")

    async def unregister(self, served: Served) -> None:
        """Stop serving a version. Raises Failure."""
        await self._forget(served)
        await self._shrink()
        log(f"{served} was taken away.")

    async def rotate(self) -> None:
        """Take the tokens of the key file that lies beside the server's. Raises LexportError."""
        await self._keys.rotate()

    async def _forget(self, served: Served) -> None:
        self.registry.remove(served.name, served.version)
        await self._pool.tell("unload", name=served.name, version=served.version)
        folders.discard(served.folder)
        self._save()

    async def _everywhere(self, served: Served) -> None:
        """Have every process open a version, or close it if none is to answer it."""
        for worker in self._pool.ready:
            try:
                await self._give(worker, served)
            except Closed:  # the one that takes its place is told everything
                continue
        self._save()

    async def _give(self, worker: WorkerProcess, served: Served) -> None:
        if not served.workers:
            await worker.ask("suspend", name=served.name, version=served.version)
            return
        await worker.ask(
            "load",
            folder=str(served.folder),
            file=served.url,
            name=served.name,
            largest=served.largest,
            queue=self._share(served),
            seconds=float(served.seconds),
        )

    def _share(self, served: Served) -> int:
        """Return how many requests may wait for a version in one process."""
        return max(1, served.queue // self.registry.processes)

    # The processes.

    @property
    def _threads(self) -> int:
        return max(1, self.orders.cores // self.registry.processes)

    async def _grow(self) -> None:
        """Start processes until there are as many as the models ask for."""
        if await self._pool.grow(self.registry.processes):
            await self._adjust()

    async def _shrink(self) -> None:
        """End processes that no model asks for, their requests answered."""
        if await self._pool.shrink(self.registry.processes, self.server.drain):
            await self._adjust()

    async def _adjust(self) -> None:
        """Divide cores and queues over the processes that there are now."""
        queues = {str(served): self._share(served) for served in self.registry.served}
        await self._pool.tell("threads", threads=self._threads, queues=queues)
        self.server = replace(self.server, workers=len(self._pool), threads=self._threads)
        self._save()

    async def _prepare(self, worker: WorkerProcess) -> None:
        """Tell a process that has just started everything, and have it listen."""
        orders = self.orders
        gpu = worker.number % orders.gpus if orders.gpus else None
        await worker.ask(
            "begin",
            tokens=self._keys.inference,
            limits=orders.limits,
            threads=self._threads,
            gpu=gpu,
            log=str(self._listening.log_file(worker.number)),
            grpc=orders.addresses.get(GRPC_INFERENCE),
        )
        for served in self.registry.served:
            await asyncio.get_running_loop().run_in_executor(None, self._archives.restore, served)
            await self._give(worker, served)
            if not served.workers:
                continue
            say(f"{served}: its goldens passed in process {worker.number + 1} of {self.registry.processes}.")
        for name, version in self.registry.defaults.items():
            await worker.ask("default", name=name, version=version)
        await self.canaries.tell(worker)
        await worker.ask("listen")
        log(f"Worker {worker.number} is ready (pid {worker.pid}).")

    def _note_death(self, worker: WorkerProcess, reason: str) -> None:
        log(f"{reason}.")
        self.server = replace(self.server, restarts=self.server.restarts + 1, last_reason=reason[:500])
        self._save()

    def _save(self) -> None:
        """Write what other commands know of the server, once it has been started."""
        if self._ending or not (self.server.state_dir / folders.SERVER).exists():
            return
        self.server = replace(self.server, models=self.registry.defaults)
        try:
            state.save(self.server)
        except (LexportError, OSError) as problem:  # a full disk is no reason to stop
            log(str(problem))

    # What has been counted.

    async def _collect(self, names: list[str]) -> bytes:
        found = await self._pool.count()
        return metrics.render(found, len(self._pool.ready), self.server.restarts, names)
