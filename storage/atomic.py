"""Write files atomically: first beside their target, then rename them.

New files get the mode of the user's umask, as from any other tool: a run contains texts, and a user with umask 077
expects private files. They are never writable by others, because what is trained, exported and packed here is served
later.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError

_BLOCK = 1 << 20
_FILE, _FOLDER = 0o664, 0o775  # modes under a umask of 0


def json_bytes(value: Any) -> bytes:
    """Return UTF-8 JSON with two-space indent and a final newline; the key order is kept, NaN is refused."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file's content, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_folder(target: Path, *, replace: bool = False) -> None:
    """Check that `new_folder` can create `target`, for callers with long work before it; nothing is created.

    Raises InputError if something is there that may not or cannot be replaced, or if its own folder is not
    writable and cannot be made.
    """
    if not replace:
        _check_free(target)
    elif os.path.lexists(target) and (not target.is_dir() or Path.cwd().is_relative_to(target.resolve())):
        what = "the folder you are in" if target.is_dir() else "not a folder"
        raise InputError(f"{target} is {what}, so nothing takes its place. Choose another --out.", code="LX-FILE-002")
    _check_place(target)


def check_file(target: Path, *, replace: bool = False) -> None:
    """Check that `new_file` can create `target`, for callers with long work before it; nothing is created.

    Raises InputError if a file is there that may not be replaced, or a folder, or if its own folder is not writable
    and cannot be made.
    """
    if not replace:
        _check_free(target)
    _check_no_folder(target)
    _check_place(target)


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise InputError(
            f"{target} exists already. Choose another --out, or replace it with --force.", code="LX-FILE-001"
        )


def _check_no_folder(target: Path) -> None:
    if os.path.isdir(target):  # noqa: PTH112  (Path's raises where a name is too long)
        raise InputError(f"Cannot write {target}: a folder is there. Choose another place.", code="LX-FILE-003")


def write_file(target: Path, content: bytes) -> Path:
    """Write `content` to `target` as `new_file` does, and raise InputError as it does."""
    with new_file(target) as handle:
        handle.write(content)
    return target


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """Yield an empty file, to write and read; on success it takes `target`'s place.

    On any error or interruption an old file stays as it was and nothing new is left. On Linux the file has no name
    until it is complete, so a killed process leaves nothing either. Raises InputError if `target` is a folder, or if
    its folder cannot be created or written.
    """
    _check_no_folder(target)
    with _beside(target) as partial:
        with _refused(target):
            handle = _unnamed(partial.parent) or open(partial, "x+b", opener=_unwritable)  # noqa: SIM115
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            if not os.path.lexists(partial):
                with _refused(target):
                    # A neighbour that failed has perhaps removed the folder, which looked empty.
                    _make(partial.parent)
                    # Of the two calls that make a hard link, only the one with a folder follows this one to the file.
                    os.link(f"/proc/self/fd/{handle.fileno()}", partial, src_dir_fd=handle.fileno())
        partial.replace(target)


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """Yield a free hidden name beside `target`, for a file that `publish` may name; at the end the name is removed.

    Raises InputError as `new_file` does.
    """
    with _beside(target) as partial:
        yield partial
        _discard(partial)


def publish(written: Path, target: Path) -> bool:
    """Give a complete file of the same folder the name `target` too; return False if that name is taken.

    Of several processes that try, one gets True. Raises InputError if the folder cannot be written, or if its file
    system has no hard links.
    """
    with _refused(target):
        try:
            os.link(written, target)
        except FileExistsError:
            return False
    return True


def _unwritable(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)


def _make(folder: Path) -> None:
    """Create a folder and its parents, unless they exist."""
    for missing in [one for one in (*reversed(folder.parents), folder) if not one.is_dir()]:
        missing.mkdir(_FOLDER, exist_ok=True)


def _close_to_others(folder: Path) -> None:
    """Remove the write permission of others from everything in a folder, which was written with only the umask."""
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~stat.S_IWOTH)


def _unnamed(folder: Path) -> BinaryIO | None:
    """Return an open file in `folder` that has no name yet, or None where there are no such files."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not Path("/proc/self/fd").is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, flag | os.O_RDWR, _FILE), "w+b")
    except OSError:  # what else is wrong, an ordinary file says as well
        return None


def same_content(handle: BinaryIO, path: Path) -> bool:
    """Return whether a file holds the very bytes of an open one, which is read from its beginning."""
    size = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    with path.open("rb") as other:
        if os.fstat(other.fileno()).st_size != size:
            return False
        while block := handle.read(_BLOCK):
            if block != other.read(len(block)):
                return False
    return True


@contextmanager
def new_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `target`; on success it becomes `target`, on any error it vanishes.

    With `replace` an existing folder is replaced, only on success. Raises InputError as `check_folder` does.
    """
    check_folder(target, replace=replace)
    with _beside(target) as partial:
        with _refused(target):
            partial.mkdir(_FOLDER)
        yield partial
        _close_to_others(partial)
        old = _old(partial)
        try:
            if replace and os.path.lexists(target):
                target.rename(old)
            partial.rename(target)
        finally:
            if os.path.lexists(old) and not os.path.lexists(target):
                old.rename(target)
        _discard(old)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a free hidden name in the folder of `target`, which is created; on any error remove everything created.

    The name is chosen before anything is created with it, so an interruption cannot leave an unknown file.
    """
    partial = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    with parents_of(target):
        try:
            yield partial
        except BaseException:
            _discard(partial)
            if os.path.lexists(target):
                _discard(_old(partial))
            raise


@contextmanager
def parents_of(target: Path) -> Iterator[None]:
    """Create the folder of `target`; on any error remove again what was created and is empty.

    Raises InputError if it cannot be created or written.
    """
    _check_place(target)
    missing = [folder for folder in target.absolute().parents if not os.path.lexists(folder)]
    try:
        with _refused(target):
            _make(target.parent)
        yield
    except BaseException:
        for folder in missing:  # the innermost first; a folder that another process has filled since stays
            with suppress(OSError):
                folder.rmdir()
        raise


def clear_leftovers(target: Path) -> None:
    """Remove the files beside `target` of processes that were killed while they wrote it; none may be running."""
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*"):
        if leftover.suffix == ".partial":
            _discard(leftover)


def _check_place(target: Path) -> None:
    nearest = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not nearest.is_dir():
        raise InputError(
            f"Cannot write {target}: {nearest} is not a folder. Choose another place.", code="LX-FILE-004"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"Cannot write {target}: the folder {nearest} is not writable. Choose another place.", code="LX-FILE-005"
        )


def _old(partial: Path) -> Path:
    """Return the temporary name of the folder that is being replaced."""
    return partial.with_suffix(".old")


def _discard(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # it was a folder, or nothing
        path.unlink()


@contextmanager
def _refused(target: Path) -> Iterator[None]:
    """Turn an OSError while `target` is created into an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Cannot write {target}: {error.strerror}. Choose another place.", code="LX-FILE-006"
        ) from None
