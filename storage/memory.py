"""Give memory that is free back to the system, between the phases of a command that takes much of it."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Return what the C library keeps for later: after large arrays came and went, that is as much as is in use.

    glibc alone is known to keep so much and has a call for it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
