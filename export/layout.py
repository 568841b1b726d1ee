"""Whether a zip holds what its directory lists and nothing else.

Python goes by the directory at a zip's end, TorchServe's Java (ZipInputStream) reads from the beginning, one member's
own header after another, and never sees the directory. What one checks must be what the other unpacks.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

# PKWARE's APPNOTE.TXT, 4.3.7: signature, version, flags, method, time, date, CRC, sizes, lengths of name and extras.
_HEADER = struct.Struct("<4sHHHHHLLLHH")
_DESCRIPTOR = 0x8  # flag: sizes come behind the content, so that its end is a matter of opinion
_UTF8 = 0x800
_IN_EXTRAS = 0xFFFFFFFF
_ZIP64 = 1


def check_layout(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise InputError unless the members of `archive`, open from `path`, lie end to end from the first byte on.

    Refused are bytes before, between and behind them, where another member can hide, and headers that differ
    from the directory. What follows the directory is read by neither.
    """
    place = 0
    with path.open("rb") as handle:
        for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
            if member.header_offset != place:
                raise _refusal(path, f"before {member.filename!r}")
            if member.flag_bits & _DESCRIPTOR:
                raise InputError(
                    f"{path} holds {member.filename!r} without its size before it, as streamed zips do. Pack it with "
                    "lexport or torch-model-archiver."
                )
            place += _length(path, handle, member)
    if place != archive.start_dir:
        raise _refusal(path, "before its directory")


def _refusal(path: Path, where: str) -> InputError:
    return InputError(
        f"{path} holds bytes {where} that its directory does not list, and TorchServe would unpack. Make it again."
    )


def _length(path: Path, handle: BinaryIO, member: zipfile.ZipInfo) -> int:
    """The bytes of a member with its header. Raises InputError for a header that differs from the directory."""
    handle.seek(member.header_offset)
    header = handle.read(_HEADER.size)
    if len(header) == _HEADER.size:
        signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _HEADER.unpack(header)
        name, extra = handle.read(name_length), handle.read(extra_length)
        sizes = set(_large_sizes(extra))
        if (packed, size) != (_IN_EXTRAS, _IN_EXTRAS):
            sizes.add((packed, size))
        found = (signature, flags, method, crc, sizes, name)
        if found == (
            b"PK\3\4",
            member.flag_bits,
            member.compress_type,
            member.CRC,
            {(member.compress_size, member.file_size)},
            member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8 else "cp437"),
        ):
            return _HEADER.size + len(name) + len(extra) + member.compress_size
    raise InputError(f"{path} says two things of {member.filename!r}, before it and in its directory. Make it again.")


def _large_sizes(extra: bytes) -> Iterator[tuple[int, int]]:
    """Packed and full size in every extra for members of 4 GiB or more; Java heeds them in small members too."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64 and 16 <= length <= len(extra) - 4:
            size, packed = struct.unpack_from("<QQ", extra, 4)
            yield packed, size
        extra = extra[4 + length :]
