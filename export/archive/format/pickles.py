"""Python pickles where none belongs: unpickling runs whatever the pickle says, so no archive may bring one.

A pickle is found by following its opcodes, whatever it is called and whatever its protocol. Files that a pickle can
be packed into (compressed ones, tar, arrays of Python objects) are named whatever they hold, as no archive needs any;
zips are looked into.

A TorchScript file that model.json names holds two pickles of its own, data.pkl and constants.pkl. `torch.jit.load`
reads them with an unpickler that knows tensors and the classes of the file's own code; they may name only those.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import IO

from ....handlers.engine.operators import pickle_problem
from .opcodes import imports, is_pickle

_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill")
_OWN = re.compile(r"[^/]+/(data|constants)\.pkl")
_BLOCK = 1 << 20
_HEAD = 1 << 12
# Where a zip's end is looked for: its record, before it what a large zip has there, and a comment of at most 64 KiB.
_TAIL = 22 + 76 + (1 << 16)
_IN_MEMORY = 16 << 20
# A zip within an archive may have a directory of so many bytes, and expand to so much more than itself.
_DIRECTORY = 4 << 20
_SPARE = 64 << 20
_END = b"PK\5\6"
_LONGEST = 1 << 20  # bytes of a TorchScript file's pickle
# Steps that looking into one archive may take, a microsecond or two each: opcodes, and for each member so many more.
_STEPS = 6_000_000
_MEMBER_STEPS = 100

_PACKINGS = {
    "gzip": re.compile(rb"\x1f\x8b\x08", re.DOTALL),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", re.DOTALL),
    "xz": re.compile(rb"\xfd7zXZ\0", re.DOTALL),
    # Properties, a dictionary's size, and a size that is unknown or below a terabyte.
    "lzma": re.compile(rb"\x5d\0\0.{2}(\xff{8}|.{5}\0{3})", re.DOTALL),
    "zstandard": re.compile(rb"\x28\xb5\x2f\xfd", re.DOTALL),
    "lz4": re.compile(rb"\x04\x22\x4d\x18", re.DOTALL),
    "numpy": re.compile(rb"\x93NUMPY.{2,6}\{[^}]*['\"]descr['\"]: *[^}]*O", re.DOTALL),
}
# What damaged zips raise.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class Pickle:
    """A pickle, or what can hide one. place: its member, and what of that if it is a zip: "model.pt: model/data.pkl".

    what: "" for a pickle; otherwise why it can hide one or why it cannot be looked into. imports: what loading it
    would import, "module.name"; complete: whether that is certainly all.
    """

    place: str
    what: str = ""
    imports: tuple[str, ...] = ()
    complete: bool = False

    def __str__(self) -> str:
        """Return the place, and what is there if it is no pickle as such."""
        return self.place + self.what


def pickles(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield what `found_pickles` finds, as strings: "member", "member: what"."""
    return map(str, found_pickles(archive))


def found_pickles(archive: zipfile.ZipFile) -> Iterator[Pickle]:
    """Yield what is or can hide a pickle among an archive's members, or within one that is a zip.

    A member that cannot be looked into is named too. Work and memory are bounded by the sizes of the archive's
    members, which `open_archive` has checked, and by a number of steps; what is left after these is not looked into.
    """
    engine, files = declared(archive)
    programs = files if engine == "torchscript" else []
    effort = _Effort()
    for member in archive.infolist():
        try:
            yield from _within_member(archive, member, effort, program=member.filename in programs)
        except _TooMuchError:
            yield Pickle(member.filename, ": too much to look into")
            return


class _TooMuchError(Exception):
    """The steps for one archive are spent."""


class _Effort:
    """The steps that are left for one archive."""

    def __init__(self) -> None:
        self._left = _STEPS

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _TooMuchError


def declared(archive: zipfile.ZipFile) -> tuple[str, list[str]]:
    """Return the engine that model.json names, and its files in the archive; none if it cannot be read."""
    try:
        model = json.loads(archive.read("model.json"))
        named = [model["file"], model.get("image_file")]
        return str(model["engine"]), [name for name in archive.namelist() if name in named]
    except (KeyError, TypeError, AttributeError, RecursionError, *DAMAGED):
        return "", []


