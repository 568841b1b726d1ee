"""Temporary folders with a state folder in them, and the removal of those whose process was killed."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import SystemProblem
from . import folders, process, state

STATE = "state"
"""The state folder in a temporary folder."""
_PREFIX = "lexport-"
_MARKER = ".lexport-temporary"
# mkdtemp adds eight characters.
_LONGEST_PARENT = folders.LONGEST - len(f"/{_PREFIX}12345678/{STATE}")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a private temporary folder with a path short enough for a state folder, and remove it at the end.

    If this process is killed, `sweep` removes it later: the marker is locked while the process lives.
    """
    parent = tempfile.gettempdir()
    if len(os.fsencode(Path(parent).resolve())) > _LONGEST_PARENT:
        parent = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
    marker = os.open(folder / _MARKER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(marker, fcntl.LOCK_EX)
        os.write(marker, b"lexport\n")  # from now on `sweep` looks at it
        yield folder
    finally:
        folders.discard(folder)
        os.close(marker)


def sweep() -> list[Path]:
    """Remove this user's temporary folders whose process has died, with what is left of their servers.

    Returns the removed folders. A folder whose server is still being ended is left for the next call.
    """
    removed = []
    for parent in {Path(tempfile.gettempdir()), Path("/tmp")}:
        for folder in sorted(parent.glob(f"{_PREFIX}*")):
            with suppress(OSError):
                if _is_stale(folder) and _end_server(folder / STATE):
                    folders.discard(folder)
                    removed.append(folder)
    return removed


def _is_stale(folder: Path) -> bool:
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
        return False
    marker = os.open(folder / _MARKER, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        # Raises BlockingIOError while its process lives. An empty marker is about to be locked.
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(marker).st_size > 0
    finally:
        os.close(marker)


def _end_server(folder: Path) -> bool:
    """End what is left of a server in a state folder, if anything is; False while its supervisor is at work."""
    try:
        server = state.load(folder)
        if server is not None:
            if process.is_running(server):
                return False
            process.end(server.id, patience=3.0)
    except SystemProblem:
        return False
    return True
