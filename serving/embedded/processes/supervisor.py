"""The process above the embedded engine's others: it starts them, starts them again, and answers for the server.

`launch.start` runs it (`supervision` says how they talk). It listens at the management and metrics addresses and at
the one for probes, extracts archives, and tells the processes that answer what to load. SIGTERM ends the server, its
requests answered first. The end of the input before KEEP ends it too, because the process that started the server has
died then.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....errors import LexportError, SystemProblem
from ....export.archive.format.reader import extract
from ....export.archive.verify import verify
from ....storage.atomic import json_bytes, write_file
from ... import folders, state
from ...store import read
from ...supervision import answer_problem, answer_started, log, read_orders, say
from ..addresses import answers, metrics
from ..addresses.management import Management, MetricsAddress
from ..http import Response, Server
from ..statistics import added
from .channel import Closed
from .orders import Orders
from .registry import Registry, Served, described
from .sockets import beside, bound
from .workers import WorkerProcess

MODULE = __name__
_WORKER = "lexport.serving.embedded.processes.worker"
_ACCESS_LOG = "access_log.{}.jsonl"
_PATIENCE = 3.0  # seconds that a process may take to say what it has counted


def main() -> int:
    """Run one server until it must stop. Return 0 after a requested stop, 1 if it could not be started."""
    os.umask(0o077)
    orders = read_orders()
    if orders is None:
        return 1  # the process that started this one has died
    return asyncio.run(_run(Orders.parse(orders)))


async def _run(orders: Orders) -> int:
    supervisor = Supervisor(orders)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.ensure_future(supervisor.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await supervisor.end()
        return 0
    if (error := starting.exception()) is not None:
        await supervisor.end(0.0)
        if isinstance(error, LexportError):
            answer_problem(error.message, error.below, error.code)
        elif isinstance(error, OSError):
            answer_problem(str(error))
        else:
            answer_problem(f"{type(error).__name__}: {error}")
        return 1
    answer_started()
    _watch_input(supervisor, stop)
    await stop.wait()
    await supervisor.end()
    return 0


def _watch_input(supervisor: Supervisor, stop: asyncio.Event) -> None:
    """Stop the server if the process that started it ends before it says that the server outlives it."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        message = os.read(0, 1024)
        if message and not supervisor.orders.bound:  # KEEP
            loop.remove_reader(0)
        elif not message:
            loop.remove_reader(0)
            log("The process that started this server has ended, and the server ends with it.")
            supervisor.abandoned = True
            stop.set()

    loop.add_reader(0, look)


