"""Prefault mapped files: map their pages into this process before the first request needs them."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

_PAGE = 4096
_MAPS = Path("/proc/self/maps")
# Map every page of a span now, MADV_POPULATE_READ: Linux knows it since 5.14, Python's mmap does not name it yet.
_POPULATE = 22


def prefault(folder: Path) -> int:
    """Prefault every page that this process has mapped from the files in `folder`. Return the mapped bytes.

    This includes the files that engines map by themselves. The first access to a page costs a page fault, or a wait
    for the disk. Only Linux lists what is mapped; on other systems nothing is done.
    """
    if not _MAPS.exists():
        return 0
    below, mapped = f"{folder.resolve()}/", 0
    for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        # Addresses, permissions, offset, device and inode, then the path, which may contain spaces.
        span, permissions, _, _, _, *path = line.split(maxsplit=5)
        if path and path[0].startswith(below) and permissions.startswith("r"):
            first, last = (int(end, 16) for end in span.split("-"))
            if not _populated(first, last - first):
                pages = np.frombuffer(memoryview((ctypes.c_ubyte * (last - first)).from_address(first)), np.uint8)
                pages[::_PAGE].max()
            mapped += last - first
    return mapped


def _populated(address: int, size: int) -> bool:
    """Return whether the kernel has mapped the pages."""
    return bool(ctypes.CDLL(None).madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), _POPULATE) == 0)
