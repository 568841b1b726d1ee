"""Writing an archive's members: a zip of the same bytes from the same members, or a folder, block by block."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from ..errors import InputError, RefusedError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Measured:
    """A file as it was when it was measured: its hex SHA-256 then."""

    path: Path
    digest: str


Content = bytes | Measured


def digest_of(content: Content) -> str:
    """The hex SHA-256 of a member; of a file the one it must have."""
    return content.digest if isinstance(content, Measured) else hashlib.sha256(content).hexdigest()


def write_zip(handle: BinaryIO, members: Mapping[str, Content]) -> None:
    """A zip with sorted members, one date and mode, uncompressed: deflate differs between zlib builds.

    `handle` is open for writing and can be sought in. Raises InputError for a file that cannot be read, RefusedError
    for one that changed since it was measured.
    """
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(members.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            if isinstance(content, Measured):
                _add(archive, entry, content)
            else:
                archive.writestr(entry, content)


def _add(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Measured) -> None:
    with _reading(file.path):
        # Told beforehand, so that a large member gets the header that it needs.
        entry.file_size = file.path.stat().st_size
        source = file.path.open("rb")
    with source, archive.open(entry, "w") as target:
        _copy(source, target, file)


def write_folder(folder: Path, members: Mapping[str, Content]) -> None:
    """Members as files below an empty `folder`. Raises as `write_zip` does."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
            continue
        with _reading(content.path):
            source = content.path.open("rb")
        with source, path.open("xb") as target:
            _copy(source, target, content)


def _copy(source: BinaryIO, target: IO[bytes], file: Measured) -> None:
    digest = hashlib.sha256()
    while block := _read(source, file.path):
        digest.update(block)
        target.write(block)
    if digest.hexdigest() != file.digest:
        raise RefusedError(f"{file.path} was altered since it was measured. Export the run again.")


def _read(source: BinaryIO, path: Path) -> bytes:
    with _reading(path):
        return source.read(_BLOCK)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Restore it, or export the run again.") from None
