"""The reader of archives before it knew one exact format, kept so that the comparison with Java can fail.

It compared sizes with the directory alone, and read as many bytes of a member as its size says.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

_HEADER = struct.Struct("<4sHHHHHLLLHH")
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeDecodeError,
)


def contents(path: Path) -> dict[str, str] | None:
    """The SHA-256 of each file that it read, None where it refused the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            if _bad_member(path, archive.infolist()) or _bad_layout(path, archive):
                return None
            return {
                one.filename: hashlib.sha256(archive.read(one)).hexdigest()
                for one in archive.infolist()
                if not one.is_dir()
            }
    except _UNREADABLE:
        return None


def _bad_member(path: Path, members: Sequence[zipfile.ZipInfo]) -> bool:
    seen: set[str] = set()
    for member in members:
        name = member.filename
        pure = PurePosixPath(name)
        if (
            not pure.name
            or pure.is_absolute()
            or ".." in pure.parts
            or "\\" in name
            or re.match(r"[A-Za-z]:", name)
            or "__pycache__" in pure.parts
            or pure.suffix == ".pyc"
            or stat.S_ISLNK(member.external_attr >> 16)
            or member.flag_bits & 1
            or str(pure).casefold() in seen
        ):
            return True
        seen.add(str(pure).casefold())
    own = path.stat().st_size
    total = sum(member.file_size for member in members)
    return total > max(200 * own, 2**30) or sum(member.compress_size for member in members) > own


def _bad_layout(path: Path, archive: zipfile.ZipFile) -> bool:
    place = 0
    with path.open("rb") as handle:
        for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
            if member.header_offset != place or member.flag_bits & 0x8:
                return True
            handle.seek(member.header_offset)
            header = handle.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return True
            signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _HEADER.unpack(header)
            name, extra = handle.read(name_length), handle.read(extra_length)
            sizes = set(_large_sizes(extra))
            if (packed, size) != (0xFFFFFFFF, 0xFFFFFFFF):
                sizes.add((packed, size))
            if (signature, flags, method, crc, sizes, name) != (
                b"PK\3\4",
                member.flag_bits,
                member.compress_type,
                member.CRC,
                {(member.compress_size, member.file_size)},
                member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437"),
            ):
                return True
            place += _HEADER.size + len(name) + len(extra) + member.compress_size
    return place != archive.start_dir


def _large_sizes(extra: bytes) -> Iterator[tuple[int, int]]:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1 and 16 <= length <= len(extra) - 4:
            size, packed = struct.unpack_from("<QQ", extra, 4)
            yield packed, size
        extra = extra[4 + length :]
