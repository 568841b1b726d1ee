"""A server's state folder: it belongs to the user and has a marker. Only files of a server are removed from it."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError, SystemProblem

MARKER = ".lexport-state"
SERVER = "server.json"
SETTINGS = "server.properties"
KEYS = "key_file.json"
# The tokens that are to take the place of those in the key file, for the moment of their rotation.
NEXT_KEYS = "key_file.next.json"
STORE = "store"
# Where an archive is checked that is to join the store.
ARRIVING = "store.arriving"
# What was served; it outlives the server.
DEPLOYED = "deployed.json"
# Java's and the workers' temporary folder: extracted models, sockets, the workers' reports.
RUN = "run"
REPORTS = "reports"
LOGS = "logs"
PREVIOUS_LOGS = "logs.previous"

# What a server leaves besides its logs, in the order of removal.
_LEFT = (RUN, STORE, ARRIVING, NEXT_KEYS, KEYS, SETTINGS, SERVER)
_OURS = {MARKER, LOGS, PREVIOUS_LOGS, DEPLOYED, *_LEFT}
_NOTE = "A state folder of lexport: its commands keep a server here and remove what that server leaves.\n"
_LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
LONGEST = _LONGEST_SOCKET - len(f"/{RUN}/.ts.sock.NNNNN")
"""Most bytes of a state folder's path: the paths of its sockets have a limit."""


def default_state_dir() -> Path:
    """Return `$XDG_STATE_HOME/lexport`, or `~/.local/state/lexport`. Raises InputError if there is neither."""
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lexport"
    except RuntimeError:
        raise InputError(
            f"There is no home folder for the state of servers: HOME is not set and user {os.getuid()} has none. "
            "Give a folder with --state-dir, or set XDG_STATE_HOME.",
            code="LX-SERVE-001",
        ) from None


def locate(state_dir: Path | None) -> Path:
    """Return the state folder as an absolute path without links; the default folder for None.

    Raises InputError if links are broken.
    """
    folder = state_dir or default_state_dir()
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"Cannot use {folder} as state folder: {error}. Give another with --state-dir.", code="LX-SERVE-002"
        ) from None


def is_ours(folder: Path) -> bool:
    """Return whether this is the user's own state folder; False if no server was ever kept there.

    Raises SystemProblem if another user owns it, others can write into it, or a server is described in it and
    the marker is missing: nothing in such a folder is to be trusted or removed.
    """
    try:
        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode):
            return False
        if info.st_uid != os.geteuid():
            raise SystemProblem(_OTHERS.format(folder=folder, uid=info.st_uid), code="LX-SERVE-003")
        if not _is_marked(folder):
            if os.path.lexists(folder / SERVER):
                raise SystemProblem(_OLDER.format(folder=folder), code="LX-SERVE-004")
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SystemProblem(
            f"The state folder {folder} cannot be read: {error.strerror}.", code="LX-SERVE-005"
        ) from None
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SystemProblem(_OPEN.format(folder=folder, mode=stat.S_IMODE(info.st_mode)), code="LX-SERVE-006")
    return True


def make_private(folder: Path) -> None:
    """Create the state folder with mode 0700 and mark it, or make the user's own private again.

    Raises InputError if its path is too long for sockets, it is a file, cannot be created, belongs to another user,
    was open to others, or holds files but no marker.
    """
    length = len(os.fsencode(folder))
    if length > LONGEST:
        raise InputError(
            f"The state folder {folder} has a path of {length} bytes; at most {LONGEST} are possible, because it "
            "contains the sockets of TorchServe's workers. Give a shorter one with --state-dir.",
            code="LX-SERVE-007",
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.stat()
        if info.st_uid != os.geteuid():
            raise InputError(_OTHERS.format(folder=folder, uid=info.st_uid), code="LX-SERVE-008")
        foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OURS)
        if foreign:
            raise InputError(
                f"The state folder {folder} contains other files ({foreign[0]}). Give an empty or a new folder with "
                "--state-dir.",
                code="LX-SERVE-009",
            )
        if _is_marked(folder):
            if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise InputError(_OPEN.format(folder=folder, mode=stat.S_IMODE(info.st_mode)), code="LX-SERVE-010")
            folder.chmod(0o700)
            return
        folder.chmod(0o700)
        if any(folder.iterdir()):
            raise InputError(_OLDER.format(folder=folder), code="LX-SERVE-011")
        descriptor = os.open(folder / MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as marker:
            marker.write(_NOTE)
    except OSError as error:
        raise InputError(
            f"Cannot use {folder} as state folder: {error.strerror}. Give another with --state-dir.",
            code="LX-SERVE-012",
        ) from None


class Busy(SystemProblem):
    """Another command is starting, changing or stopping the server."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a state folder against other starts, changes and stops; no file is left behind.

    Raises Busy if another one is running.
    """
    busy = Busy(
        f"Another lexport command is starting, changing or stopping the server of {folder}. Wait for it, or give "
        "another --state-dir.",
        code="LX-SERVE-013",
    )
    with held(folder, busy):
        yield


@contextmanager
def held(folder: Path, busy: Busy) -> Iterator[None]:
    """Lock a folder; no file is left behind. Raises `busy` if another process, or another call here, holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise busy from None
        yield
    finally:
        os.close(descriptor)


def clean(folder: Path) -> None:
    """Remove everything that a server leaves except its logs, `server.json` last. A folder of others is left alone.

    Raises SystemProblem as `is_ours` does.
    """
    if is_ours(folder):
        for name in _LEFT:
            discard(folder / name)


def fresh_run(folder: Path) -> None:
    """Make an empty `run` folder, for a start of TorchServe."""
    discard(folder / RUN)
    (folder / RUN).mkdir(mode=0o700)
    (folder / RUN / REPORTS).mkdir(mode=0o700)


def fresh_logs(folder: Path) -> None:
    """Make an empty log folder; the last server's logs move to `logs.previous`."""
    logs, previous = folder / LOGS, folder / PREVIOUS_LOGS
    if os.path.lexists(logs):
        discard(previous)
        logs.rename(previous)
    logs.mkdir(mode=0o700)


def discard(path: Path) -> None:
    """Remove a file, a link (not its target) or a folder with its content, as far as this is possible."""
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _is_marked(folder: Path) -> bool:
    """Return whether the marker is there: a file of this user's, not a link."""
    try:
        info = (folder / MARKER).lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid()


_OTHERS = (
    "The folder {folder} belongs to another user (uid {uid}): nothing in it is read or removed. Give one of your own "
    "folders with --state-dir."
)
_OPEN = (
    "Other users can write into the state folder {folder} (mode {mode:04o}), so nothing in it can be trusted. Look "
    "into it, remove it, or give another with --state-dir."
)
_OLDER = (
    f"The folder {{folder}} is not marked as a state folder ({MARKER} is missing): an earlier version of lexport, or "
    "something else, made it, and nothing in it is read or removed. If a server of that version runs, stop it with "
    "that version; then remove the folder, or give another with --state-dir."
)
