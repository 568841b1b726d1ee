"""Python pickles where none belongs: unpickling runs whatever the pickle says, so no archive may bring one.

TorchScript's files hold two of their own, data.pkl and constants.pkl. `torch.jit.load` reads them with an unpickler
of its own that knows tensors and the classes of the file's own code, and nothing of Python.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill")
# PROTO and a protocol, as every pickle since protocol 2 begins.
_START = re.compile(rb"\x80[\x02-\x08]")
_OWN = re.compile(r"[^/]+/(data|constants)\.pkl")
_CODE = re.compile(r"[^/]+/code/.*\.py")


def pickles(archive: zipfile.ZipFile) -> Iterator[str]:
    """What is a pickle among an archive's members, or within one that is a zip itself: "member" or "member: inner".

    A member that cannot be looked into for it is named too.
    """
    for name in archive.namelist():
        if PurePosixPath(name).suffix.lower() in _SUFFIXES:
            yield name
            continue
        with archive.open(name) as member:
            start = member.read(4)
            if _START.match(start):
                yield name
            elif start == b"PK\x03\x04":
                yield from (f"{name}: {inner}" for inner in _within(member))


def _within(member: IO[bytes]) -> Iterator[str]:
    try:
        with zipfile.ZipFile(member) as inner:
            names = inner.namelist()
            # Without code it is what torch.save writes: a pickle with tensors beside it.
            scripted = any(map(_CODE.fullmatch, names))
            for name in names:
                pure = PurePosixPath(name)
                if scripted and _OWN.fullmatch(name):
                    continue
                with inner.open(name) as content:
                    if pure.suffix.lower() in _SUFFIXES or _is_pickle(content.read(4), pure):
                        yield name
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        yield "a damaged zip"


def _is_pickle(start: bytes, name: PurePosixPath) -> bool:
    # A tensor's bytes, without a suffix, may begin with anything.
    return bool(name.suffix) and bool(_START.match(start))
