"""What an archive's members would run or touch when they are opened, found without opening any of them."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import IO

from ....handlers.engine.operators import check_torchscript_members
from ....handlers.engine.programs import check_program_members
from .pickles import DAMAGED, copied, declared, pickles

_END = struct.Struct("<4s12xLH")  # a zip's end record: where its directory is, bytes of a comment
# What a large zip has before that: a record of its own, where the directory is, a pointer to that record.
_LARGE_END = struct.Struct("<4s44xQ4s4xQ4x")

_CHECKS = {"torchscript": check_torchscript_members, "pt2": check_program_members}


def problems(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield each member that is or can hide a Python pickle, each model file that a worker would not open: a sentence
    each.

    A worker checks the model files itself, with torch's own reader; here they are read as zips, without torch.
    """
    for name in pickles(archive):
        yield f"{name} is a Python pickle, or can hide one"
    engine, files = declared(archive)
    for file in files if engine in _CHECKS else []:
        try:
            with copied(archive, archive.getinfo(file)) as copy, zipfile.ZipFile(copy) as members:
                _check_one_reading(file, copy, members)
                _check(engine, file, members)
        except ValueError as error:
            yield str(error)
        except DAMAGED as error:
            yield f"{file} cannot be read as a file of {engine} ({error})"


def _check_one_reading(file: str, copy: IO[bytes], members: zipfile.ZipFile) -> None:
    """Raise ValueError if torch, whose reader believes what a zip's end says, could find other members in it.

    It takes a file that begins otherwise for another format. Python's takes the directory that lies right before
    the end, and in newer versions names from extra fields.
    """
    copy.seek(0)
    start = copy.read(4)
    whole = copy.seek(0, 2)
    copy.seek(max(whole - _END.size - _LARGE_END.size, 0))
    end = copy.read()
    signature, place, comment = _END.unpack(end[-_END.size :])
    large = end[: -_END.size]
    if len(large) == _LARGE_END.size:
        record, far, pointer, where = _LARGE_END.unpack(large)
        if pointer == b"PK\6\7":
            large_place = whole - _END.size - _LARGE_END.size
            place = far if (record, where) == (b"PK\6\6", large_place) else -1
    if (start, signature, comment, place) != (b"PK\3\4", b"PK\5\6", 0, members.start_dir) or any(
        member.filename != member.orig_filename for member in members.infolist()
    ):
        raise ValueError(f"{file} is a zip that two readers can read differently")


def _check(engine: str, file: str, members: zipfile.ZipFile) -> None:
    folders = {name.partition("/")[0] for name in members.namelist()}
    if len(folders) != 1 or not all("/" in name for name in members.namelist()):
        raise ValueError(f"{file} holds members beside its one folder; it is not opened.")
    [folder] = folders
    names = [name.removeprefix(f"{folder}/") for name in members.namelist()]
    _CHECKS[engine](file, names, partial(_size, members, folder), partial(_read, members, folder))


def _size(members: zipfile.ZipFile, folder: str, name: str) -> int:
    return members.getinfo(f"{folder}/{name}").file_size


def _read(members: zipfile.ZipFile, folder: str, name: str) -> bytes:
    return members.read(f"{folder}/{name}")
