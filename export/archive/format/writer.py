"""Writing an archive's members: a zip of the same bytes from the same members, or a folder, block by block.

`layout` has the format of the zip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ....errors import InputError, RefusedError
from ....storage.atomic import new_file
from .layout import write
from .reader import blocks, declared, open_archive

_BLOCK = 1 << 20


@dataclass(frozen=True)
class HashedFile:
    """A file as it was when it was measured: its hex SHA-256 then."""

    path: Path
    digest: str


Content = bytes | HashedFile


def digest_of(content: Content) -> str:
    """Return the hex SHA-256 of a member; of a file the one it must have."""
    return content.digest if isinstance(content, HashedFile) else hashlib.sha256(content).hexdigest()


def write_zip(handle: BinaryIO, members: Mapping[str, Content]) -> None:
    """A zip with sorted members, one date and mode, uncompressed: deflate differs between zlib builds.

    `handle` is empty, open for writing and can be sought in. Raises InputError for a file that cannot be read,
    RefusedError for one that changed since it was measured.
    """
    write(handle, ((name, *_sized(content)) for name, content in sorted(members.items())))


def rewrite(source: Path, target: Path) -> None:
    """Write the archive `source` again to `target`, from its members as the reader sees them; folders are left out.

    An archive that `lexport archive` wrote comes out byte for byte the same. Raises InputError for what cannot be
    read, RefusedError for members that differ from MAR-INF/DIGESTS; nothing is written then.
    """
    with open_archive(source) as archive, new_file(target) as handle:
        try:
            listed = declared(archive)
        except ValueError as error:
            raise RefusedError(f"{source}: {error}", code="LX-ARCHIVE-083") from None
        members = {one.filename: one for one in archive.infolist() if not one.is_dir()}
        if missing := sorted(listed.keys() - members.keys()):
            raise RefusedError(f"{source}: {missing[0]} is missing.", code="LX-ARCHIVE-084")
        write(
            handle,
            (
                (name, member.file_size, _unaltered(blocks(archive, member), listed.get(name), f"{source}: {name}"))
                for name, member in sorted(members.items())
            ),
        )


def _sized(content: Content) -> tuple[int, Iterator[bytes]]:
    if isinstance(content, bytes):
        return len(content), iter([content])
    with _reading(content.path):
        size = content.path.stat().st_size
    return size, _unaltered(_read(content.path), content.digest, str(content.path), " Export the run again.")


def _unaltered(content: Iterable[bytes], digest: str | None, what: str, remedy: str = "") -> Iterator[bytes]:
    """Yield the blocks of a content; RefusedError at their end if the digest is another than the one it must have."""
    found = hashlib.sha256()
    for block in content:
        found.update(block)
        yield block
    if digest not in (None, found.hexdigest()):
        raise RefusedError(f"{what} was altered since it was measured.{remedy}", code="LX-ARCHIVE-085")


def read_unaltered(file: HashedFile) -> bytes:
    """Return the content of a small file. Raises as `write_zip` does."""
    return b"".join(_sized(file)[1])


def write_folder(folder: Path, members: Mapping[str, Content]) -> None:
    """Members as files below an empty `folder`. Raises as `write_zip` does."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            target.writelines(_sized(content)[1])


def _read(path: Path) -> Iterator[bytes]:
    with _reading(path):
        source = path.open("rb")
    with source:
        while block := _block(source, path):
            yield block


def _block(source: BinaryIO, path: Path) -> bytes:
    with _reading(path):
        return source.read(_BLOCK)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Restore it, or export the run again.", code="LX-ARCHIVE-086"
        ) from None
