"""A run of the search, on a real server: Locust loads it, and what it measured is judged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import SystemProblem
from ..cells import CLIENT_LIMIT, Loads, measured_rows, most_processes
from ..locust_process import Load, Target
from ..objectives import Objective
from ..results import Row
from .servers import Servers
from .trials import Task, Trial, trial_of, unable


def at_level(load: Load, level: float) -> Load:
    """Return a load with so many users, or requests/s of an open loop."""
    return replace(load, users=round(level)) if load.arrivals == "closed" else replace(load, rate=level)


class Measuring:
    """Runs tasks on the servers that `use` names."""

    def __init__(self, asked: Target, load: Load, objectives: Sequence[Objective], folder: Path) -> None:
        """Send what `asked` and `load` say, and judge by `objectives`; `folder` is for temporary files."""
        self.servers: Servers | None = None
        """The servers; set before the first task."""
        self._asked, self._load, self._objectives, self._folder = asked, load, objectives, folder
        self._processes = 1

    def __call__(self, task: Task) -> Trial:
        """Run a task; where the server cannot start with its settings, the trial says why.

        Raises SystemProblem if Locust fails.
        """
        assert self.servers is not None
        began = time.monotonic()
        try:
            served = self.servers.target(task.candidate)
        except SystemProblem as problem:
            return unable(task, problem.message, time.monotonic() - began)
        asked = self._asked
        target = replace(served, expect=asked.expect or served.expect, headers=asked.headers, body=asked.body)
        load = replace(at_level(self._load, task.level), duration=task.seconds)
        row = self._row(target, task, load)
        return trial_of(task, row, self._objectives, time.monotonic() - began)

    def _row(self, target: Target, task: Task, load: Load) -> Row:
        """Return a run; with more processes of Locust where it was the limit, which later runs keep."""
        while True:
            loads = Loads((load,), 0.0, self._processes)
            [row] = measured_rows(
                target, task.candidate.archive, task.candidate.worker_set, loads, self._folder, lambda line: None
            )
            busy = row.client_cpu > CLIENT_LIMIT * self._processes
            if not busy or 2 * self._processes > most_processes(target, load):
                return row
            self._processes *= 2
