"""Archives that lie as folders: what `torch-model-archiver --archive-format no-archive` writes; unzipped ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError, LexportError
from ..files import sha256_file
from ..handlers.digests import MANIFEST
from .budgets import MAX_BYTES, MAX_MEMBERS
from .zips import Content, Measured, write_zip


@contextmanager
def as_archive(path: Path) -> Iterator[Path]:
    """An archive's file: `path` itself, or, for a folder with a manifest, a temporary .mar of what lies in it.

    The .mar is written as `lexport archive` writes it, so that a folder that was unpacked from an archive of
    lexport's gives the very archive again. Errors that name the temporary file name the folder instead. Compiled
    Python in `__pycache__`, which Python adds to a folder when it runs, is left out. Raises InputError for a folder
    without a manifest, with links, or with more than an archive may hold.
    """
    if not path.is_dir():
        yield path
        return
    members = _members(path)
    with tempfile.TemporaryDirectory(prefix="lexport-") as place:
        packed = Path(place, f"{path.resolve().name or 'archive'}.mar")
        with packed.open("w+b") as handle:
            write_zip(handle, members)
        try:
            yield packed
        except LexportError as error:
            error.message = error.message.replace(str(packed), str(path))
            raise


def compiled(path: Path) -> list[str]:
    """The compiled Python files in a folder, which Python may run in place of their sources; none of a file."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*.pyc")) if path.is_dir() else []


def _members(folder: Path) -> dict[str, Content]:
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder} is a folder without {MANIFEST}. Expected a .mar file, or the folder that torch-model-archiver "
            "--archive-format no-archive writes."
        )
    members: dict[str, Content] = {}
    total = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        for name in sorted([*folders, *files]):
            file = Path(place, name)
            if file.is_symlink():
                raise InputError(f"{folder} holds the link {str(file.relative_to(folder))!r}. Expected plain files.")
            if name in folders:
                continue
            if not file.is_file():
                raise InputError(f"{folder} holds {str(file.relative_to(folder))!r}, which is no plain file.")
            total += file.stat().st_size
            if total > MAX_BYTES or len(members) >= MAX_MEMBERS:
                raise InputError(
                    f"{folder} holds more than the {MAX_MEMBERS:,} files or {MAX_BYTES:,} bytes allowed."
                )
            members[file.relative_to(folder).as_posix()] = Measured(file, sha256_file(file))
    return members
