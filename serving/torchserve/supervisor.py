"""The process above TorchServe: it starts Java, starts it again when it dies, and ends it when the server must stop.

`launch.start` runs it (`supervision` says how they talk). SIGTERM ends the server. The end of the input before KEEP
ends it too, because the process that started the server has died then.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ...errors import LexportError, SystemProblem
from .. import folders, process, state
from ..supervision import MAX_RESTARTS, STEADY, answer_problem, answer_started, log, pause_before, read_orders
from ..tokens import Tokens, accepted, read_key_file, write_key_file
from .draining import drain
from .handover import Handover
from .health import logs
from .health import probes as health

GRACE = 30.0  # seconds TorchServe may take to end its workers; it needs 2 to 3
_PDEATHSIG = 1


def main() -> int:
    """Run one server until it must stop. Return 0 after a requested stop, 1 if TorchServe cannot be kept running."""
    os.umask(0o077)
    wake, woken = _wake_on(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    orders = read_orders()
    if orders is None:
        return 1  # the process that started this one has died
    supervisor = Supervisor(orders)
    try:
        supervisor.open_health()
        supervisor.start()
    except (LexportError, OSError) as problem:
        supervisor.end()
        answer_problem(problem)
        return 1
    answer_started()
    return supervisor.watch(wake, woken)


class Supervisor:
    """One server's Java process and its state."""

    def __init__(self, orders: dict[str, Any]) -> None:
        """Read the `orders` that `engine.run` gives.

        They have `server` (as in server.json), `command` of Java, `tokens` (or None), host and port of `health` (or
        None), and `bound`.
        """
        self.server = replace(state.parse(orders["server"]), supervisor=os.getpid())
        self.health = orders["health"]
        self.command = [str(word) for word in orders["command"]]
        self.tokens = accepted(Tokens(**orders["tokens"])) if orders["tokens"] else None
        self.bound = bool(orders["bound"])
        self.ready = False
        self.ending = False
        self.row = 0
        self.began = time.monotonic()
        self.java: subprocess.Popen[bytes] | None = None
        self.due: float | None = None
        self.handover: Handover | None = None

    def start(self) -> None:
        """Start Java with an empty temporary folder, and save its number. Raises SystemProblem if that fails."""
        folders.fresh_run(self.server.state_dir)
        self._open_handover()
        self._write_keys()
        self.began = time.monotonic()
        try:
            with (self.server.logs / logs.JAVA).open("wb") as output:
                self.java = subprocess.Popen(
                    self.command,
                    cwd=self.server.state_dir,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_ends_with_parent(),
                )
            started = psutil.Process(self.java.pid).create_time()
        except OSError as error:
            raise SystemProblem(
                f"Cannot start {self.command[0]}: {error.strerror}. Set JAVA_HOME to a working Java.",
                code="LX-SERVE-065",
            ) from None
        self.server = replace(self.server, pid=self.java.pid, started=started)
        self._save()
        log(f"TorchServe runs (pid {self.java.pid}).")

    def _open_handover(self) -> None:
        """Let `lexport canary` have TorchServe's listening socket; without this the server serves all the same."""
        if self.handover is not None:
            self.handover.close()
            self.handover = None
        if sys.platform == "linux":
            try:
                self.handover = Handover(self.server.run_dir)
            except OSError as error:
                log(f"A canary cannot take connections here: {error}.")

    def open_health(self) -> None:
        """Answer probes from now on, if an address was given. Raises SystemProblem if the port cannot be opened."""
        if self.health is not None:
            host, port = self.health
            health.HealthEndpoint(host, port, {"/livez": self._why_dead, "/readyz": self._why_unready})

    def _why_dead(self) -> str:
        return "" if self.ending else health.why_dead(self.server)

    def _why_unready(self) -> str:
        if self.ending:
            return "the server is stopping"
        return health.why_unready(self.server) if self.ready else "the server is starting"

    def _write_keys(self) -> None:
        """Write the file that Java reads its tokens from; those in it that were rotated meanwhile stay."""
        if self.tokens is None:
            return
        path = self.server.state_dir / folders.KEYS
        if self.server.restarts:
            with suppress(SystemProblem):  # whoever damaged the file gets the tokens of before
                self.tokens = read_key_file(path)
        write_key_file(path, self.tokens)

    def watch(self, wake: int, woken: set[int]) -> int:
        """Keep TorchServe running until SIGTERM, or until the input ends too early."""
        inputs = [0, wake]
        while True:
            pause = None if self.due is None else max(0.0, self.due - time.monotonic())
            asked = [] if self.handover is None else [self.handover.fileno()]
            ready, _, _ = select.select([*inputs, *asked], [], [], pause)
            if wake in ready:
                os.read(wake, 1024)
            if self.handover is not None and self.handover.fileno() in ready:
                self.handover.answer(self.server.pid, [urlsplit(self.server.inference_url).port or 80])
            if woken & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
                self.end()
                return 0
            if 0 in ready and self._is_abandoned(os.read(0, 1024).decode(errors="replace")):
                log("The process that started this server has ended, and the server ends with it.")
                self.end()
                folders.clean(self.server.state_dir)
                return 0
            inputs = [wake] if self.ready and not self.bound else [0, wake]
            if self.java is not None and self.java.poll() is not None:
                self._note_death(self.java.returncode)
            # Before it was ready, the process that waits for the start finds the reason and ends this process.
            if self.ready and self.java is None and self.due is None:
                self._plan_restart()
            if self.due is not None and time.monotonic() >= self.due:
                self._restart()
            if self.row > MAX_RESTARTS:
                log(f"TorchServe has died {self.row} times in a row; it is not started again.")
                return 1

    def end(self) -> None:
        """End TorchServe and whatever it has started."""
        self.ending = True
        if self.java is not None and self.java.poll() is None:
            if self.ready:
                self._drain()
            self.java.terminate()
            try:
                self.java.wait(GRACE)
            except subprocess.TimeoutExpired:
                log(f"TorchServe has not ended in {GRACE:.0f} s and is killed.")
                self.java.kill()
                self.java.wait()
        process.end(self.server.id, patience=3.0)
        log("The server has ended.")

    def _drain(self) -> None:
        """Let requests in flight be answered before Java is ended."""
        address = urlsplit(self.server.inference_url)
        port = address.port or 80
        try:
            socket.create_connection((address.hostname or "", port), timeout=2.0).close()
        except OSError:  # it does not serve yet, or no longer
            return
        try:
            found = drain(
                self.server.pid,
                [port],
                self.server.reports,
                limit=self.server.drain,
                management_url=self.server.management_url,
                token=self.server.token("management"),
            )
        except (
            Exception
        ) as problem:  # whatever a strange answer leads to: an end without draining is better than none
            log(f"Requests in flight could not be awaited: {type(problem).__name__}: {problem}")
            return
        if found.open_because:
            log(f"New connections could not be refused: {found.open_because}.")
        waited = f"after {found.seconds:.1f} s"
        log(f"All requests were answered {waited}." if found.idle else f"Unanswered {waited}: {found.in_flight}.")

    def _is_abandoned(self, message: str) -> bool:
        if message == "":
            return self.bound or not self.ready
        self.ready = True  # KEEP and READY are the only messages
        return False

    def _note_death(self, code: int) -> None:
        """Log why TorchServe has ended by itself, and remove what it left."""
        reason = _reason(code, self.server.logs)
        log(f"TorchServe (pid {self.server.pid}) has ended: {reason}.")
        self.java = None
        if self.ready:
            with suppress(SystemProblem):  # a process that does not end must not keep others from starting
                process.end(self.server.id, patience=3.0)
        self.server = replace(self.server, last_reason=reason)

    def _plan_restart(self) -> None:
        try:
            self._save()
        except (LexportError, OSError) as problem:  # a full disk is no reason to stay down
            log(str(problem))
        self.row = 1 if time.monotonic() - self.began > STEADY else self.row + 1
        self.due = time.monotonic() + pause_before(self.row)

    def _save(self) -> None:
        """Write what other commands know of the server; what they have deployed since stays."""
        known = state.load(self.server.state_dir)
        if known is not None and known.id == self.server.id:
            self.server = replace(self.server, models=known.models, workers=known.workers)
        state.save(self.server)

    def _restart(self) -> None:
        self.due = None
        keep_log = self.server.logs / logs.JAVA
        if keep_log.exists():
            keep_log.replace(self.server.logs / logs.JAVA_BEFORE)
        self.server = replace(self.server, restarts=self.server.restarts + 1)
        log(f"Starting TorchServe again (restart {self.server.restarts}, {self.row} in a row).")
        try:
            self.start()
        except (LexportError, OSError) as problem:
            log(str(problem))


def _reason(code: int, log_folder: Path) -> str:
    if code < 0:
        return f"killed by signal {-code} ({signal.strsignal(-code) or 'unknown'})"
    cause = logs.java_reason(log_folder) or "it printed nothing"
    return "".join(character if character.isprintable() else "?" for character in f"exit code {code}: {cause}"[:500])


def _ends_with_parent() -> Callable[[], None] | None:
    """Return a function that makes a child end with this process; None where the system cannot do that."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was too late
            os._exit(1)

    return ask


def _wake_on(*numbers: int) -> tuple[int, set[int]]:
    """Return a pipe that can be read once a signal has come, and the signals that have come."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    received: set[int] = set()
    for number in numbers:
        signal.signal(number, lambda signum, frame: received.add(signum))
    return reading, received
