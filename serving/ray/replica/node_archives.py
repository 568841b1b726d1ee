"""The archives of a node: each brought, verified and extracted once, and mapped by every replica of the node."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ....errors import RefusedError, SystemProblem
from ....export.archive.format.reader import extract
from ....export.archive.trust.keys import PublicKey
from ....export.archive.verify import verify
from ... import folders

CACHE = "LEXPORT_RAY_CACHE"
"""The environment variable of a node with the folder for its archives."""
UNUSED = 3_600.0
"""Seconds after which an archive that no process has open is removed."""

Fetch = Callable[[str], Iterable[bytes] | None]
"""Returns the content of the archive with a SHA-256, in pieces; None if the cluster does not have it."""


class Kept:
    """An extracted archive that nobody removes until `close`."""

    def __init__(self, archive: Path, folder: Path, lock: int) -> None:
        """Hold a shared lock, given as a file descriptor."""
        self.archive = archive
        """The file."""
        self.folder = folder
        """Its members."""
        self._lock = lock

    def close(self) -> None:
        """Let it go."""
        os.close(self._lock)


def cache_folder() -> Path:
    """Return this user's folder for archives, private, made if it is not there. Raises SystemProblem for none."""
    given = os.environ.get(CACHE)
    folder = Path(given) if given else Path(tempfile.gettempdir()) / f"lexport-ray-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise SystemProblem(
            f"The folder for archives {folder} cannot be made: {error.strerror}. Name another one in the environment "
            f"of this node: {CACHE}=FOLDER",
            code="LX-RAY-110",
        ) from None
    if folder.is_symlink() or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise SystemProblem(
            f"Others can write to the folder for archives {folder}. Expected one of this user's own; remove it, or "
            f"name another one in the environment of this node: {CACHE}=FOLDER",
            code="LX-RAY-111",
        )
    return folder


class NodeArchives:
    """A folder with the archives of a node, which all of its replicas share."""

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        """Keep archives in `folder`, and ask `fetch` for those that are not there."""
        self._folder = folder
        self._fetch = fetch

    def open(self, digest: str, keys: tuple[PublicKey, ...] = ()) -> Kept:
        """Return an archive, brought, verified and extracted if this node does not have it yet.

        Raises RefusedError if it is not the one that was ordered or fails verification, SystemProblem if the cluster
        does not have it or the disk fails.
        """
        folder = self._folder / digest
        try:
            with self._locked(f"{digest}.lock", fcntl.LOCK_EX):
                archive = folder / "archive.mar"
                if not archive.is_file():
                    self._bring(digest, folder)
                self._check(archive, keys)
                if not (folder / "members").is_dir():
                    _extract_whole(archive, folder / "members")
                os.utime(folder)
                with self._locked(f"{digest}.open", fcntl.LOCK_SH) as lock:
                    return Kept(archive, folder / "members", os.dup(lock))
        except OSError as error:
            raise SystemProblem(
                f"The archive {digest[:12]}… cannot be kept in {folder}: {error.strerror}. Make room, or name "
                f"another folder in the environment of this node: {CACHE}=FOLDER",
                code="LX-RAY-112",
            ) from None

    def content(self, digest: str) -> bytes | None:
        """Return an archive that this node has, None if it does not."""
        try:
            content = (self._folder / digest / "archive.mar").read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == digest else None

    def sweep(self) -> None:
        """Remove archives that no process has open, and that none had for an hour."""
        for folder in self._folder.iterdir():
            with suppress(OSError):
                if not folder.is_dir() or folder.stat().st_mtime > time.time() - UNUSED:
                    continue
                alone = fcntl.LOCK_EX | fcntl.LOCK_NB
                with self._locked(f"{folder.name}.lock", alone), self._locked(f"{folder.name}.open", alone):
                    folders.discard(folder)

    def _bring(self, digest: str, folder: Path) -> None:
        pieces = self._fetch(digest)
        if pieces is None:
            raise SystemProblem(
                f"The cluster does not have the archive {digest[:12]}… any more. Deploy it again: lexport deploy "
                "ARCHIVE.mar",
                code="LX-RAY-113",
            )
        folder.mkdir(mode=0o700, exist_ok=True)
        partial, found = folder / "archive.partial", hashlib.sha256()
        with partial.open("wb") as file:
            for piece in pieces:
                found.update(piece)
                file.write(piece)
        if found.hexdigest() != digest:
            partial.unlink()
            raise RefusedError(
                f"The archive that came to this node has the SHA-256 {found.hexdigest()[:12]}…, and {digest[:12]}… "
                "was ordered: it was altered on its way. Deploy it again.",
                code="LX-RAY-114",
            )
        partial.rename(folder / "archive.mar")

    def _check(self, archive: Path, keys: tuple[PublicKey, ...]) -> None:
        """Verify an archive, once for each set of keys."""
        names = hashlib.sha256(b"".join(sorted(key.raw for key in keys))).hexdigest()
        passed = archive.with_name(f"verified-{names[:16]}")
        if not passed.is_file():
            try:
                verify(archive, keys)
            except BaseException:
                archive.unlink(missing_ok=True)  # what was refused is not given to others
                raise
            passed.touch()

    @contextmanager
    def _locked(self, file: str, kind: int) -> Iterator[int]:
        """Hold a lock; a duplicate of its descriptor holds it on."""
        lock = os.open(self._folder / file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, kind)
            yield lock
        finally:
            os.close(lock)


def _extract_whole(archive: Path, folder: Path) -> None:
    """Extract an archive into a new folder, which is there when it is complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    extract(archive, partial)
    partial.rename(folder)
