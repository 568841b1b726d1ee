r"""The zip format of archives: every byte around the members' contents, for the writer and for the reader.

Python reads a zip by the directory at its end. TorchServe's Java (ZipInputStream) reads from the beginning, each
member by the header before it, and never sees the directory. In this format both find the same:

    archive    = (header content)* directory end
    header     = "PK\3\4" version flags method time date crc packed size lengths(name, extra) name extra
    directory  = ("PK\1\2" made_by version flags … attributes offset name extra)*
    end        = "PK\5\6" 0 0 count count directory_size directory_offset 0

- Members lie end to end from byte 0; the directory lists them in the same order with the same values; the file ends
  with the end record. No comments, no data descriptors, no directories as members. Flags are 0.
- Names are printable ASCII: relative paths in their shortest form, with "/" between their parts.
- Contents as `lexport archive` writes them: STORED, `packed` = `size`, sorted by name, 1980-01-01 00:00,
  mode 0o100644.
- Contents as `torch-model-archiver` writes them: STORED with `packed` = `size`, or DEFLATED, a stream of exactly
  `packed` bytes that expands to exactly `size` bytes; in any order, with any date and the mode of any plain file.
- `extra` is empty but for ZIP64, where Python's zipfile writes it: in the header of a member that with 5% on top is
  larger than 2 GiB - 1, in the directory for sizes and offsets larger than that. `version` is 45 there, else 20.

PKWARE: APPNOTE.TXT, .ZIP File Format Specification, 6.3.10, 2022.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ....errors import InputError, RefusedError

ZIP64_LIMIT = (1 << 31) - 1

_HEADER = struct.Struct("<4sHHHLLLLHH")
_DIRECTORY = struct.Struct("<4sBBHHHLLLLHHHHHLL")
_END64 = struct.Struct("<4sQHHLLQQQQ4sLQL")
_END = struct.Struct("<4sHHHHLLH")

_DESCRIPTOR = 0x8  # flag: sizes come behind the content, so that its end is a matter of opinion
_UTF8 = 0x800  # flag of names that are not ASCII
_IN_EXTRA = 0xFFFFFFFF  # in place of a size or offset that ZIP64's extra has
_ZIP64 = 1
_PLAIN = (0, 0o100000)  # types of a plain file in Unix modes
_NAME = re.compile(r"[ -~]+")


@dataclass(frozen=True)
class Entry:
    """What a zip says of a member: size, packed in bytes, crc of the content.

    The rest is by default what `lexport archive` writes. moment: date and time as MS-DOS has them. masked: whether
    its header leaves the sizes to ZIP64's extra although they would fit, as Python 3.12 writes them.
    """

    name: str
    size: int
    crc: int
    packed: int
    method: int = zipfile.ZIP_STORED
    moment: int = (1 << 5 | 1) << 16
    attributes: int = 0o100644 << 16
    system: int = 3
    masked: bool = False


def header(entry: Entry) -> bytes:
    """Return the bytes before a member's content."""
    name, flags = _encoded(entry.name)
    extra, sizes = b"", (entry.packed, entry.size)
    if _is_wide(entry):
        extra = struct.pack("<HHQQ", _ZIP64, 16, entry.size, entry.packed)
    if _is_masked(entry):
        sizes = (_IN_EXTRA, _IN_EXTRA)
    version = 45 if _is_masked(entry) else 20
    fields = (version, flags, entry.method, entry.moment, entry.crc, *sizes, len(name), len(extra))
    return _HEADER.pack(b"PK\3\4", *fields) + name + extra


def tail(entries: Sequence[Entry]) -> bytes:
    """Return the directory of members that lie end to end from byte 0, and the end record."""
    place, listed = 0, []
    for entry in entries:
        listed.append(_listed(entry, place))
        place += len(header(entry)) + entry.packed
    directory = b"".join(listed)
    count, size = len(entries), len(directory)
    end = b""
    if count > 0xFFFF or max(place, size) > ZIP64_LIMIT:
        fields = (44, 45, 45, 0, 0, count, count, size, place)
        end = _END64.pack(b"PK\6\6", *fields, b"PK\6\7", 0, place + size, 1)
    count, size, place = min(count, 0xFFFF), min(size, _IN_EXTRA), min(place, _IN_EXTRA)
    return directory + end + _END.pack(b"PK\5\6", 0, 0, count, count, size, place, 0)


def write(handle: BinaryIO, members: Iterable[tuple[str, int, Iterable[bytes]]]) -> None:
    """Write members of name, size and content, and what is around them, as `lexport archive` writes them.

    `handle` is empty, open for writing and can be sought in. Raises RefusedError for a content of another size.
    """
    entries = []
    for name, size, content in members:
        start, checksum = handle.tell(), 0
        handle.write(header(Entry(name, size, 0, packed=size)))
        before = handle.tell()
        for block in content:
            checksum = zlib.crc32(block, checksum)
            handle.write(block)
        end = handle.tell()
        if end - before != size:
            raise RefusedError(f"{name} changed while it was read. Try again.", code="LX-ARCHIVE-057")
        entries.append(Entry(name, size, checksum, packed=size))
        handle.seek(start)
        handle.write(header(entries[-1]))
        handle.seek(end)
    handle.write(tail(entries))


