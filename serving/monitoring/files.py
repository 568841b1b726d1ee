"""The log files of a server, read once or followed while they grow, are rotated and made anew."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import IO

from .entries import Entry, Reader

_ROTATED = re.compile(r"(ts_log|model_log)\.\d+\.log|(access_log\.\d+\.jsonl)\.\d+")
_KEPT = re.compile(r"[\w.-]+\.(?:log|jsonl)(?:\.\d+)?")
_LONGEST = 100_000  # characters of a line that are kept


class Logs:
    """All log files of a folder. A file is known by its inode, so that it may be renamed while it is read."""

    def __init__(self, folder: Path, *, requests: bool = True) -> None:
        """Read the files of `folder`, which may be missing; without `requests` no access log."""
        self._folder = folder
        self._requests = requests
        self._open: dict[tuple[int, int], _File] = {}

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def read(self) -> Iterator[Entry]:
        """Yield what has come since the last call, of all files by time; the first call yields everything."""
        # A file that is gone is read to its end for the last time: what it got before it was rotated away.
        found = self._find()
        named: dict[str, list[_File]] = {}
        for file in self._open.values():
            named.setdefault(file.reader.file, []).append(file)
        lines = [chain.from_iterable(file.read() for file in files) for files in named.values()]
        yield from merge(*lines, key=lambda entry: entry.time)
        for known in [known for known in self._open if known not in found]:
            self._open.pop(known).close()

    def skip(self, most: int) -> None:
        """Begin each file at most `most` bytes before its end, at the beginning of a line."""
        self._find()
        for file in self._open.values():
            file.skip(most)

    def close(self) -> None:
        """Close all files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _find(self) -> set[tuple[int, int]]:
        """Open the files that are new, the older ones of a rotation first, and return all that are there."""
        listed = {
            (info.st_dev, info.st_ino): (path, info)
            for path, info in _files(self._folder)
            if self._requests or not path.name.startswith("access_log.")
        }
        readers = {file.reader.file: file.reader for known, file in self._open.items() if known in listed}
        for known, (path, info) in sorted(listed.items(), key=lambda one: one[1][1].st_mtime_ns):
            if known not in self._open:
                with suppress(OSError):
                    handle = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
                    name = base_name(path.name)
                    reader = readers.setdefault(name, Reader(name, info.st_mtime))
                    self._open[known] = _File(handle, reader)
        return set(listed)


class _File:
    """One file that is read as far as it has whole lines."""

    def __init__(self, handle: IO[bytes], reader: Reader) -> None:
        self._handle = handle
        self._rest = b""
        self.reader = reader

    def read(self) -> Iterator[Entry]:
        for line in self._handle:
            self._rest += line
            if not self._rest.endswith(b"\n"):
                continue  # the rest of it is still being written
            text, self._rest = self._rest.decode("utf-8", "replace").rstrip("\r\n"), b""
            yield self.reader.read(text[:_LONGEST])

    def skip(self, most: int) -> None:
        size = self._handle.seek(0, os.SEEK_END)
        self._handle.seek(max(0, size - most))
        if size > most:
            self._handle.readline()

    def close(self) -> None:
        self._handle.close()


def base_name(name: str) -> str:
    """Return the name under which a rotated file was written."""
    match = _ROTATED.fullmatch(name)
    return name if match is None else f"{match[1]}.log" if match[1] else match[2]


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the regular log files of a folder, links left out."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            with suppress(OSError):
                info = path.lstat()
                if stat.S_ISREG(info.st_mode) and _KEPT.fullmatch(path.name):
                    yield path, info
