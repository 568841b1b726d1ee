"""TorchServe's own processes: the Java frontend and its workers."""

from __future__ import annotations

from contextlib import suppress

import psutil

from ..process import find
from ..state import Server


def frontend(server: Server) -> psutil.Process | None:
    """Return the server's Java process; None if it has ended, or was started again after `server` was read."""
    return find(server.pid, server.id)


def workers_of(server: Server) -> dict[int, str]:
    """Return the server's worker processes: their TorchServe worker id (`9000`, …) by process number."""
    workers: dict[int, str] = {}
    java = frontend(server)
    if java is None:
        return workers
    try:
        children = java.children()
    except psutil.Error:  # it has ended meanwhile
        return workers
    for child in children:
        with suppress(psutil.Error):
            command = child.cmdline()
            if "--sock-name" in command:
                workers[child.pid] = command[command.index("--sock-name") + 1].rpartition(".")[2]
    return workers
