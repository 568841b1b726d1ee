"""What a started server is asked: `running`, `status`, `wait`, `stop`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import SystemProblem
from ..storage.progress import Say, silent
from . import folders, launch, state
from .process import end, is_running, sigterm_raises
from .ray.control.leftover import remove_models
from .state import Server
from .torchserve.health import overview
from .torchserve.health import probes as health

_PATIENCE = 60.0  # seconds the supervisor may take to end its processes once requests are answered; it needs 2 to 3


def stop(state_dir: Path | None = None, *, say: Say = silent) -> None:
    """Stop the server of a state folder; no process, socket, key or temporary folder is left, only its
    logs and the record of what it served.

    What a crashed server left is cleared likewise, with a line that says so. Raises SystemProblem if there is
    none, or if a process does not end.
    """
    folder = folders.locate(state_dir)
    if state.load(folder) is None:
        raise _none_runs(folder)
    with folders.locked(folder):
        server = state.load(folder)
        if server is None:
            raise _none_runs(folder)
        running = is_running(server)
        if not running and server.cluster:
            remove_models(server)
        remove(server, patience=server.drain + _PATIENCE)
    if running:
        say(f"Stopped the server at {server.inference_url} (pid {server.pid}). Its logs stay in {server.logs}")
    else:
        say(f"The server (pid {server.pid}) had ended already; cleared what it left. Its logs: {server.logs}")


def wait(
    server: Server, announce: Callable[[], object] = lambda: None, look: Callable[[], object] = lambda: None
) -> None:
    """Block until another process stops the server; on Ctrl-C or SIGTERM stop it and raise the exception again.

    `announce` is called first, so that the user can stop the server at once; `look` again and again, and once more
    when the server has ended. Raises SystemProblem if the server ends by itself.
    """
    with sigterm_raises():
        try:
            announce()
            while is_running(server):
                look()
                time.sleep(0.2)
        except BaseException:
            if state.load(server.state_dir) is not None:
                stop(server.state_dir)
            raise
        finally:
            look()
    while not _stop_finished(server):
        time.sleep(0.1)


def _stop_finished(server: Server) -> bool:
    """Return False while a `stop` of the ended server is running, True once it is done."""
    try:
        with folders.locked(server.state_dir):
            ended = state.load(server.state_dir)
            if ended is None or ended.id != server.id:
                return True
            remove(ended, patience=3.0)
    except folders.Busy:
        return False
    raise SystemProblem(f"The server ended by itself: {_why(ended)} (logs: {server.logs}).", code="LX-SERVE-053")


def running(state_dir: Path | None = None) -> Server:
    """Return the running server of a state folder; raises SystemProblem if there is none."""
    folder = folders.locate(state_dir)
    server = state.load(folder)
    if server is None:
        raise _none_runs(folder)
    if not is_running(server):
        raise SystemProblem(
            f"The server (pid {server.supervisor}) has ended unexpectedly: {_why(server)}; its logs are in "
            f"{server.logs}. Clear what it left with: lexport stop",
            code="LX-SERVE-054",
        )
    return server


def status(state_dir: Path | None = None) -> dict[str, Any]:
    """Return the server, its models and their workers, as `overview.describe` says.

    Raises SystemProblem if no server runs or it does not answer.
    """
    return overview.describe(running(state_dir))


def check_live(state_dir: Path | None = None) -> None:
    """Raise SystemProblem if the server of a state folder must be restarted, with the reason of `health.why_dead`."""
    _require(health.why_dead(running(state_dir)))


def check_ready(state_dir: Path | None = None) -> None:
    """Raise SystemProblem if a model of the server cannot answer, with the reason of `health.why_unready`."""
    _require(health.why_unready(running(state_dir)))


def _require(reason: str) -> None:
    if reason:
        raise SystemProblem(f"{reason[0].upper()}{reason[1:]}. lexport status says more.", code="LX-SERVE-055")


def _why(server: Server) -> str:
    """Return why a server whose supervisor has ended no longer runs."""
    return server.last_reason or "its supervisor was killed"


def remove(server: Server, *, patience: float) -> None:
    """End what runs of a server within `patience` seconds and clear its folder, but for its logs."""
    end(server.id, leader=server.supervisor, patience=patience)
    launch.release(server.id)
    folders.clean(server.state_dir)


def _none_runs(folder: Path) -> SystemProblem:
    return SystemProblem(
        f"No server runs (state folder {folder}). Start one with: lexport serve NAME-1.0.mar", code="LX-SERVE-056"
    )