def _listed(entry: Entry, place: int) -> bytes:
    name, flags = _encoded(entry.name)
    large: list[int] = []
    sizes = (entry.packed, entry.size)
    if max(sizes) > ZIP64_LIMIT:
        large, sizes = [entry.size, entry.packed], (_IN_EXTRA, _IN_EXTRA)
    if place > ZIP64_LIMIT:
        large, place = [*large, place], _IN_EXTRA
    extra = struct.pack(f"<HH{len(large)}Q", _ZIP64, 8 * len(large), *large) if large else b""
    version = 45 if large or _is_masked(entry) else 20
    fields = (version, entry.system, version, flags, entry.method, entry.moment, entry.crc, *sizes)
    rest = (len(name), len(extra), 0, 0, 0, entry.attributes, place)
    return _DIRECTORY.pack(b"PK\1\2", *fields, *rest) + name + extra


def _encoded(name: str) -> tuple[bytes, int]:
    return (name.encode("ascii"), 0) if name.isascii() else (name.encode("utf-8"), _UTF8)


def _is_wide(entry: Entry) -> bool:
    return entry.size * 1.05 > ZIP64_LIMIT


def _is_masked(entry: Entry) -> bool:
    return entry.masked or max(entry.size, entry.packed) > ZIP64_LIMIT


def check_exact(path: Path, handle: BinaryIO, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise InputError unless the open file has this format to the byte; contents are not read.

    members: as its directory lists them.
    """
    entries, place = [], 0
    for member in members:
        entry = _entry(path, member)
        handle.seek(place)
        found = handle.read(len(header(entry)))
        if found != header(entry) and _is_wide(entry):
            entry = replace(entry, masked=True)
        if found != header(entry):
            raise _not_exact(path, f"the header of {entry.name!r}")
        entries.append(entry)
        place += len(found) + entry.packed
    handle.seek(place)
    expected = tail(entries)
    if handle.read(len(expected) + 1) != expected:
        raise _not_exact(path, "the directory")


def _entry(path: Path, member: zipfile.ZipInfo) -> Entry:
    """Return what the directory says of a member. Raises InputError for what no header of this format can say."""
    name, mode = member.orig_filename, member.external_attr >> 16
    if not _NAME.fullmatch(name) or PurePosixPath(name).as_posix() != name:
        raise _not_exact(path, f"the name {name!r}")
    if member.create_system not in (0, 3) or mode & 0o170000 not in _PLAIN or member.external_attr & 0xFFFF:
        raise _not_exact(path, f"the mode of {name!r}")
    year, month, day, hour, minute, second = member.date_time
    date, clock = (year - 1980) << 9 | month << 5 | day, hour << 11 | minute << 5 | second // 2
    return Entry(
        name,
        member.file_size,
        member.CRC,
        member.compress_size,
        member.compress_type,
        date << 16 | clock,
        member.external_attr,
        member.create_system,
    )


def _not_exact(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} has MAR-INF/EVIDENCE.json, but {what} is not written as lexport and torch-model-archiver write it: "
        "TorchServe could unpack something else than was verified. Pack it again with one of them.",
        code="LX-ARCHIVE-058",
    )


def check_layout(path: Path, handle: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Raise InputError unless the members of any zip, open as `handle`, lie end to end from the first byte on.

    Refused are bytes before, between and behind them, where another member can hide, headers that differ from the
    directory, other methods than STORED and DEFLATED, and STORED members of two sizes. What follows the directory is
    read by neither Python nor Java.
    """
    place = 0
    for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
        name = member.orig_filename
        if member.header_offset != place:
            raise _refusal(path, f"before {name!r}")
        if member.flag_bits & _DESCRIPTOR:
            raise InputError(
                f"{path} holds {name!r} without its size before it, as streamed zips do. Pack it with "
                "lexport or torch-model-archiver.",
                code="LX-ARCHIVE-059",
            )
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path} holds {name!r} packed by method {member.compress_type}; TorchServe reads 0 (stored) and "
                "8 (deflated). Pack it with lexport or torch-model-archiver.",
                code="LX-ARCHIVE-060",
            )
        if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
            raise InputError(
                f"{path} holds {name!r}, stored as it is, with {member.compress_size:,} bytes in place of its "
                f"{member.file_size:,}. Make it again.",
                code="LX-ARCHIVE-061",
            )
        place += _length(path, handle, member)
    if place != archive.start_dir:
        raise _refusal(path, "before its directory")


def _refusal(path: Path, where: str) -> InputError:
    return InputError(
        f"{path} holds bytes {where} that its directory does not list, and TorchServe would unpack. Make it again.",
        code="LX-ARCHIVE-062",
    )


def _length(path: Path, handle: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Return the bytes of a member with its header. Raises InputError if header and directory differ."""
    handle.seek(member.header_offset)
    header = handle.read(_HEADER.size)
    if len(header) == _HEADER.size:
        signature, _, flags, method, _, crc, packed, size, name_length, extra_length = _HEADER.unpack(header)
        name, extra = handle.read(name_length), handle.read(extra_length)
        sizes = set(_large_sizes(extra))
        if (packed, size) != (_IN_EXTRA, _IN_EXTRA):
            sizes.add((packed, size))
        found = (signature, flags, method, crc, sizes, name)
        if found == (
            b"PK\3\4",
            member.flag_bits,
            member.compress_type,
            member.CRC,
            {(member.compress_size, member.file_size)},
            member.orig_filename.encode(),
        ):
            return _HEADER.size + len(name) + len(extra) + member.compress_size
    raise InputError(
        f"{path} says two things of {member.orig_filename!r}, before it and in its directory. Make it again.",
        code="LX-ARCHIVE-063",
    )


def _large_sizes(extra: bytes) -> Iterator[tuple[int, int]]:
    """Packed and full size in every extra for members of 4 GiB or more; Java heeds them in small members too."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64 and 16 <= length <= len(extra) - 4:
            size, packed = struct.unpack_from("<QQ", extra, 4)
            yield packed, size
        extra = extra[4 + length :]
