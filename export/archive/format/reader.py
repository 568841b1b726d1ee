"""Reading archives without trusting them: an archive is opened once, and checked before any member is read."""

from __future__ import annotations

import shlex
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ....errors import InputError, LexportError, RefusedError
from ....handlers.model.digests import DIGESTS, MANIFEST, SIGNATURE, check_digests, read_digests
from ....storage.strict_json import parse_json
from .budgets import MAX_DIRECTORY, check_members, check_sizes, limit_of, too_large
from .layout import check_exact, check_layout
from .unpacked import pack

EVIDENCE = "MAR-INF/EVIDENCE.json"

# The newest schema of each that this version reads; it reads all before.
SCHEMAS = {EVIDENCE: 2, "model.json": 1, "text.json": 1}

# What reading damaged zips raises.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError)

_BLOCK = 1 << 20
_HEADER = struct.Struct("<26xHH")  # the lengths of a name and of the extras, at the end of a member's header


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Context manager: the archive's zip, open once, with what it holds and where it lies checked.

    A folder with an unpacked archive is packed first, into a temporary file. An archive with MAR-INF/EVIDENCE.json
    must have the format of `layout`, to the byte. Raises InputError for what cannot be read.
    """
    if not path.is_file() and not path.is_dir():
        raise InputError(
            f"There is no archive {path}. Make one with: lexport archive RUN --version 1.0", code="LX-ARCHIVE-069"
        )
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(pack(path) if path.is_dir() else path.open("rb"))
            _refuse_tar(path, handle)
            _check_directory(path, handle)
            # Without the flag for UTF-8, names are what Java takes them for.
            archive = stack.enter_context(zipfile.ZipFile(handle, metadata_encoding="utf-8"))
            archive.filename = str(path)
            members = archive.infolist()
            check_members(path, members, handle.seek(0, 2))
            check_layout(path, handle, archive)
            if EVIDENCE in archive.namelist():
                check_exact(path, handle, members)
                check_sizes(path, members)
        except (*DAMAGED, NotImplementedError, OSError, RuntimeError) as error:
            raise _unreadable(path, error) from None
        try:
            yield archive
        except DAMAGED as error:
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is not a readable archive: {error}. Expected a .mar, which is a zip.", code="LX-ARCHIVE-070"
    )


def _refuse_tar(path: Path, handle: BinaryIO) -> None:
    handle.seek(0)
    if handle.read(2) == b"\x1f\x8b":
        raise InputError(
            f"{path} is a tar packed by gzip, as torch-model-archiver makes it with --archive-format tgz. Expected a "
            "zip or a folder: pack it again with --archive-format default, or unpack it (tar xzf "
            f"{shlex.quote(str(path))}) and name the folder that has MAR-INF in it.",
            code="LX-ARCHIVE-071",
        )


def _check_directory(path: Path, handle: BinaryIO) -> None:
    """Raise InputError for a directory that would fill the memory: zipfile reads it whole."""
    handle.seek(max(handle.seek(0, 2) - (22 + 0xFFFF + 76), 0))
    end = handle.read()
    # As zipfile finds it: the last 22 bytes, or what comes before a comment.
    whole = end[-22:-18] == b"PK\5\6" and end[-2:] == b"\0\0"
    place = len(end) - 22 if whole else end.rfind(b"PK\5\6")
    if place < 0 or len(end) < place + 22:
        return  # no zip, as zipfile will say
    [size] = struct.unpack_from("<L", end, place + 12)
    if place >= 76 and end[place - 20 : place - 16] == b"PK\6\7" and end[place - 76 : place - 72] == b"PK\6\6":
        [size] = struct.unpack_from("<Q", end, place - 36)
    if size > MAX_DIRECTORY:
        raise InputError(
            f"{path} has a directory of {size:,} bytes; at most {MAX_DIRECTORY:,} are accepted.",
            code="LX-ARCHIVE-072",
        )


def blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of a member, at most 1 MiB at once.

    Raises BadZipFile, at its end at the latest, unless there are exactly as many bytes as declared, with the declared
    checksum, and of a deflated member unless its stream ends where the member does.
    """
    packed, size, checksum = _packed(archive, member), 0, 0
    for block in packed if member.compress_type == zipfile.ZIP_STORED else _inflated(packed, member.filename):
        size, checksum = size + len(block), zlib.crc32(block, checksum)
        if size > member.file_size:
            raise zipfile.BadZipFile(f"{member.filename} is larger than it declares")
        yield block
    if (size, checksum) != (member.file_size, member.CRC):
        raise zipfile.BadZipFile(f"Bad CRC-32 or size of {member.filename}")


