"""The lines of a server's logs, while it runs and after it has ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError, SystemProblem
from .. import folders, state
from ..process import is_running
from .entries import ALARMING, Entry
from .files import Logs

PATIENCE = 15.0
"""Seconds after a server's end in which one that is started in its folder counts as the same being started again."""
_PAUSE = 0.5  # seconds between two looks for new lines
_TAIL = 1 << 18  # bytes of each file's end in which `last_error` looks


def logs(
    state_dir: Path | None = None,
    *,
    everything: bool = False,
    last: int | None = None,
    follow: bool = False,
    patience: float = PATIENCE,
) -> Iterator[Entry]:
    """Return the lines of the log files of a state folder, merged by time, newest last.

    Useful lines only (`Entry.kind` says why one is), or `everything`; only the `last` ones, None for all. With
    `follow` the iterator waits for new lines, through rotations and restarts, until the server has ended and no other
    was started in its folder for `patience` seconds. Raises SystemProblem if there are no logs, InputError for a
    `last` below 0.
    """
    if last is not None and last < 0:
        raise InputError(f"{last} lines were asked for. Expected a number of 0 or more.", code="LX-SERVE-201")
    folder = folders.locate(state_dir)
    if not folders.is_ours(folder) or not (folder / folders.LOGS).is_dir():
        raise SystemProblem(
            f"There are no logs in the state folder {folder}: no server has run there. Name the folder of one with "
            "--state-dir, or start one with: lexport serve NAME-1.0.mar",
            code="LX-SERVE-200",
        )
    return _entries(folder, everything, last, patience if follow else None)


def last_error(folder: Path) -> Entry | None:
    """Return the last entry of a log folder that tells of a death, an error or a refused request; None for none.

    Only the last 256 KiB of each file are read.
    """
    found = None
    with Logs(folder) as files:
        files.skip(_TAIL)
        for entry in files.read():
            if entry.kind in ALARMING:
                found = entry
    return found


def _entries(folder: Path, everything: bool, last: int | None, patience: float | None) -> Iterator[Entry]:
    with Logs(folder / folders.LOGS) as files:

        def new() -> Iterator[Entry]:
            return (entry for entry in files.read() if everything or entry.kind)

        yield from new() if last is None else deque(new(), maxlen=last)
        seen = time.monotonic()
        if patience is None or not _runs(folder):
            return
        while time.monotonic() - seen < patience:
            if _runs(folder):
                seen = time.monotonic()
            yield from new()
            time.sleep(_PAUSE)


def _runs(folder: Path) -> bool:
    server = state.load(folder)
    return server is not None and is_running(server)
