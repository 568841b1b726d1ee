"""What stands above the replicas on a cluster: the models of a server, its own addresses here, its state."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ....errors import LexportError
from ....export.archive.verify import verify
from ... import folders, state
from ...canary.rule import Rule
from ...embedded.addresses import answers, metrics
from ...embedded.processes.archives import Archives
from ...embedded.processes.canaries import Canaries
from ...embedded.processes.keys import Keys
from ...embedded.processes.listening import Listening
from ...embedded.processes.orders import of_numbers
from ...embedded.processes.registry import Registry, Served, described
from ...store import read
from ...supervision import log, say
from ...tokens import Accepted
from .connection import CHANGE, Ask, Connection
from .models import Models
from .probes import Probes
from .startup import RayOrders
from .watching import Watching


class Supervisor:
    """One server on a Ray cluster."""

    def __init__(self, orders: RayOrders) -> None:
        """Do what the `orders` say."""
        self.orders = orders
        self.registry = Registry()
        self.server = replace(orders.server, supervisor=os.getpid(), pid=os.getpid(), started=time.time())
        self.abandoned = False
        """Whether the process that started the server has died before it was to outlive it."""
        self._archives = Archives(orders)
        self._watching = Watching(log)
        self._connection = Connection(orders, self)
        self._models = Models(orders, self.registry, self._archives, self._connection)
        self._listening = Listening(orders)
        self._keys = Keys(orders, self._take_tokens)
        self._models.tokens = None if self._keys.inference is None else Accepted.parse(self._keys.inference)
        self.canaries = Canaries(self, self.registry)
        self._ending = False

    async def start(self) -> None:
        """Join the cluster, open all addresses, and have every model answered. Raises LexportError or OSError."""
        orders = self.orders
        folders.fresh_run(orders.server.state_dir)
        await self._listening.open("metrics", metrics.MetricsAddress(self._collect).handle)
        await self._listening.open_management(self, self._keys.management)
        if "health" in orders.addresses:
            probes = Probes(self.registry, self._watching, lambda: self._why_unready)
            await self._listening.open("health", probes.answer)
        self._answered_at(await self._connection.open())
        self._keys.write()
        for file, options in orders.models.items():
            self.registry.add(await self._models.open(file, None, options))
        for name in self.registry.defaults:
            await self._models.apply(name, orders.timeout)
            say(f"{name}: its goldens passed in each of its replicas.")
        for name in orders.former:
            if name not in self.registry.defaults:
                await self._models.remove(name)
        await self._connection.look()
        state.save(self.server)
        self._connection.keep_looking()
        log(f"The server on Ray runs (pid {self.server.pid}): {', '.join(map(str, self.registry.served))}.")

    async def end(self, drain: float | None = None) -> None:
        """Take the models from the cluster, which answers what has been asked, and leave it."""
        self._ending = True
        self._connection.look_no_more()
        seconds = self.server.drain if drain is None else drain
        for name in sorted(self._models.applied):
            with suppress(LexportError):
                await self._models.remove(name, seconds + CHANGE)
        with suppress(LexportError):
            await self._connection.ask("close", 30.0, stop_apps=not self.server.cluster)
        await self._connection.close()
        await self._listening.close()
        if self.abandoned:
            folders.clean(self.server.state_dir)
        log("The server has ended.")

    # What the management address asks for: `management.Operations`.

    async def describe(self, served: Served) -> dict[str, Any]:
        """Return a version as TorchServe describes it; its workers are the model's replicas."""
        workers = self._watching.workers(served.name, served.version)
        found = described(served, workers, self._watching.waiting(served.name, served.version))
        for one, worker in zip(found["workers"], workers, strict=True):
            one["node"] = worker.node
        return found | {"maxWorkers": max(served.workers, self._models.most.get(served.name, 0))}

    async def describe_itself(self, served: Served) -> Any:
        """Raise Failure: replicas answer what is asked of a model, and describe nothing."""
        raise answers.bad_request(
            "customized=true has no meaning on a Ray cluster; lexport inspect says what an archive is."
        )

    def check(self, file: str, name: str | None) -> None:
        """Raise Failure for what `register` would refuse by its name, LexportError for a file that is no archive."""
        archive = read(self._archives.path_of(file))
        self.registry.check_new(name or archive.name, archive.version)

    async def register(self, file: str, name: str | None, options: Mapping[str, int]) -> Served:
        """Serve an archive of the store. Raises Failure, or the LexportError that kept it from being opened."""
        self._check_replicas(options.get("workers", 1))
        known = self.orders.models.get(file)
        path = self._archives.path_of(file)
        defaults = self.orders.defaults if known is None else known
        await asyncio.get_running_loop().run_in_executor(None, verify, path, self.orders.keys)
        own = {} if known is not None else of_numbers(read(path).numbers)
        served = replace(await self._models.open(file, name, {**defaults, **own, **options}), at_startup=False)
        self.registry.add(served)
        try:
            await self._models.apply(served.name)
        except BaseException:
            self.registry.remove(served.name, served.version)
            raise
        log(f"{served} was registered.")
        return served

    async def scale(self, served: Served, workers: int) -> None:
        """Have so many replicas answer a version, and no longer as many as its load needs. Raises LexportError."""
        self._check_replicas(workers)
        most = self._models.most.pop(served.name, None)
        changed = self.registry.scale(served, workers)
        try:
            await self._models.apply(served.name)
        except BaseException:
            self.registry.scale(changed, served.workers)
            if most is not None:
                self._models.most[served.name] = most
            raise
        log(f"{served} is answered by {workers} {'replica' if workers == 1 else 'replicas'}.")

    def files(self) -> list[tuple[str, str, str]]:
        """Return file, name and version of each archive in the store that is not served."""
        return self._archives.unused({(one.name, one.version) for one in self.registry.served})

    def repository(self) -> list[tuple[str, str, bool]]:
        """Return name and version of each that is served or in the store, and whether it answers."""
        served = [
            (one.name, one.version, any(worker.ready for worker in self._watching.workers(one.name, one.version)))
            for one in self.registry.served
        ]
        return sorted([*served, *((name, version, False) for _, name, version in self.files())])

    async def make_default(self, name: str, version: str) -> None:
        """Make a version its name's default. Raises Failure or LexportError."""
        before = self.registry.find(name).version
        self.registry.make_default(name, version)
        try:
            await self._models.apply(name)
        except BaseException:
            self.registry.make_default(name, before)
            raise
        log(f"{name} {version} is the default of its name.")

    async def unregister(self, served: Served) -> None:
        """Stop serving a version. Raises Failure or LexportError."""
        default = self.registry.find(served.name).version
        self.registry.remove(served.name, served.version)
        try:
            if served.name in self.registry.defaults:
                await self._models.apply(served.name)
            else:
                await self._models.remove(served.name)
        except BaseException:
            self.registry.put(served.name, served.version, served)
            self.registry.make_default(served.name, default)
            raise
        self._save()
        log(f"{served} was taken away.")

    async def rotate(self) -> None:
        """Take the tokens of the key file that lies beside the server's. Raises LexportError."""
        await self._keys.rotate()

    # What canaries and tokens ask of all replicas.

    async def tell_all(self, question: str, **facts: Any) -> None:
        """Have all replicas of a model begin or end a canary. Raises SystemProblem."""
        name = facts["name"]
        if question == "canary":
            identity = facts.pop("identity")
            self._models.rules[name] = identity, Rule(**facts)
            try:
                await self._models.apply(name)
            except BaseException:
                del self._models.rules[name]
                raise
            return
        del self._models.rules[name]
        if not self._connection.lost and name in self.registry.defaults:  # else they are told once they can be
            await self._models.apply(name)

    async def count(self) -> dict[str, Any]:
        """Return the sum of what all replicas have counted."""
        if not self._connection.lost:
            await self._connection.look()
        return self._watching.counting.total

    async def _take_tokens(self, tokens: Mapping[str, Any]) -> None:
        self._models.tokens = Accepted.parse(tokens)
        await self._models.apply_all()

    async def _collect(self, names: list[str]) -> bytes:
        with suppress(LexportError):  # what was counted before is told
            await self.count()
        ready = {
            worker.number
            for one in self.registry.served
            for worker in self._watching.workers(one.name, one.version)
            if worker.ready
        }
        return metrics.render(self._watching.counting.total, len(ready), self.server.restarts, names)

    # What its connection tells: `connection.Owner`.

    def see(self, look: Mapping[str, Any]) -> None:
        """Take what a look at the cluster has shown."""
        self._watching.take(look)
        self._save()

    def lose(self, problem: LexportError) -> None:
        """Know that the cluster cannot be reached."""
        self._watching.lose()
        reason = f"the Ray cluster was lost: {problem.message}"[:500]
        self.server = replace(self.server, restarts=self.server.restarts + 1, last_reason=reason)
        self._save()

    async def restore(self, ask: Ask) -> None:
        """Join the cluster again, and bring everything to it. Raises LexportError."""
        self._answered_at(await self._connection.open())
        await self._models.restore(ask)

    def _answered_at(self, url: str) -> None:
        self.server = replace(self.server, inference_url=url)

    def _check_replicas(self, workers: int) -> None:
        if workers < 1:
            raise answers.bad_request("A model on a Ray cluster has one replica at least; unregister it instead.")

    @property
    def _why_unready(self) -> str:
        return "the server is stopping" if self._ending else self._connection.lost

    def _save(self) -> None:
        """Write what other commands know of the server, once it has been started and where it has changed."""
        registry = self.registry
        found = replace(
            self.server,
            models=registry.defaults,
            workers=self._models.replicas,
            problem=self._connection.lost or self._watching.problem,
        )
        changed, self.server = found != self.server, found
        if not changed or self._ending or not (self.server.state_dir / folders.SERVER).exists():
            return
        try:
            state.save(self.server)
        except (LexportError, OSError) as problem:  # a full disk is no reason to stop
            log(str(problem))