@contextmanager
def copied(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """Context manager: copy a member to a file that can seek; a deflated one would be unpacked for each seek."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy, archive.open(member) as content:
        shutil.copyfileobj(content, copy, _BLOCK)
        yield copy


def _within_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, effort: _Effort, *, program: bool
) -> Iterator[Pickle]:
    name = member.filename
    try:
        found, is_zip = _look(partial(archive.open, member), name, effort)
        if is_zip:
            with copied(archive, member) as copy:
                for inner in _within_zip(copy, member.file_size, effort, program=program):
                    yield replace(inner, place=f"{name}: {inner.place}")
    except DAMAGED:
        found = Pickle(name, ": damaged")
    if found is not None:
        yield found


def _within_zip(file: IO[bytes], size: int, effort: _Effort, *, program: bool) -> Iterator[Pickle]:
    """Yield what is in a zip of `size` bytes within an archive; nothing if only its end looks like a zip's."""
    file.seek(max(0, size - _TAIL))
    directory = _directory_bytes(file.read())
    if directory > _DIRECTORY:
        yield Pickle("too many members to look into")
        return
    effort.spend(directory)
    file.seek(0)
    begins = file.read(4) == b"PK\3\4"
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED:
        if begins:
            yield Pickle("a damaged zip")
        return
    with archive:
        if sum(member.file_size for member in archive.infolist()) > size + _SPARE:
            yield Pickle("more to look into than it has bytes")
            return
        for member in archive.infolist():
            own = program and _OWN.fullmatch(member.filename) and member.file_size <= _LONGEST
            try:
                if own:
                    effort.spend(member.file_size)
                    problem = pickle_problem(archive.read(member))
                    found = None if problem is None else Pickle(member.filename, f" ({problem})")
                else:
                    found, is_zip = _look(partial(archive.open, member), member.filename, effort)
                    found = Pickle(member.filename, ": a zip") if is_zip and found is None else found
            except DAMAGED:
                found = Pickle(member.filename, ": damaged")
            if found is not None:
                yield found


def _look(opened: Callable[[], IO[bytes]], name: str, effort: _Effort) -> tuple[Pickle | None, bool]:
    """Return the pickle that a member is or can hide, or None, and whether it may be a zip."""
    named = PurePosixPath(name).suffix.lower() in _SUFFIXES
    if not named:
        effort.spend(_MEMBER_STEPS)
        with opened() as content:
            named = is_pickle(content, effort.spend)
    if named:
        with opened() as content:
            found = Pickle(name, "", *imports(content, effort.spend))
        with opened() as content:
            return found, content.read(4) == b"PK\3\4"  # some zips can be followed as a pickle, too
    with opened() as content:
        end = start = content.read(_HEAD)
        while block := content.read(_BLOCK):
            end = (end + block)[-_TAIL:]
    packing = _packing(start)
    if packing is not None:
        return Pickle(name, f": {packing}"), False
    return None, start.startswith(b"PK\3\4") or _END in end


def _packing(start: bytes) -> str | None:
    for name, pattern in _PACKINGS.items():
        if pattern.match(start):
            return f"packed by {name}"
    return "a tar file" if _is_tar(start) else "packed by zlib" if _is_zlib(start) else None


def _is_tar(start: bytes) -> bool:
    try:
        return int(start[148:156].strip(b" \0"), 8) == 256 + sum(start[:148]) + sum(start[156:512])
    except ValueError:
        return False


def _is_zlib(start: bytes) -> bool:
    """Return whether the start unpacks: two bytes that fit are not enough."""
    if len(start) < 2 or start[0] & 15 != 8 or int.from_bytes(start[:2], "big") % 31:
        return False
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(start, _HEAD)
    except zlib.error:
        return False
    return unpacking.eof or len(unpacked) >= _HEAD // 2


def _directory_bytes(end: bytes) -> int:
    """Return the size of a zip's directory by its end record, the larger one if there is one; 0 if there is none."""
    place = end.rfind(_END)
    large = end[place - 76 : place - 20] if place >= 76 and end[place - 20 : place].startswith(b"PK\6\7") else b""
    if large.startswith(b"PK\6\6"):
        return int.from_bytes(large[40:48], "little")
    return int.from_bytes(end[place + 12 : place + 16], "little") if place >= 0 else 0