class Supervisor:
    """One server: its models, its processes and its own addresses."""

    def __init__(self, orders: Orders) -> None:
        """Do what the `orders` say."""
        self.orders = orders
        self.registry = Registry()
        self.server = replace(orders.server, supervisor=os.getpid(), pid=os.getpid(), started=time.time())
        self.abandoned = False
        """Whether the process that started the server has died before it was to outlive it."""
        self._workers: list[WorkerProcess] = []
        self._gone: dict[str, Any] = {}
        self._servers: list[Server] = []
        self._first: socket.socket | None = None
        self._ending = False
        self._extracted = 0

    async def start(self) -> None:
        """Open all addresses, extract and load all models. Raises LexportError or OSError."""
        orders = self.orders
        folders.fresh_run(orders.server.state_dir)
        self._first = bound(*orders.addresses["inference"])
        await self._open("metrics", MetricsAddress(self._collect, metrics.CONTENT_TYPE).handle)
        tokens = orders.tokens
        management = Management(
            self,
            None if tokens is None else tokens.management,
            model_api=orders.model_api,
            most_workers=orders.most_workers,
        )
        await self._open("management", management.handle, admit=management.admit)
        if "health" in orders.addresses:
            await self._open("health", self._probe)
        if tokens is not None:
            keys = {kind: {"key": getattr(tokens, kind)} for kind in ("management", "inference")}
            path = orders.server.state_dir / folders.KEYS
            write_file(path, json_bytes(keys))
            path.chmod(0o600)
        loop = asyncio.get_running_loop()
        for file, options in orders.models.items():
            served = await loop.run_in_executor(None, self._extract, file, None, options)
            self.registry.add(served)
        await self._grow()
        state.save(self.server)

    async def end(self, drain: float | None = None) -> None:
        """Answer what has been asked, within the server's time to drain or `drain` seconds, and end all processes."""
        self._ending = True
        seconds = self.server.drain if drain is None else drain
        if self._first is not None:
            self._first.close()
        began = time.monotonic()
        cut = sum(await asyncio.gather(*[worker.end(seconds) for worker in self._workers]))
        for server in self._servers:
            server.close()
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
            counted = await self._count()
            waiting = counted.get("models", {}).get(str(served), {}).get("waiting", 0)
        return described(served, self._workers, waiting)

    async def describe_itself(self, served: Served) -> Any:
        """Return what the model says of itself. Raises Failure if no process can."""
        for worker in self._workers:
            if worker.ready and served.workers:
                try:
                    return await worker.ask("describe", name=served.name, version=served.version)
                except Closed:
                    continue
        raise answers.no_worker(served.name)

    async def register(self, file: str, name: str | None, options: Mapping[str, int]) -> Served:
        """Serve an archive of the store. Raises Failure, or the LexportError that kept it from being opened."""
        known = self.orders.models.get(file)
        path = self._path_of(file)
        defaults = known if known is not None else self.orders.defaults
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, verify, path, self.orders.keys)
        served = await loop.run_in_executor(None, self._extract, file, name, {**defaults, **options})
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

    def files(self) -> list[tuple[str, str, str]]:
        """Return file, name and version of each archive in the store that is not served."""
        served = {(one.name, one.version) for one in self.registry}
        found = []
        for path in sorted((self.server.state_dir / folders.STORE).glob("*.mar")):
            with suppress(LexportError):  # a damaged one is none
                archive = read(path)
                if (archive.name, archive.version) not in served:
                    found.append((path.name, archive.name, archive.version))
        return found

    def repository(self) -> list[tuple[str, str, bool]]:
        """Return name and version of each that is served or in the store, and whether it answers."""
        ready = any(worker.ready for worker in self._workers)
        served = [(one.name, one.version, ready and one.workers > 0) for one in self.registry]
        return sorted([*served, *((name, version, False) for _, name, version in self.files())])

    async def make_default(self, name: str, version: str) -> None:
        """Make a version its name's default. Raises Failure."""
        self.registry.make_default(name, version)
        await self._tell("default", name=name, version=version)
        self._save()

    async def unregister(self, served: Served) -> None:
        """Stop serving a version. Raises Failure."""
        await self._forget(served)
        await self._shrink()

    async def _forget(self, served: Served) -> None:
        self.registry.remove(served)
        await self._tell("unload", name=served.name, version=served.version)
        folders.discard(served.folder)
        self._save()

    async def _everywhere(self, served: Served) -> None:
        """Have every process open a version, or close it if none is to answer it."""
        for worker in self._workers:
            if worker.ready:
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

    async def _tell(self, question: str, **facts: Any) -> None:
        for worker in self._workers:
            if worker.ready:
                try:
                    await worker.ask(question, **facts)
                except Closed:
                    continue

    # The processes.

    @property
    def _threads(self) -> int:
        return max(1, self.orders.cores // self.registry.processes)

    async def _grow(self) -> None:
        """Start processes until there are as many as the models ask for."""
        wanted = self.registry.processes
        new: list[WorkerProcess] = []
        for number in range(len(self._workers), wanted):
            assert self._first is not None
            listening = self._first.dup() if number == 0 else beside(self._first)
            new.append(
                WorkerProcess(number, _WORKER, listening, self.orders.environment, self._prepare, self._note_death)
            )
        if not new:
            return
        self._workers += new
        outcomes = await asyncio.gather(*[worker.start() for worker in new], return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:
            for worker in new:
                self._workers.remove(worker)
                await worker.end(0.0)
            raise failures[0]
        await self._adjust()

    async def _shrink(self) -> None:
        """End processes that no model asks for, their requests answered."""
        wanted = self.registry.processes
        left_over, self._workers = self._workers[wanted:], self._workers[:wanted]
        await asyncio.gather(*[self._retire(worker) for worker in left_over])
        if left_over:
            await self._adjust()

    async def _retire(self, worker: WorkerProcess) -> None:
        self._keep_counts(await self._counts_of(worker))
        await worker.end(self.server.drain)

    async def _adjust(self) -> None:
        """Divide cores and queues over the processes that there are now."""
        queues = {str(served): self._share(served) for served in self.registry}
        await self._tell("threads", threads=self._threads, queues=queues)
        self.server = replace(self.server, workers=len(self._workers), threads=self._threads)
        self._save()

    async def _prepare(self, worker: WorkerProcess) -> None:
        """Tell a process that has just started everything, and have it listen."""
        orders = self.orders
        gpu = worker.number % orders.gpus if orders.gpus else None
        log_file = orders.server.state_dir / folders.LOGS / _ACCESS_LOG.format(worker.number)
        await worker.ask(
            "begin",
            token=None if orders.tokens is None else orders.tokens.inference,
            limits=orders.limits,
            threads=self._threads,
            gpu=gpu,
            log=str(log_file),
        )
        for served in list(self.registry):
            await self._give(worker, served)
            say(f"{served}: its goldens passed in process {worker.number + 1} of {self.registry.processes}.")
        for name, version in self.registry.defaults.items():
            await worker.ask("default", name=name, version=version)
        await worker.ask("listen")

    def _note_death(self, worker: WorkerProcess, reason: str) -> None:
        log(f"{reason}.")
        self.server = replace(self.server, restarts=self.server.restarts + 1, last_reason=reason[:500])
        self._save()

    def _save(self) -> None:
        """Write what other commands know of the server, once it has been started."""
        if self._ending or not (self.server.state_dir / folders.SERVER).exists():
            return
        models = {name: self.registry.find(name).version for name in self.registry.names}
        self.server = replace(self.server, models=models)
        try:
            state.save(self.server)
        except (LexportError, OSError) as problem:  # a full disk is no reason to stop
            log(str(problem))

    # What has been counted.

    async def _collect(self, names: list[str]) -> bytes:
        found = await self._count()
        ready = sum(worker.ready for worker in self._workers)
        return metrics.render(found, ready, self.server.restarts, names)

    async def _count(self) -> dict[str, Any]:
        """Return the sum of what all processes have counted, those that were ended included."""
        counted = await asyncio.gather(*[self._counts_of(worker) for worker in self._workers if worker.ready])
        return added([self._gone, *counted])

    async def _counts_of(self, worker: WorkerProcess) -> dict[str, Any]:
        try:
            counts: dict[str, Any] = await asyncio.wait_for(worker.ask("count"), _PATIENCE)
        except (Closed, TimeoutError, LexportError):
            return {}
        return counts

    def _keep_counts(self, counts: dict[str, Any]) -> None:
        """Keep what a process had counted before it was ended: counters never fall."""
        if not counts:
            return
        for model in counts["models"].values():
            model["waiting"] = 0
        self._gone = added([self._gone, {**counts, "connections": 0}])

    # Addresses and archives.

    async def _open(self, purpose: str, handle: Any, **more: Any) -> None:
        host, port = self.orders.addresses[purpose]
        server = Server(handle, **more)
        try:
            await server.start(host, port)
        except OSError as error:
            raise SystemProblem(
                f"The address {host}:{port} ({purpose}) cannot be opened: {error.strerror}. Choose another port with "
                "--port.",
                code="LX-SERVE-105",
            ) from None
        self._servers.append(server)

    async def _probe(self, request: Any) -> Response:
        reasons = {"/livez": self._why_dead, "/readyz": self._why_unready}
        check = reasons.get(request.path)
        if check is None:
            return Response(404, b'{"status": "nothing is at this path"}')
        reason = check()
        return Response(503 if reason else 200, json_bytes({"status": reason or "ok"}))

    def _why_dead(self) -> str:
        loops = all(worker.loops and not worker.ready for worker in self._workers)
        return "every process dies again and again" if self._workers and loops and not self._ending else ""

    def _why_unready(self) -> str:
        if self._ending:
            return "the server is stopping"
        if not any(worker.ready for worker in self._workers):
            return "no process is ready"
        idle = sum(not served.workers for served in self.registry)
        return f"{idle} of {len(list(self.registry))} models have no worker that is ready" if idle else ""

    def _path_of(self, file: str) -> Path:
        """Return an archive of the server's store. Raises Failure, with TorchServe's words, if there is none."""
        if not file:
            raise answers.not_found_at("empty url")
        if ".." in file:
            raise answers.not_found_at(f"Relative path is not allowed in url: {file}")
        if "://" in file:
            raise answers.not_found_at(f"Given URL {file} does not match any allowed URL(s)")
        path = self.server.state_dir / folders.STORE / file
        if Path(file).name != file or not path.is_file():
            raise answers.not_found_at(f"Model not found at: {file}")
        return path

    def _extract(self, file: str, name: str | None, options: Mapping[str, Any]) -> Served:
        """Extract an archive of the store, whose digests are checked then. Raises LexportError."""
        path = self.server.state_dir / folders.STORE / file
        archive = read(path)
        self._extracted += 1
        folder = self.server.run_dir / "models" / f"{self._extracted}-{archive.name}-{archive.version}"
        folder.mkdir(parents=True)
        try:
            extract(path, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Served(
            name=name or archive.name,
            version=archive.version,
            url=file,
            folder=folder,
            gpu=self.orders.gpus > 0,
            **options,
        )
