"""A server's state folder: private, one server at a time, described by `server.json`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, SystemProblem
from ..files import json_bytes, write_file
from .tokens import is_token

SERVER = "server.json"
SETTINGS = "server.properties"
KEYS = "key_file.json"
STORE = "store"
LOGS = "logs"
PREVIOUS_LOGS = "logs.previous"

_OURS = {SERVER, SETTINGS, KEYS, STORE, LOGS, PREVIOUS_LOGS}


@dataclass(frozen=True)
class Server:
    """A server started by `serve`, as `server.json` describes it to other commands."""

    pid: int
    """Process number of TorchServe's Java frontend."""
    started: float
    """When that process started, in seconds since 1970."""
    inference_url: str
    management_url: str
    metrics_url: str
    state_dir: Path
    scratch: Path
    """Private temporary folder: extracted archives, sockets, the workers' reports. Removed when the server stops."""
    models: dict[str, str]
    """Version by model name."""
    workers: int
    """Workers of all models together."""
    threads: int
    """Threads of one worker."""
    device: str
    """`cpu` or `gpu`."""
    authorized: bool = True
    """Whether requests need a token."""

    def token(self, kind: str = "inference") -> str:
        """The token for `inference` or `management` requests, read from the key file each time; "" if none is needed.

        Raises SystemProblem if the key file is gone or unreadable.
        """
        return read_token(self.state_dir / KEYS, kind) if self.authorized else ""

    @property
    def logs(self) -> Path:
        """Folder of the server's log files."""
        return self.state_dir / LOGS

    @property
    def reports(self) -> Path:
        """Folder where each worker says that it is ready, or why not."""
        return self.scratch / "reports"


def read_token(key_file: Path, kind: str) -> str:
    """The token of one kind (`inference`, `management`) in a key file; a file of one token has the inference token.

    Raises SystemProblem if there is none.
    """
    try:
        text = key_file.read_text(encoding="utf-8").strip()
        return text if kind == "inference" and is_token(text) else str(json.loads(text)[kind]["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemProblem(
            f"Cannot read the {kind} token from {key_file}: {type(error).__name__}. Expected the key_file.json of "
            "a running server, or a file with the inference token alone; name it with --token-file or the server's "
            "folder with --state-dir."
        ) from None


def default_state_dir() -> Path:
    """`$XDG_STATE_HOME/lexport`, or `~/.local/state/lexport`."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lexport"


def make_private(state_dir: Path) -> None:
    """Create the state folder with mode 0700, or make an existing one of ours private.

    Raises InputError if it is a file, cannot be created, or holds other people's or other programs' files.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = sorted(entry.name for entry in state_dir.iterdir() if entry.name not in _OURS)
        if foreign:
            raise InputError(
                f"The state folder {state_dir} holds other files ({foreign[0]}). Give an empty or a new folder with "
                "--state-dir."
            )
        if stat.S_IMODE(state_dir.stat().st_mode) & 0o077:
            state_dir.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"Cannot use {state_dir} as state folder: {error.strerror}. Give another with --state-dir."
        ) from None


class Busy(SystemProblem):
    """Another command is starting or stopping the server."""


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Keep other starts and stops away from a state folder; no file is left behind.

    Raises Busy if one is under way.
    """
    descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy(
                f"Another lexport command is starting or stopping the server of {state_dir}. Wait for it, or give "
                "another --state-dir."
            ) from None
        yield
    finally:
        os.close(descriptor)


def save(server: Server) -> None:
    """Write `server.json`."""
    path = server.state_dir / SERVER
    write_file(
        path, json_bytes(asdict(server) | {"state_dir": str(server.state_dir), "scratch": str(server.scratch)})
    )
    path.chmod(0o600)


def load(state_dir: Path) -> Server | None:
    """The server that `server.json` describes, running or not; None if there is no such file.

    Raises SystemProblem if the file is damaged.
    """
    path = state_dir / SERVER
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # The folder may have been moved or be named by another path.
        return Server(**(facts | {"state_dir": state_dir, "scratch": Path(facts["scratch"])}))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SystemProblem(
            f"{path} is not readable as a server's state ({type(error).__name__}). Stop that server by hand, then "
            "remove the file."
        ) from None


def clean(state_dir: Path, scratch: Path | None) -> None:
    """Remove what a server leaves but its logs: keys, settings, store, temporary folder, `server.json` at last."""
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(state_dir / STORE, ignore_errors=True)
    for name in (KEYS, SETTINGS, SERVER):
        (state_dir / name).unlink(missing_ok=True)


def fresh_logs(state_dir: Path) -> Path:
    """An empty log folder; the last server's logs move to `logs.previous`."""
    logs, previous = state_dir / LOGS, state_dir / PREVIOUS_LOGS
    if logs.is_dir():
        shutil.rmtree(previous, ignore_errors=True)
        logs.rename(previous)
    logs.mkdir(mode=0o700)
    return logs
