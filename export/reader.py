"""Reading archives without trusting them: members are checked before any is extracted."""

from __future__ import annotations

import json
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError, RefusedError
from ..handlers.digests import DIGESTS, MANIFEST, SIGNATURE, check_digests, read_digests
from .layout import check_layout

EVIDENCE = "MAR-INF/EVIDENCE.json"
GOLDENS = "golden.jsonl"
# What lies beside them in an exported variant, and takes their place in an archive that holds no text of the data.
MADE = "golden.made.jsonl"

# The newest schema of each that this version reads; it reads all before.
SCHEMAS = {EVIDENCE: 1, "model.json": 1, "text.json": 1}

# What damaged zips raise.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeDecodeError,
)

# Members may not expand to more than this in all. Beyond what harms no machine, they may not expand to more than so
# many times the archive either: a table of zeros, which does, is a small one.
MAX_BYTES = 64 * 2**30
HARMLESS_BYTES = 2**30
MAX_RATIO = 200


def check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise InputError for a member that could land outside the folder or that is no plain file.

    Refused are absolute names and `..` (they write anywhere), empty ones, links (they read anywhere), compiled Python
    (it runs in place of the source that is there to be read), encrypted members, names that come twice or differ in
    case only (one silently replaces the other), and what expands to more than 64 GiB, or to 200 times the archive and
    more than 1 GiB, or shares bytes between members (bombs).
    """
    seen: set[str] = set()
    for member in members:
        name = member.filename
        pure = PurePosixPath(name)
        if not pure.name:
            raise InputError(f"{path} holds a member without a name ({name!r}). Make the archive again.")
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or re.match(r"[A-Za-z]:", name):
            raise InputError(f"{path} holds the member {name!r}, which would be written outside of its folder.")
        if "__pycache__" in pure.parts or pure.suffix == ".pyc":
            raise InputError(f"{path} holds the compiled code {name!r}, which Python would run unseen.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{path} holds the link {name!r}. Expected plain files.")
        if member.flag_bits & 1:
            raise InputError(f"{path} holds the encrypted member {name!r}. Expected plain files.")
        if str(pure).casefold() in seen:
            raise InputError(f"{path} holds the member {name!r} twice. Make the archive again.")
        seen.add(str(pure).casefold())
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise InputError(f"{path} would expand to {total:,} bytes; at most {MAX_BYTES:,} are accepted.")
    own = path.stat().st_size
    if total > max(MAX_RATIO * own, HARMLESS_BYTES):
        raise InputError(f"{path}, {own:,} bytes, would expand to {total:,}; at most {MAX_RATIO} times are accepted.")
    if sum(member.compress_size for member in members) > own:
        raise InputError(f"{path} holds members that overlap. Make the archive again.")


def read_json(path: Path, member: str) -> dict[str, Any]:
    """One JSON member of an archive. Raises InputError if it is absent or no JSON object."""
    value = _read(path, member)
    if not isinstance(value, dict):
        raise InputError(f"{path}: {member} is not a JSON object. Make the archive again.")
    return value


def read_labels(path: Path) -> list[str]:
    """The labels of an archive's model in the order of its outputs. Raises InputError if there is no list of them."""
    value = _read(path, "labels.json")
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise InputError(f"{path}: labels.json is not a list of strings. Make the archive again.")
    return value


def check_schemas(path: Path) -> None:
    """Raise InputError for an archive with a member of a newer schema than this version reads."""
    with open_archive(path) as archive:
        members = SCHEMAS.keys() & set(archive.namelist())
    for member in sorted(members):
        value, known = _read(path, member), SCHEMAS[member]
        schema = value.get("schema") if isinstance(value, dict) else None
        if isinstance(schema, int) and schema > known:
            raise InputError(
                f"{path}: {member} has schema {schema}, this version reads up to {known}; update lexport."
            )


def _read(path: Path, member: str) -> Any:
    """A member's JSON value, None if it has none."""
    with open_archive(path) as archive:
        if member not in archive.namelist():
            raise InputError(f"{path} has no {member}: it was not made by `lexport archive`.")
        try:
            return json.loads(archive.read(member))
        except (ValueError, RecursionError):
            return None


@contextmanager
def extracted(path: Path) -> Iterator[Path]:
    """A temporary folder with the archive's members, removed afterwards.

    Raises InputError for a bad archive, RefusedError if a member does not match MAR-INF/DIGESTS.
    """
    folder = Path(tempfile.mkdtemp(prefix="lexport-"))
    try:
        try:
            with open_archive(path) as archive:
                _check_declared(archive)
                archive.extractall(folder)
            check_digests(folder)
        except ValueError as error:
            raise RefusedError(f"{path}: {error}") from None
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_declared(archive: zipfile.ZipFile) -> None:
    """Raise ValueError for a member that DIGESTS does not list, before anything is written.

    Where `torch-model-archiver` wrote the manifest, it is not listed.
    """
    if DIGESTS in archive.namelist():
        listed = read_digests(archive.read(DIGESTS).decode())
        undeclared = sorted(set(archive.namelist()) - {DIGESTS, MANIFEST, SIGNATURE} - listed.keys())
        if undeclared:
            raise ValueError(f"{undeclared[0]} is not listed in {DIGESTS}.")


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive's zip, what it holds checked and where it lies. Raises InputError for one that cannot be read."""
    if not path.is_file():
        raise InputError(f"There is no archive {path}. Make one with: lexport archive RUN --version 1.0")
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(path, archive.infolist())
            check_layout(path, archive)
            yield archive
    except UNREADABLE as error:
        raise InputError(f"{path} is not a readable archive: {error}. Expected a .mar, which is a zip.") from None
