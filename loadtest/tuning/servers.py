"""The servers of a search: started with a candidate's settings, and started again only where a setting needs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ... import serving
from ...export.archive.batching import with_batches
from ...export.archive.trust.rule import Trust
from ...serving import operations
from ...serving.state import Server
from ...storage.atomic import write_file
from ...storage.cores import cores
from .. import locust_process as client
from ..locust_process import Load, Target
from ..servers import started
from .settings import Tunable, properties_of
from .space import Candidate, server_of

PATIENCE = 15.0  # seconds until workers have taken their share of the cores


@dataclass
class _Open:
    """A server that runs."""

    stack: ExitStack
    server: Server
    workers: int


class Servers:
    """At most `most` servers at a time; the one that was asked for longest ago makes room.

    Where `scaled`, candidates that differ in workers alone share one, which is scaled while it runs.
    """

    def __init__(
        self,
        tested: Mapping[str, Tunable],
        trust: Trust,
        folder: Path,
        warming: Load,
        *,
        most: int,
        scaled: bool,
    ) -> None:
        """Take archives by label, a `folder` for their copies, and the load that warms a new server up."""
        self._tested, self._trust, self._folder = tested, trust, folder
        self._warming, self._most, self._scaled = warming, most, scaled
        self._open: dict[object, _Open] = {}

    def target(self, candidate: Candidate) -> Target:
        """Return a warm server with a candidate's settings. Raises SystemProblem if it cannot start with them."""
        key: object = server_of(candidate) if self._scaled else candidate
        found = self._open.pop(key, None)
        tested = self._tested[candidate.archive]
        if found is None:
            while len(self._open) >= self._most:
                self._end(next(iter(self._open)))
            found = self._start(candidate, tested)
        self._open[key] = found
        if found.workers != candidate.workers:
            self._scale(found, candidate, tested)
        return _target(found.server, tested)

    def close(self) -> None:
        """Stop all servers."""
        for key in list(self._open):
            self._end(key)

    def _end(self, key: object) -> None:
        self._open.pop(key).stack.close()

    def _start(self, candidate: Candidate, tested: Tunable) -> _Open:
        path, config = self._with_settings(candidate, tested)
        # A copy with other batches has no signature; what it is a copy of was verified before the search.
        trust = self._trust if path == tested.path else Trust.of((), self._trust.insist)
        with ExitStack() as stack:
            server = stack.enter_context(started(path, candidate.engine, candidate.worker_set, trust, config=config))
            client.run(_target(server, tested), self._warming, self._folder)
            return _Open(stack.pop_all(), server, candidate.workers)

    def _with_settings(self, candidate: Candidate, tested: Tunable) -> tuple[Path, Path | None]:
        """Return the archive with a candidate's batches, and the settings for the server where those have them."""
        path = tested.path
        batches = candidate.batches(tested.served.batches)
        if batches == tested.served.batches:
            return path, None
        if tested.archive.made_by_lexport:
            copy = self._folder / f"{candidate.archive}-{batches.size}-{batches.delay}.mar"
            return (copy if copy.exists() else with_batches(path, copy, batches)), None
        config = self._folder / f"{batches.size}-{batches.delay}.properties"
        return path, write_file(config, properties_of(tested.archive, batches).encode())

    def _scale(self, found: _Open, candidate: Candidate, tested: Tunable) -> None:
        server = found.server
        operations.scale(tested.archive.name, candidate.workers, state_dir=server.state_dir)
        found.workers = candidate.workers
        if tested.served.parallel:
            _wait_for_threads(server.state_dir, max(1, cores() // candidate.workers))


def _target(server: Server, tested: Tunable) -> Target:
    return Target(server.inference_url, tested.archive.name, server.token(), tested.subject.expect, server.id)


def _wait_for_threads(state_dir: Path, threads: int) -> None:
    """Wait until every worker has taken its share of the cores, for some seconds at most."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        models = serving.status(state_dir)["models"]
        if all(worker["threads"] in (None, threads) for model in models for worker in model["workers"]):
            return
        time.sleep(0.2)
