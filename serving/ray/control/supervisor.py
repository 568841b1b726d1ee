"""What stands above the replicas on a cluster: the models of a server, its own addresses here, its state."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from ....errors import LexportError, SystemProblem
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
from ...process import end
from ...store import read
from ...supervision import log, pause_before, say
from ...tokens import Accepted
from ..orders import ModelOrder, VersionOrder, hashed_tokens
from .link import Link
from .probes import Probes
from .startup import RayOrders
from .watching import Watching

_EVERY = 1.0  # seconds between two looks at the cluster
_ANSWER = 15.0  # seconds that a look may take
_MISSED = 3  # looks in a row without an answer after which the connection is made anew
_CHANGE = 110.0  # seconds that a change may take: less than the command waits that asks for it
_LONGEST_PAUSE = 30.0


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
        self._link = Link(orders.environment)
        self._watching = Watching(log)
        self._listening = Listening(orders)
        self._keys = Keys(orders, self._take_tokens)
        self._rules: dict[str, tuple[str, Rule]] = {}
        self.canaries = Canaries(self, self.registry)
        self._tokens = None if self._keys.inference is None else Accepted.parse(self._keys.inference)
        self._digests: dict[str, str] = {}
        self._most = dict(orders.most)
        self._applied: set[str] = set()
        self._lost = ""
        self._changing = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
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
        await self._connect()
        self._keys.write()
        for file, options in orders.models.items():
            self.registry.add(await self._opened(file, None, options))
        for name in self.registry.defaults:
            await self._apply(name, orders.timeout)
            say(f"{name}: its goldens passed in each of its replicas.")
        for name in orders.former:
            if name not in self.registry.defaults:
                await self._ask("remove", name=name)
        await self._look()
        state.save(self.server)
        self._looking = asyncio.ensure_future(self._keep_looking())
        log(f"The server on Ray runs (pid {self.server.pid}): {', '.join(map(str, self.registry.served))}.")

    async def end(self, drain: float | None = None) -> None:
        """Take the models from the cluster, which answers what has been asked, and leave it."""
        self._ending = True
        if self._looking is not None:
            self._looking.cancel()
        seconds = self.server.drain if drain is None else drain
        for name in sorted(self._applied):
            with suppress(LexportError):
                await self._link.ask("remove", timeout=seconds + _CHANGE, name=name)
        with suppress(LexportError):
            await self._link.ask("close", timeout=30.0, stop_apps=not self.server.cluster)
        await self._link.close()
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
        return found | {"maxWorkers": max(served.workers, self._most.get(served.name, 0))}

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
        served = replace(await self._opened(file, name, {**defaults, **own, **options}), at_startup=False)
        self.registry.add(served)
        try:
            await self._apply(served.name)
        except BaseException:
            self.registry.remove(served.name, served.version)
            raise
        log(f"{served} was registered.")
        return served

    async def scale(self, served: Served, workers: int) -> None:
        """Have so many replicas answer a version, and no longer as many as its load needs. Raises LexportError."""
        self._check_replicas(workers)
        most = self._most.pop(served.name, None)
        changed = self.registry.scale(served, workers)
        try:
            await self._apply(served.name)
        except BaseException:
            self.registry.scale(changed, served.workers)
            if most is not None:
                self._most[served.name] = most
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
            await self._apply(name)
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
                await self._apply(served.name)
            else:
                await self._ask("remove", name=served.name)
                self._applied.discard(served.name)
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
            self._rules[name] = identity, Rule(**facts)
            try:
                await self._apply(name)
            except BaseException:
                del self._rules[name]
                raise
            return
        del self._rules[name]
        if not self._lost and name in self.registry.defaults:  # else they are told once they can be
            await self._apply(name)

    async def count(self) -> dict[str, Any]:
        """Return the sum of what all replicas have counted."""
        if not self._lost:
            await self._look()
        return self._watching.counting.total

    async def _take_tokens(self, tokens: Mapping[str, Any]) -> None:
        self._tokens = Accepted.parse(tokens)
        for name in self.registry.defaults:
            await self._apply(name)

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

    # The models on the cluster.

    async def _opened(self, file: str, name: str | None, options: Mapping[str, Any]) -> Served:
        """Bring an archive of the store into the cluster."""
        path = self._archives.path_of(file)
        archive = read(path)
        self._digests[file] = await self._ask("put", path=str(path))
        return Served(name=name or archive.name, version=archive.version, url=file, folder=path, **options)

    def _order(self, name: str) -> ModelOrder:
        """Return what the replicas of a model are to know."""
        served = self.registry.all(name)
        least = max(one.workers for one in served.values())
        default = self.registry.find(name).version
        rule = self._rules.get(name)
        if rule is not None and (rule[1].version == default or rule[1].version not in served):
            rule = None  # it was promoted, or taken away, and its command ends it in a moment
        return ModelOrder(
            name,
            tuple(
                VersionOrder(
                    one.version,
                    self._digests[one.url],
                    largest=one.largest,
                    queue=max(1, one.queue // least),
                    seconds=float(one.seconds),
                )
                for one in served.values()
            ),
            default,
            rule,
            hashed_tokens(self._tokens),
            self.orders.keys,
            self.orders.limits,
            self.orders.threads,
            least,
            max(least, self._most.get(name, 0)),
        )

    async def _apply(self, name: str, seconds: float = _CHANGE) -> None:
        """Return once each replica of a model does what its order says. Raises SystemProblem."""
        async with self._changing:
            self._applied.add(name)
            order = self._order(name).to_json()
            await self._ask("apply", seconds, order=order, within=max(1.0, seconds - 5.0))
        await self._look()
        self._save()

    async def _ask(self, question: str, seconds: float = _CHANGE, **facts: Any) -> Any:
        if self._lost:
            raise SystemProblem(
                f"{self._lost}, and nothing can be changed until it answers again. Look with: lexport status",
                code="LX-RAY-152",
            )
        return await self._link.ask(question, timeout=seconds, **facts)

    def _check_replicas(self, workers: int) -> None:
        if workers < 1:
            raise answers.bad_request("A model on a Ray cluster has one replica at least; unregister it instead.")

    # The connection.

    async def _connect(self) -> None:
        """Join the cluster. Raises SystemProblem."""
        host, port = self.orders.addresses["inference"]
        address = self.server.cluster or None
        url = await self._link.open(address, host, port, timeout=self.orders.timeout)
        self.server = replace(self.server, inference_url=url)

    async def _look(self) -> None:
        """Look at replicas and nodes. Raises SystemProblem."""
        self._watching.take(await self._link.ask("look", timeout=_ANSWER))
        self._save()

    async def _keep_looking(self) -> None:
        """Look at the cluster again and again; connect again if it is lost."""
        missed = 0
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self._look()
                missed = 0
            except LexportError as problem:
                missed += 1
                if missed >= _MISSED or self._link.closed:
                    missed = 0
                    await self._join_again(problem)

    async def _join_again(self, problem: LexportError) -> None:
        """Connect until it succeeds, and have all models answered as before."""
        where = f"at {self.server.cluster}" if self.server.cluster else "of this server"
        self._lost = f"The Ray cluster {where} cannot be reached"
        log(f"{self._lost}: {problem}")
        self._watching.lose()
        reason = f"the Ray cluster was lost: {problem.message}"[:500]
        self.server = replace(self.server, restarts=self.server.restarts + 1, last_reason=reason)
        self._save()
        row = 0
        async with self._changing:
            while self._lost:
                row += 1
                await asyncio.sleep(min(pause_before(row), _LONGEST_PAUSE))
                try:
                    if not self.server.cluster:  # what is left of the former one holds its port
                        await self._link.close()
                        await asyncio.get_running_loop().run_in_executor(
                            None, partial(end, self.server.id, patience=0.0)
                        )
                    await self._connect()
                    await self._restore()
                    self._lost = ""
                except (LexportError, OSError) as again:
                    log(f"The connection to the Ray cluster could not be made again: {again}")
        log("The Ray cluster answers again, and so do all models.")
        self._save()

    async def _restore(self) -> None:
        """Bring all archives and orders to a cluster that may know none of them. Raises LexportError."""
        for served in self.registry.served:
            path = str(self._archives.path_of(served.url))
            self._digests[served.url] = await self._link.ask("put", timeout=_CHANGE, path=path)
        for name in self.registry.defaults:
            order = self._order(name).to_json()
            await self._link.ask("apply", timeout=_CHANGE, order=order, within=_CHANGE - 5.0)
        await self._look()

    @property
    def _why_unready(self) -> str:
        return "the server is stopping" if self._ending else self._lost

    def _save(self) -> None:
        """Write what other commands know of the server, once it has been started and where it has changed."""
        registry = self.registry
        found = replace(
            self.server,
            models=registry.defaults,
            workers=sum(self._order(name).least for name in registry.defaults),
            problem=self._lost or self._watching.problem,
        )
        changed, self.server = found != self.server, found
        if not changed or self._ending or not (self.server.state_dir / folders.SERVER).exists():
            return
        try:
            state.save(self.server)
        except (LexportError, OSError) as problem:  # a full disk is no reason to stop
            log(str(problem))
