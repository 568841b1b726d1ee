"""What lies in a store: its archives as their manifests describe them, and the files that cannot be read as such."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import cast

from packaging.version import Version

from ...errors import InputError, LexportError, SystemProblem
from ...export.archive.format.unpacked import is_unpacked, pack
from ...storage.atomic import sha256_file
from .. import folders, state
from ..process import is_running
from ..store import Archive, read
from ..torchserve.http import describe
from ..versions import order

_PATIENCE = 5.0  # seconds for each answer of a running server


@dataclass(frozen=True)
class Unreadable:
    """A file of a store that cannot be read as an archive."""

    path: Path
    reason: str
    """The message of the error."""


@dataclass(frozen=True)
class Contents:
    """The files of a store."""

    archives: list[Archive]
    unreadable: list[Unreadable]

    def holding(self, name: str, version: str) -> list[Archive]:
        """Return the archives of a model's version."""
        return [one for one in self.archives if (one.name, one.version) == (name, version)]


def scan(store: Path) -> Contents:
    """Read the manifest of every archive in a store. Raises InputError only if there is no such folder.

    Archives are files that end in `.mar` and folders that one was unpacked into. Hidden files are left out.
    """
    if not store.is_dir():
        raise InputError(
            f"There is no store {store}; expected a folder of .mar files. Make one by adding an archive: lexport "
            f"store add NAME-1.0.mar --store {shlex.quote(str(store))}",
            code="LX-SERVE-150",
        )
    archives: list[Archive] = []
    unreadable: list[Unreadable] = []
    for path in sorted(store.iterdir()):
        if path.name.startswith(".") or not (path.suffix == ".mar" or is_unpacked(path)):
            continue
        try:
            archives.append(read(path))
        except LexportError as error:
            unreadable.append(Unreadable(path, str(error)))
    return Contents(archives, unreadable)


def digest_of(path: Path) -> str:
    """Return the hex SHA-256 of an archive; of the one that `lexport archive` would write of an unpacked folder."""
    if not path.is_dir():
        return sha256_file(path)
    with pack(path) as handle:
        return hashlib.file_digest(cast(BufferedReader, handle), "sha256").hexdigest()


@dataclass(frozen=True)
class Served:
    """What a running server has."""

    defaults: Mapping[str, str] = field(default_factory=dict)
    """By name, the version that answers requests which name none."""
    versions: frozenset[tuple[str, str]] = frozenset()
    """Names and versions of all, those of the defaults among them."""


def served(state_dir: Path | None) -> Served:
    """Return what the running server of a state folder says that it has; nothing if none runs.

    Of one that does not answer, what it was started with. Raises SystemProblem for a state folder that cannot be
    trusted or read.
    """
    server = state.load(folders.locate(state_dir))
    if server is None or not is_running(server):
        return Served()
    started = frozenset(server.models.items())
    try:
        found = describe(server.management_url, server.token("management"), timeout=_PATIENCE)
    except SystemProblem:
        return Served(server.models, started)
    defaults = {one["modelName"]: one["modelVersion"] for one in found if one["default"]}
    return Served(defaults, frozenset((one["modelName"], one["modelVersion"]) for one in found))


def rank(version: str) -> tuple[bool, Version, str]:
    """Return what versions of one name are sorted by: those without an order come before all others."""
    place = order(version)
    return place is not None, place or Version("0"), version
