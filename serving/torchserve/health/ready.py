"""Wait until every worker of every model is ready, or find the reason why one cannot start."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ....errors import SystemProblem
from ...plan import Plan
from ...process import is_alive
from ...state import Server
from ...store import Archive
from .. import http as api
from ..process import frontend, workers_of
from . import logs
from .missing import missing_package

_PAUSE = 0.1  # seconds between looks
_NEWS_AFTER = 10.0  # seconds of silence before a line says what is awaited
_SETTLE = 0.5  # seconds without a new line after which a dead worker's traceback is complete
_SILENCE = 5.0  # seconds a loaded worker may need until its report is seen; it reports before it is loaded
_LAST_WORDS = 30.0  # seconds a traceback may need to reach the log on a busy machine
_LIVES = 3  # starts after which a worker without a traceback is taken for one that prints none


def wait_until_ready(
    server: Server, plan: Plan, archives: Sequence[Archive], *, timeout: float, say: Callable[[str], None]
) -> None:
    """Return once all planned workers answer.

    TorchServe must say READY of each, and workers of lexport's archives must have reported that their goldens
    passed. Raises SystemProblem with the reason, and the worker's traceback below it, if a worker or Java ends
    or `timeout` seconds pass.
    """
    watch = _Watch(server, plan, archives, say)
    deadline = time.monotonic() + timeout
    while not watch.is_ready():
        watch.look_for_trouble()
        if time.monotonic() > deadline:
            raise SystemProblem(
                f"After {timeout:.0f} s still waiting for {watch.missing() or '/ping to answer Healthy'}. Raise "
                f"--timeout, or look into {server.logs}.",
                code="LX-SERVE-068",
            )
        time.sleep(_PAUSE)


@dataclass
class _Watch:
    server: Server
    plan: Plan
    archives: Sequence[Archive]
    say: Callable[[str], None]
    announced: Counter[str] = field(default_factory=Counter)
    seen: dict[int, str] = field(default_factory=dict)
    spoke: float = field(default_factory=time.monotonic)
    loaded: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    silent_since: float = field(default_factory=time.monotonic)

    def is_ready(self) -> bool:
        """Look once; every worker that became ready is announced."""
        counts = self._ready_workers()
        for archive in self.archives:
            while self.announced[archive.name] < counts[archive.name]:
                self.announced[archive.name] += 1
                self._news(
                    f"{archive}: worker {self.announced[archive.name]} of {self.plan.workers[archive.name]} is ready"
                    + (", its goldens passed." if archive.made_by_lexport else ".")
                )
        if self.missing():
            if time.monotonic() - self.spoke > _NEWS_AFTER:
                self._news(f"Waiting for {self.missing()} …")
            return False
        return api.is_healthy(self.server.inference_url, self.server.token())

    def missing(self) -> str:
        """Return what is still awaited, in words; "" if nothing is."""
        return ", ".join(
            f"{wanted - self.announced[name]} of {wanted} workers of {name}"
            for name, wanted in self.plan.workers.items()
            if self.announced[name] < wanted
        )

    def look_for_trouble(self) -> None:
        """Raise SystemProblem if Java has ended or a worker could not start."""
        for report in read_reports(self.server):
            if report.get("ready") is not True:
                model = str(report.get("model", "a model"))
                name = f"{model} {self.server.models.get(model, '')}".rstrip()
                trace = logs.useful_traceback(str(report.get("traceback", "")), self.server.run_dir)
                raise self._failure(name, str(report.get("error", "no reason given")), trace)
        refused = logs.failed_archive(self.server.logs)
        if refused:
            raise SystemProblem(f"TorchServe refused the archive {refused}", code="LX-SERVE-069")
        self._look_at_java()
        self._check_handlers()
        self.seen |= workers_of(self.server)
        gone = [worker for pid, worker in self.seen.items() if not is_alive(pid)]
        gone += logs.died(self.server.logs / "model_log.log")
        if gone:
            self._explain_death(gone[0])

    def _look_at_java(self) -> None:
        # What it prints comes some seconds before its end, which takes its workers with it.
        if frontend(self.server) is None or logs.lost_port(self.server.logs):
            reason = logs.java_reason(self.server.logs) or "it printed nothing"
            raise SystemProblem(
                f"TorchServe ended while starting: {reason} (log: {self.server.logs}).", code="LX-SERVE-070"
            )

    def _check_handlers(self) -> None:
        """Raise SystemProblem if a worker has been loaded for a while and its archive's handler has not reported."""
        silent = [
            archive
            for archive in self.archives
            if archive.made_by_lexport and self.loaded[archive.name] > self.reported[archive.name]
        ]
        if not silent:
            self.silent_since = time.monotonic()
        elif time.monotonic() - self.silent_since > _SILENCE:
            raise SystemProblem(
                f"TorchServe says that a worker of {silent[0]} is ready, but the archive's own handler has not "
                "reported: another module of the name `handler` was imported in its place. Look for a handler.py in "
                "the folders of PYTHONPATH (the server gets that variable only with --env PYTHONPATH) and among the "
                "installed packages.",
                code="LX-SERVE-071",
            )

    def _explain_death(self, worker: str) -> None:
        model_log = self.server.logs / "model_log.log"
        lives, deadline = self._last_words(worker), time.monotonic() + _LAST_WORDS
        # TorchServe reads a worker's lines one by one and drops what it has not read when it finds the worker dead;
        # it starts the worker again, and that one says the same.
        while (
            not (trace := logs.first_traceback(lives, self.server.run_dir))
            and len(lives) < _LIVES
            and time.monotonic() < deadline
        ):
            self._look_at_java()
            lives = self._last_words(worker)
        self._look_at_java()
        if any(report.get("ready") is not True for report in read_reports(self.server)):
            return  # it did report; the next look finds it
        error = trace.splitlines()[-1] if trace else f"{_last_line(''.join(lives[:1]))} (killed? out of memory?)"
        remedy = missing_package(trace)
        if remedy:
            # Where a known package is missing in one of TorchServe's own handlers, its frames say nothing more.
            trace = trace if "ts/torch_handler/" not in trace else ""
            error = f"{error}. {remedy}"
        raise self._failure(logs.worker_model(model_log, worker), error, trace)

    def _last_words(self, worker: str) -> list[str]:
        """Return what a worker printed in each of its lives, once it prints nothing more."""
        model_log = self.server.logs / "model_log.log"
        lives = logs.worker_lives(model_log, worker)
        while True:
            time.sleep(_SETTLE)
            latest = logs.worker_lives(model_log, worker)
            if latest == lives:
                return latest
            lives = latest

    def _failure(self, name: str, error: str, trace: str) -> SystemProblem:
        first = f"A worker of {name or 'a model'} could not start: {error} (log: {self.server.logs})"
        return SystemProblem(first, trace.rstrip(), code="LX-SERVE-072")

    def _ready_workers(self) -> Counter[str]:
        self.loaded = self._loaded_workers()
        self.reported = Counter(
            str(report.get("model"))
            for report in read_reports(self.server)
            if report.get("ready") is True and _is_alive(report.get("pid"))
        )
        counts: Counter[str] = Counter()
        for archive in self.archives:
            count = min(
                self.loaded[archive.name], self.reported[archive.name] if archive.made_by_lexport else sys.maxsize
            )
            counts[archive.name] = min(count, self.plan.workers[archive.name])
        return counts

    def _loaded_workers(self) -> Counter[str]:
        try:
            descriptions = api.describe(self.server.management_url, self.server.token("management"))
        except SystemProblem:  # not listening yet
            return Counter()
        # Where another server took the port, it is that one which answers.
        own = workers_of(self.server)
        return Counter(
            {
                description["modelName"]: sum(
                    worker["status"] == "READY" and worker["pid"] in own for worker in description["workers"]
                )
                for description in descriptions
            }
        )

    def _news(self, line: str) -> None:
        self.spoke = time.monotonic()
        self.say(line)


def read_reports(server: Server) -> list[dict[str, Any]]:
    """Return the reports of the workers of lexport's archives, also of workers that have ended since."""
    reports = []
    for path in sorted(server.reports.glob("*.json")):
        with suppress(OSError, ValueError):  # removed by a new start, or not by our handler
            report = json.loads(path.read_text(encoding="utf-8"))
            reports += [report] if isinstance(report, dict) else []
    return reports


def _is_alive(pid: Any) -> bool:
    """Return whether the process that a report names is alive; the report of a foreign archive may name anything."""
    return type(pid) is int and 0 < pid < 2**31 and is_alive(pid)


def _last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return f"its last line was {lines[-1]!r}" if lines else "it ended without any output"