def _packed(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the bytes of a member as they lie in the file, which others read too meanwhile."""
    handle = cast(BinaryIO, archive.fp)
    handle.seek(member.header_offset)
    place = member.header_offset + _HEADER.size + sum(_HEADER.unpack(handle.read(_HEADER.size)))
    left = member.compress_size
    while left:
        handle.seek(place)
        try:
            block = handle.read(min(left, _BLOCK))
        except OSError as error:
            raise zipfile.BadZipFile(f"{member.filename} cannot be read: {error.strerror}") from None
        if not block:
            raise zipfile.BadZipFile(f"{member.filename} ends early")
        place, left = place + len(block), left - len(block)
        yield block


def _inflated(packed: Iterator[bytes], name: str) -> Iterator[bytes]:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    for block in packed:
        if stream.eof:
            raise zipfile.BadZipFile(f"{name} has bytes behind its end")
        waiting = block
        while True:
            try:
                found = stream.decompress(waiting, _BLOCK)
            except zlib.error as error:
                raise zipfile.BadZipFile(f"{name}: {error}") from None
            waiting = stream.unconsumed_tail
            if found:
                yield found
            elif not waiting:  # all output was taken
                break
    if not stream.eof or stream.unused_data:
        raise zipfile.BadZipFile(f"{name} does not end where its deflated bytes do")


def read_member(archive: zipfile.ZipFile, name: str, limit: int | None = None) -> bytes:
    """Return the content of a member of at most `limit` bytes; by default of as many as such a member of lexport's
    may have.

    Raises InputError for a larger one before reading it, for one that is absent or damaged.
    """
    path = Path(archive.filename or "")
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise InputError(
            f"{path} has no {name}: it was not made by `lexport archive`.", code="LX-ARCHIVE-073"
        ) from None
    limit = limit_of(name) if limit is None else limit
    if member.file_size > limit:
        raise too_large(path, name, member.file_size, limit)
    return b"".join(blocks(archive, member))


def read_json(path: Path, member: str) -> dict[str, Any]:
    """Return one JSON member of an archive. Raises InputError if it is missing or not a JSON object."""
    with open_archive(path) as archive:
        return json_of(archive, member)


def json_of(archive: zipfile.ZipFile, member: str) -> dict[str, Any]:
    """Return one JSON member of an open archive. Raises InputError if it is missing or not a JSON object."""
    reason = ""
    try:
        value = parse_json(read_member(archive, member))
    except ValueError as error:
        value, reason = None, f" ({error})"
    if not isinstance(value, dict):
        raise InputError(
            f"{archive.filename}: {member} is not a JSON object{reason}. Make the archive again.",
            code="LX-ARCHIVE-074",
        )
    return value


def read_labels(path: Path) -> list[str]:
    """Return the labels of an archive's model in the order of its outputs. Raises InputError without a list."""
    with open_archive(path) as archive:
        content = read_member(archive, "labels.json")
    try:
        value = parse_json(content)
    except ValueError:
        value = None
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise InputError(
            f"{path}: labels.json is not a list of strings. Make the archive again.", code="LX-ARCHIVE-075"
        )
    return value


def check_schemas(path: Path) -> None:
    """Raise InputError for an archive with a member of a newer schema than this version reads."""
    with open_archive(path) as archive:
        check_schemas_of(archive)


def check_schemas_of(archive: zipfile.ZipFile) -> None:
    """Raise InputError as `check_schemas` does, for an open archive."""
    for member in sorted(SCHEMAS.keys() & set(archive.namelist())):
        schema, known = json_of(archive, member).get("schema"), SCHEMAS[member]
        if isinstance(schema, int) and schema > known:
            raise InputError(
                f"{archive.filename}: {member} has schema {schema}, this version reads up to {known}; "
                "update lexport.",
                code="LX-ARCHIVE-076",
            )


@contextmanager
def extracted(path: Path) -> Iterator[Path]:
    """Context manager: a temporary folder with the archive's members, removed afterwards.

    Raises InputError for a bad archive, RefusedError if a member does not match MAR-INF/DIGESTS.
    """
    folder = Path(tempfile.mkdtemp(prefix="lexport-"))
    try:
        extract(path, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def extract(path: Path, folder: Path) -> None:
    """Write the archive's members into an empty folder. Raises as `extracted` does; what was written stays."""
    try:
        with open_archive(path) as archive:
            check_sizes(path, archive.infolist())
            declared(archive)
            _extract(archive, folder)
        check_digests(folder)
    except ValueError as error:
        raise RefusedError(f"{path}: {error}", code="LX-ARCHIVE-077") from None


@contextmanager
def named(path: object, copy: Path) -> Iterator[None]:
    """Replace the path of a copy, a file or a folder, in error messages by where it was copied from."""
    try:
        yield
    except LexportError as error:
        error.message = error.message.replace(str(copy), str(path))
        raise


def _extract(archive: zipfile.ZipFile, folder: Path) -> None:
    for member in archive.infolist():
        target = folder / member.filename
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as handle:
            for block in blocks(archive, member):
                handle.write(block)


def declared(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return what DIGESTS lists, name → hex SHA-256; nothing where an archive has none.

    Raises ValueError for a member that it does not list, before anything is written. Where `torch-model-archiver`
    wrote the manifest, it is not listed.
    """
    if DIGESTS not in archive.namelist():
        return {}
    listed = read_digests(read_member(archive, DIGESTS).decode())
    undeclared = sorted(set(archive.namelist()) - {DIGESTS, MANIFEST, SIGNATURE} - listed.keys())
    if undeclared:
        raise ValueError(f"{undeclared[0]} is not listed in {DIGESTS}.")
    return listed
