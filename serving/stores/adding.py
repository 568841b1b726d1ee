"""Add an archive to a store: it is copied aside, verified there, and only then has its name."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import LexportError, RefusedError
from ...export.archive.format.reader import named, open_archive
from ...export.archive.format.writer import rewrite
from ...export.archive.trust.keys import PublicKey
from ...export.archive.verify import Verified, verify
from ...storage.atomic import draft, new_file, publish
from ...storage.progress import Say, silent
from ..store import read
from .contents import digest_of, scan
from .history import record

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Added:
    """An archive that is in a store now."""

    path: Path
    name: str
    """Of the model."""
    version: str
    digest: str
    """Hex SHA-256 of the file."""
    size: int
    """Bytes of the file."""
    new: bool
    """False if the store had the same bytes already."""

    def __str__(self) -> str:
        """Return a line for people."""
        what = f"{self.name} {self.version}, {self.size:,} bytes, sha256 {self.digest[:12]}"
        return f"{self.path}: {what}" if self.new else f"{self.path} is there already with the same bytes: {what}"


def add(
    archives: Sequence[Path],
    *,
    store: Path,
    trusted: Sequence[PublicKey] | None = None,
    command: str = "lexport store add",
    say: Say = silent,
) -> list[Added]:
    """Copy archives, or folders that one was unpacked into, into a store as NAME-VERSION.mar, in this order.

    Each copy is verified as `verify` does, with `trusted` keys (None: those of LEXPORT_KEYS) also for its signature.
    On an error or interruption the archives before stay and nothing is left of the one at hand. Raises InputError for
    a file that cannot be read, RefusedError for one that failed verification, and for a version that the store has
    with other bytes.
    """
    added = []
    for path in archives:
        if not path.is_dir():
            with open_archive(path):  # so that a large file which is no archive is not copied
                pass
        added.append(admit(store, partial(_copy, path), path, trusted=trusted, command=command))
        say(str(added[-1]))
    return added


def admit(
    store: Path,
    write: Callable[[Path], None],
    source: object,
    *,
    trusted: Sequence[PublicKey] | None,
    command: str,
) -> Added:
    """Let `write` make the file of a path, verify it, and give it its name in the store, unless the store has it.

    `source` is what error messages call that file. Raises as `add` does, and what `write` raises.
    """
    with draft(store / "incoming.mar") as copy:
        write(copy)
        with named(source, copy):
            verified = verify(copy, trusted)
        there, size = _same(store, verified), copy.stat().st_size
        target = store / f"{verified.name}-{verified.version}.mar"
        new = there is None and _enter(copy, target, verified, command)
        if not new and there is None:
            there = _same(store, verified)
            if there is None:
                raise _taken(target, verified)
    return Added(there or target, verified.name, verified.version, verified.digest, size, new=new)


def _enter(copy: Path, target: Path, verified: Verified, command: str) -> bool:
    """Give a copy its name and say so in the history, both or neither; return False if the name is taken."""
    try:
        if not publish(copy, target):
            return False
        record(
            target.parent,
            "add",
            name=verified.name,
            version=verified.version,
            digest=verified.digest,
            command=command,
        )
    except BaseException:
        if target.exists() and target.samefile(copy):
            target.unlink()
        raise
    return True


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        return rewrite(source, target)
    with source.open("rb") as handle, new_file(target) as copy:
        shutil.copyfileobj(handle, copy, _BLOCK)
    return None


def _same(store: Path, verified: Verified) -> Path | None:
    """Return the store's archive with the same bytes; None if it has none of this name and version.

    Raises RefusedError if it has one with other bytes.
    """
    for one in scan(store).holding(verified.name, verified.version):
        digest = digest_of(one.path)
        if digest != verified.digest:
            raise RefusedError(
                f"{one.path} is {verified.name} {verified.version} already, with other bytes: sha256 {digest[:12]}, "
                f"and {verified.digest[:12]} was to be added. Pack it with another --version, or remove that file: "
                f"lexport store remove {verified.name}:{verified.version} --store {shlex.quote(str(store))}",
                code="LX-SERVE-151",
            )
        return one.path
    return None


def _taken(target: Path, verified: Verified) -> RefusedError:
    try:
        holds = str(read(target))
    except LexportError:
        holds = "not a readable archive"
    return RefusedError(
        f"{target} is there already and is {holds}, not {verified.name} {verified.version}. Rename or remove that "
        "file, or pack this archive with another name or --version.",
        code="LX-SERVE-152",
    )
