"""Processes of a server: identify them and end them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

from ..errors import SystemProblem
from .settings.environment import ID_VARIABLE
from .state import Server


def is_running(server: Server) -> bool:
    """Return whether the server's supervisor runs; another process that was given the same number does not count."""
    return find(server.supervisor, server.id) is not None


def find(pid: int, identity: str) -> psutil.Process | None:
    """Return a living process of the server with the id `identity`; None if that number belongs to none."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if is_alive(process.pid) and _belongs(process, identity):
            return process
    return None


def is_alive(pid: int) -> bool:
    """Return whether a process exists and has not ended (a zombie has)."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(identity: str, *, leader: int | None = None, patience: float) -> None:
    """End all processes of a server but the calling one, its supervisor (process `leader`) first.

    The leader gets `patience` seconds to end by itself before it is killed, the others at most 3; with 0 all are
    killed at once. Raises SystemProblem if one survives that.
    """
    if leader is not None:
        _end([process for process in members(identity) if process.pid == leader], patience)
    # Killed while starting a worker, Java may leave one that appears a moment later.
    for _ in range(5):
        left = members(identity)
        if not left:
            return
        _end(left, min(patience, 3.0))
    raise SystemProblem(
        f"The processes {[process.pid for process in left]} do not end. End them by hand.", code="LX-SERVE-050"
    )


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into SystemExit(143), so that `finally` blocks run.

    Only the main thread can do that, and a handler of the caller's own stays.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def members(identity: str) -> list[psutil.Process]:
    """Return the living processes of the server with the id `identity`, but for the calling one."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _belongs(process, identity) and is_alive(process.pid)
    ]


def _belongs(process: psutil.Process, identity: str) -> bool:
    """Return a process of this server: its environment holds the server's id, which no other one has.

    Unlike a process number with a start time, that survives a change of the clock, and it finds workers too.
    """
    try:
        return bool(process.environ().get(ID_VARIABLE) == identity)
    except (psutil.Error, OSError):
        return False


def _end(processes: list[psutil.Process], patience: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL) if patience else (signal.SIGKILL,):
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(number)
        deadline = time.monotonic() + (patience if number == signal.SIGTERM else 10.0)
        while processes and time.monotonic() < deadline:
            for process in processes:
                with suppress(ChildProcessError):  # reaps it if it is ours
                    os.waitpid(process.pid, os.WNOHANG)
            processes = [process for process in processes if is_alive(process.pid)]
            time.sleep(0.02)
