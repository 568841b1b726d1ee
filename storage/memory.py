"""How much memory this process needed for a while, and giving back what it needs no more."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")


def peak_memory(work: Callable[[], _Result]) -> tuple[_Result, int | None]:
    """Return the result of `work`, and the peak increase of this process's resident memory meanwhile, in bytes.

    Mapped files count as far as they were read. The memory is None if the system does not tell (Linux does).
    """
    status, refs = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        refs.write_text("5", encoding="ascii")  # reset the peak: proc(5)
        before = _kilobytes(status, "VmRSS")
    except (OSError, ValueError):
        return work(), None
    found = work()
    return found, max(0, _kilobytes(status, "VmHWM") - before) * 1024


def _kilobytes(status: Path, name: str) -> int:
    [line] = [line for line in status.read_text(encoding="ascii").splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1])


def give_back() -> None:
    """Return free memory to the system. Call this between the phases of a command that takes much of it.

    glibc alone is known to keep it: after large arrays came and went, as much as is in use.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
