"""A run of the search, on a real server: Locust loads it, and what it measured is judged."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...errors import SystemProblem
from ...export.archive.trust.rule import Trust
from ...storage.progress import silent
from ..cells import Loads, measured_runs
from ..locust_process import Load, Target
from ..objectives import Objective
from .servers import Servers
from .settings import Tunable
from .trials import Task, Trial, trial_of, unable

WARMING_USERS = 16


def at_level(load: Load, level: float) -> Load:
    """Return a load with so many users, or requests/s of an open loop."""
    return replace(load, users=round(level)) if load.arrivals == "closed" else replace(load, rate=level)


class Measuring:
    """Runs tasks, within `serving`, on servers with the settings of their candidates."""

    def __init__(
        self,
        tested: Mapping[str, Tunable],
        trust: Trust,
        asked: Target,
        load: Load,
        objectives: Sequence[Objective],
        folder: Path,
    ) -> None:
        """Serve the archives by label, send what `asked` and `load` say, and judge by `objectives`.

        `trust` is for the archives and their copies with other batches, `folder` for temporary files.
        """
        self._tested, self._trust, self._folder = tested, trust, folder
        self._asked, self._load, self._objectives = asked, load, objectives
        self._servers: Servers | None = None
        self._processes: dict[Load, int] = {}  # that a load needed

    @contextmanager
    def serving(self, most: int, *, scaled: bool, warmup: float) -> Iterator[None]:
        """Context manager: tasks are run on at most `most` servers at a time, each warmed up for `warmup` seconds.

        Where `scaled`, candidates that differ in workers alone share one, which is scaled while it runs.
        """
        # A closed loop of a middle load: the highest might only fill the queue of a server that has just started.
        load = replace(self._load, arrivals="closed", users=WARMING_USERS, rate=0.0, duration=warmup)
        self._servers = Servers(self._tested, self._trust, self._folder, load, most=most, scaled=scaled)
        try:
            yield
        finally:
            self._servers.close()
            self._servers = None

    def __call__(self, task: Task) -> Trial:
        """Run a task; where the server cannot start with its settings, the trial says why.

        Raises SystemProblem if Locust fails.
        """
        assert self._servers is not None
        began = time.monotonic()
        try:
            served = self._servers.target(task.candidate)
        except SystemProblem as problem:
            return unable(task, problem.message, time.monotonic() - began)
        asked = self._asked
        target = replace(served, expect=asked.expect or served.expect, headers=asked.headers, body=asked.body)
        load = replace(at_level(self._load, task.level), duration=task.seconds)
        loads = Loads((load,), 0.0, None, self._processes)
        [(_, run)] = measured_runs(
            target, task.candidate.archive, task.candidate.worker_set, loads, self._folder, silent
        )
        return trial_of(task, run.row, self._objectives, time.monotonic() - began)
