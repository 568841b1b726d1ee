"""Reading a binary file from its beginning to its end, never beyond it."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....storage.compression import readable, shown


class Cursor:
    """A place in a mapped file, and where its bytes end."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        """Begin at the first byte."""
        self.path = path
        self.size = len(content)
        self.at = 0
        self._content = content

    def numbers(self, layout: str, what: str) -> tuple[Any, ...]:
        """Return the numbers of a `struct` layout, low byte first. Raises InputError if the file ends before."""
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}"), what))

    def array(self, dtype: str, count: int, what: str) -> npt.NDArray[Any]:
        """Return `count` numbers, a view of the mapped file. Raises InputError if the file ends before."""
        size = count * np.dtype(dtype).itemsize
        self._check(size, what)
        found = np.frombuffer(self._content, dtype, count, self.at)
        self.at += size
        return found

    def take(self, size: int, what: str) -> bytes:
        """Return the next `size` bytes. Raises InputError if the file ends before."""
        self._check(size, what)
        self.at += size
        return self._content[self.at - size : self.at]

    def until_zero(self, what: str) -> bytes:
        """Return the bytes up to the next zero, which is skipped. Raises InputError if there is none."""
        end = self._content.find(b"\0", self.at)
        if end < 0:
            raise self.damaged(f"{what} does not end")
        found = self._content[self.at : end]
        self.at = end + 1
        return found

    def flag(self, what: str) -> bool:
        """Return a byte as a flag. Raises InputError for one that is neither 0 nor 1."""
        [value] = self.take(1, what)
        if value > 1:
            raise self.damaged(f"{what} is {value}, neither 0 nor 1")
        return bool(value)

    def damaged(self, what: str) -> InputError:
        """Return the error for content that no such file has."""
        return InputError(
            f"{shown(self.path)} is damaged or not what its beginning says: at byte {self.at:,} {what}. Copy the "
            "file again from where it was trained.",
            code="LX-IMPORT-010",
        )

    def _check(self, size: int, what: str) -> None:
        if not 0 <= size <= self.size - self.at:
            raise InputError(
                f"{shown(self.path)} is cut off or damaged: {what} would take {size:,} bytes from byte {self.at:,} "
                f"on, and the file has {self.size:,}. Copy it again from where it was trained.",
                code="LX-IMPORT-011",
            )


@contextmanager
def opened(path: Path) -> Iterator[Cursor]:
    """Context manager: the cursor of a file. Raises InputError for one that cannot be read or has more at its end."""
    with readable(path), path.open("rb") as handle:
        content = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    # It stays mapped as long as anything reads from it.
    cursor = Cursor(path, content)
    yield cursor
    if cursor.at != cursor.size:
        raise cursor.damaged(f"{cursor.size - cursor.at:,} bytes follow where the file should end")
