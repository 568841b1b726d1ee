"""What an archive's members would run or touch when they are opened, found without opening any of them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial

from ..handlers.operators import check_torchscript_members
from ..handlers.programs import check_program_members
from .pickles import DAMAGED, copied, declared, pickles

_CHECKS = {"torchscript": check_torchscript_members, "pt2": check_program_members}


def problems(archive: zipfile.ZipFile) -> Iterator[str]:
    """Each member that is or can hide a Python pickle, each model file that a worker would not open: a sentence each.

    A worker checks the model files itself, with torch's own reader; here they are read as zips, without torch.
    """
    for name in pickles(archive):
        yield f"{name} is a Python pickle, or can hide one"
    engine, files = declared(archive)
    for file in files if engine in _CHECKS else []:
        try:
            with copied(archive, archive.getinfo(file)) as copy, zipfile.ZipFile(copy) as members:
                _check(engine, file, members)
        except ValueError as error:
            yield str(error)
        except DAMAGED as error:
            yield f"{file} cannot be read as a file of {engine} ({error})"


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
