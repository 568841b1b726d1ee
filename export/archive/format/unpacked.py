"""Archives that lie unpacked in a folder, as `torch-model-archiver --archive-format no-archive` makes them.

They are read like any other: from the zip that `lexport archive` would write of their files.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from ....errors import InputError
from ....handlers.model.digests import MANIFEST
from .budgets import MAX_BYTES, MAX_MEMBERS
from .layout import write

_BLOCK = 1 << 20
_LEFT_OUT = {"__pycache__", "__MACOSX"}  # folders that torch-model-archiver leaves out too


def is_unpacked(path: Path) -> bool:
    """Return whether a folder has an archive's manifest."""
    return (path / MANIFEST).is_file()


def pack(folder: Path) -> BinaryIO:
    """Return an archive of the files in `folder`, in an unnamed temporary file, which ends when it is closed.

    The files of an archive of lexport's make the same bytes again. Raises InputError for a folder without a manifest,
    for one with links or other things that are no files, for one that is too large, and for what cannot be read.
    """
    if not is_unpacked(folder):
        raise InputError(
            f"{folder} is a folder without {MANIFEST}. Expected a .mar, or the folder that torch-model-archiver "
            "makes with --archive-format no-archive.",
            code="LX-ARCHIVE-078",
        )
    sizes: dict[str, int] = {}
    total = 0
    for path in _files(folder):
        size = sizes[path.relative_to(folder).as_posix()] = path.lstat().st_size
        total += size
        if len(sizes) > MAX_MEMBERS or total > MAX_BYTES:
            raise InputError(
                f"{folder} holds more than {MAX_MEMBERS:,} files or {MAX_BYTES:,} bytes, which no archive may. "
                "Expected the folder of one archive.",
                code="LX-ARCHIVE-079",
            )
    with ExitStack() as stack:
        target = stack.enter_context(tempfile.TemporaryFile(prefix="lexport-"))
        write(target, ((name, sizes[name], _blocks(folder / name)) for name in sorted(sizes)))
        stack.pop_all()
    return target


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.", code="LX-ARCHIVE-080")

    for root, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in (*folders, *files):
            mode = Path(root, name).lstat().st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise InputError(
                    f"{Path(root, name)} is a link or no file. Put the file itself there.", code="LX-ARCHIVE-081"
                )
        yield from (Path(root, name) for name in files)


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        # What has become a link or a pipe meanwhile is not followed and not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as source:
            while block := source.read(_BLOCK):
                yield block
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", code="LX-ARCHIVE-082") from None


def compiled(path: Path) -> list[str]:
    """Return the compiled Python files in a folder, which Python may run instead of the sources; [] for a file."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*.pyc")) if path.is_dir() else []
