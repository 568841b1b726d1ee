"""Remove archives from a store: those that are named, or all but the newest of each name."""

from __future__ import annotations

import shlex
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, RefusedError
from ...export.archive.trust.keys import PublicKey
from ...storage.progress import Say, silent
from ..versions import order
from .contents import Contents, digest_of, scan, served
from .find import absent, split_model
from .history import last_defaults, read_history, record
from .listing import Entry, entries

_HOUR = 3600.0


@dataclass(frozen=True)
class Removed:
    """An archive that is no longer in a store, or that `gc` would remove."""

    path: Path
    name: str
    """Of the model."""
    version: str
    digest: str
    """Hex SHA-256 of the file; "" where it could not be read."""
    size: int
    """Bytes that this frees."""

    def __str__(self) -> str:
        """Return a line for people."""
        return f"{self.path}: {self.name} {self.version}, {self.size:,} bytes"


@dataclass(frozen=True)
class Collected:
    """What `gc` removed, or would remove."""

    removed: list[Removed]
    leftovers: list[Path]
    """Half-written files."""
    freed: int
    """Bytes of both."""
    kept: dict[str, str]
    """Why an archive was kept that is none of the newest, by its path."""
    dry_run: bool

    def __str__(self) -> str:
        """Return a line for people."""
        does = "Would free" if self.dry_run else "Freed"
        return (
            f"{does} {self.freed:,} bytes; archives: {len(self.removed)}, half-written files: {len(self.leftovers)}."
        )


def remove(
    wanted: Sequence[str],
    *,
    store: Path,
    force: bool = False,
    state_dir: Path | None = None,
    command: str = "lexport store remove",
    say: Say = silent,
) -> list[Removed]:
    """Remove versions, each `NAME:VERSION`, from a store; a damaged file is known by its name NAME-VERSION.mar.

    All of them are looked for before the first is removed. Raises InputError for one that the store does not have or
    that is a folder, RefusedError for one that the running server of `state_dir` serves, unless `force` is given.
    """
    contents, running = scan(store), served(state_dir)
    found = []
    for one in wanted:
        name, version = split_model(one)
        if (name, version) in running.versions and not force:
            raise RefusedError(
                f"{name} {version} is served by the running server, and a restart may need its archive. "
                f"Serve another version first, or remove it all the same: lexport store remove {one} --force --store "
                f"{shlex.quote(str(store))}",
                code="LX-SERVE-153",
            )
        found += [(path, name, version) for path in _files_of(contents, store, name, version)]
    removed = []
    for path, name, version in dict.fromkeys(found):
        gone = Removed(path, name, version, _digest(path), path.lstat().st_size)
        if _remove(store, gone, "remove", command):
            removed.append(gone)
            say(str(gone))
    return removed


def gc(
    *,
    store: Path,
    keep: int = 2,
    dry_run: bool = False,
    trusted: Sequence[PublicKey] | None = None,
    state_dir: Path | None = None,
    command: str = "lexport store gc",
    say: Say = silent,
) -> Collected:
    """Remove all but the newest `keep` versions of each name, and half-written files older than an hour.

    Never removed: what the running server of `state_dir` serves; the versions that the history names as the last
    defaults (`history.last_defaults`); versions that have no order; folders; and damaged or untrusted files, which do
    not count as versions either. With `dry_run` nothing is removed. Raises InputError for `keep` below 1, for a store
    that is missing and for a history that cannot be used.
    """
    if keep < 1:
        raise InputError(
            f"--keep {keep} would leave no version. Expected 1 or more; to remove one version: lexport store remove "
            "NAME:VERSION",
            code="LX-SERVE-163",
        )
    past = read_history(store)
    for problem in past.problems:
        say(problem)
    defaults = last_defaults(past.events)
    listed = entries(store, trusted=trusted, state_dir=state_dir)
    old, kept = _older(listed, keep), {}
    removed = []
    for entry in listed:
        reason = _why_kept(entry, defaults) if entry.problem or entry.path in old else ""
        if reason:
            kept[str(entry.path)] = reason
            say(f"{entry.path} is kept: {reason}.")
        elif entry.path in old:
            one = Removed(entry.path, entry.name or "", entry.version or "", entry.digest or "", entry.size)
            if dry_run or _remove(store, one, "gc", command):
                removed.append(one)
                say(f"{'Would remove' if dry_run else 'Removed'} {one}")
    leftovers, bytes_left = _clear_leftovers(store, dry_run=dry_run)
    for path in leftovers:
        say(f"{'Would remove' if dry_run else 'Removed'} {path}: half-written")
    freed = sum(one.size for one in removed) + bytes_left
    return Collected(removed, leftovers, freed, kept, dry_run)


def _older(listed: Sequence[Entry], keep: int) -> set[Path]:
    """Return the good files that are not among the newest `keep` versions of their name, those without order too."""
    old: set[Path] = set()
    for name in {entry.name for entry in listed}:
        own = [entry for entry in listed if entry.name == name and not entry.problem]
        good = {entry.path: order(entry.version or "") for entry in own}
        # Versions that are the same, such as 1.0 and v1.0, count once.
        newest = sorted({place for place in good.values() if place is not None})[-keep:]
        old |= {path for path, place in good.items() if place not in newest}
    return old


def _why_kept(entry: Entry, defaults: Mapping[str, set[str]]) -> str:
    """Return why an entry is kept that is old or has a problem; "" if it may go."""
    version = entry.version or ""
    if entry.problem:
        return f"it does not count as a version ({entry.problem})"
    if entry.served:
        return "the running server serves it"
    if version in defaults.get(entry.name or "", ()):
        return "it was the default last or before that, and a rollback may need it"
    if order(version) is None:
        return f"{version} has no place in the order of versions"
    if entry.path.is_dir():
        return "it is a folder"
    return ""


def _files_of(contents: Contents, store: Path, name: str, version: str) -> list[Path]:
    """Return the files of a version. Raises InputError if there are none, or if one is a folder."""
    damaged = [one.path for one in contents.unreadable if one.path.name == f"{name}-{version}.mar"]
    paths = [one.path for one in contents.holding(name, version)] or damaged
    if not paths:
        raise absent(contents, store, f"{name}:{version}")
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            raise InputError(
                f"{path} is a folder with {name} {version}. Only files are removed here; remove the folder yourself.",
                code="LX-SERVE-164",
            )
    return paths


def _digest(path: Path) -> str:
    with suppress(OSError):
        return digest_of(path)
    return ""


def _remove(store: Path, one: Removed, action: str, command: str) -> bool:
    """Remove a file, and say so in the history; return False if another process was faster.

    The history comes second, because the disk may be full until the file is gone.
    """
    try:
        one.path.unlink()
    except FileNotFoundError:
        return False
    record(store, action, name=one.name, version=one.version, digest=one.digest, command=command)
    return True


def _clear_leftovers(store: Path, *, dry_run: bool) -> tuple[list[Path], int]:
    """Remove what killed processes left while they wrote archives; return the files and their bytes."""
    found, freed = [], 0
    for path in sorted(store.glob(".*.partial")):
        with suppress(FileNotFoundError):  # whoever wrote it has finished
            info = path.lstat()
            if stat.S_ISREG(info.st_mode) and time.time() - info.st_mtime > _HOUR:
                if not dry_run:
                    path.unlink()
                found.append(path)
                # Its content may be an archive already, under another name.
                freed += info.st_size if info.st_nlink == 1 else 0
    return found, freed
