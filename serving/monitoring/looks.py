"""One look at a server after another, with what happened in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SystemProblem
from .. import server as servers
from ..state import Server
from ..torchserve.health import overview
from . import figures
from .reading import PATIENCE


@dataclass(frozen=True)
class Look:
    """A server at one moment."""

    time: float
    """Seconds since 1970."""
    values: dict[str, Any] | None
    """What `overview.describe` returns; None if the server could not be asked."""
    note: str = ""
    """That the server was started again since the last look; "" if it was not."""
    problem: str = ""
    """Why the server could not be asked."""


def looks(state_dir: Path | None = None, *, seconds: float = 2.0, patience: float = PATIENCE) -> Iterator[Look]:
    """Yield a look at the server of a state folder every so many seconds, without an end.

    From the second look on each model has figures of the time since the one before (`recent`). A server that is being
    started again is waited for, and the look says why it could not be asked. Raises SystemProblem if none runs at
    first, or if none has run for `patience` seconds.
    """
    before: Server | None = None
    counted: figures.Figures | None = None
    lost: float | None = None
    while True:
        began = time.monotonic()
        try:
            server = servers.running(state_dir)
        except SystemProblem as problem:
            lost = began if lost is None else lost
            if before is None or began - lost >= patience:
                raise
            yield Look(time.time(), None, problem=problem.message)
        else:
            lost = None
            note = _restarted(server, before)
            now = figures.read(server)
            same = before is not None and (before.id, before.pid) == (server.id, server.pid)
            try:
                yield Look(time.time(), overview.describe(server, now, counted if same else None), note)
            except SystemProblem as problem:
                if before is None:
                    raise
                yield Look(time.time(), None, note, problem.message)
            before, counted = server, now
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))


def _restarted(server: Server, before: Server | None) -> str:
    """Return a line if the server, or a part of it, was started again since it was `before`; "" if not."""
    if before is None:
        return ""
    if server.id != before.id:
        return f"The server was started again (pid {server.supervisor})."
    if server.restarts > before.restarts:
        what = "TorchServe" if server.engine == "torchserve" else "A process"
        return f"{what} was started again after: {server.last_reason}"
    return ""
