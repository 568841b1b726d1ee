"""Two bytes that a worker shares with the process that stops the server: whether to refuse, and whether it is busy.

They are in files of the folder LEXPORT_REPORT_DIR and are mapped into memory, so reading them needs no system call.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from ..request.refusals import Refusal
from .report import VARIABLE

CONTROL = "control"
"""The file of the byte that is 1 once all workers of a server are to refuse."""


def busy_name(pid: int) -> str:
    """Return the file of the byte that is 1 while the worker of that process number answers a batch."""
    return f"{pid}.busy"


class Switch:
    """The two bytes of one worker; without that folder (a plain `torchserve`) they are not shared."""

    stopping: mmap.mmap | bytes
    """One byte: 1 once requests are to be refused."""
    busy: mmap.mmap | bytearray
    """One byte: this worker sets it to 1 while it answers a batch."""

    def __init__(self) -> None:
        """Map both bytes; create the control file if it does not exist yet."""
        folder = os.environ.get(VARIABLE)
        if folder and Path(folder).is_dir():
            self.stopping = share(Path(folder, CONTROL), mmap.ACCESS_READ)
            self.busy = share(Path(folder, busy_name(os.getpid())), mmap.ACCESS_WRITE)
            # A worker that ended may have had the same process number.
            self.busy[0] = 0
        else:
            self.stopping, self.busy = b"\0", bytearray(1)


def share(path: Path, access: int, size: int = 1) -> mmap.mmap:
    """Map a file of `size` bytes, created as zeros if it does not exist; `access` is one of `mmap.ACCESS_…`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size, access=access)
    finally:
        os.close(descriptor)


def refusal() -> Refusal:
    """Return the answer to a request while the server stops."""
    return Refusal(
        503, "The server is stopping.", "the same request again in a second, or at another server", code="LX-HTTP-066"
    )
