"""The description of a running server for other commands: `server.json` in its state folder."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import SystemProblem
from ..storage.atomic import json_bytes, write_file
from .folders import KEYS, LOGS, REPORTS, RUN, SERVER, is_ours
from .tokens import is_token

# A file of ours is a hundredth of this.
_MAX_BYTES = 100_000
_URL = re.compile(r"http://[A-Za-z0-9_.:\[\]-]{1,300}")
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Server:
    """A server started by `serve`."""

    id: str
    """The id that the environment of every process of this server has, and no other process."""
    supervisor: int
    """Process number of the supervisor, which starts again what dies of the server."""
    pid: int
    """Process number of TorchServe's Java frontend; with the other engines that of the supervisor."""
    started: float
    """When that process started, in seconds since 1970."""
    inference_url: str
    management_url: str
    metrics_url: str
    state_dir: Path
    models: dict[str, str]
    """Version by model name."""
    workers: int
    """Workers of all models together."""
    threads: int
    """Threads of one worker."""
    device: str
    """`cpu` or `gpu`."""
    engine: str = "torchserve"
    """`torchserve`, `embedded` or `ray`."""
    authorized: bool = True
    """Whether requests need a token."""
    drain: float = 10.0
    """Seconds that requests in flight may take to be answered when the server is stopped."""
    restarts: int = 0
    """How often the supervisor has started TorchServe again, a process of the embedded engine, or has connected to a
    Ray cluster again."""
    health_url: str = ""
    """The URL that answers probes without a token; "" if there is none."""
    last_reason: str = ""
    """Why TorchServe, a process of the embedded engine, or a Ray cluster ended the last time; "" if none has."""
    cluster: str = ""
    """The address of the Ray cluster that answers, if the server has not started it itself; "" for none."""

    problem: str = ""
    """What its supervisor knows of its Ray cluster that keeps models from being answered as they should; "" for
    nothing.
    """

    @property
    def own_code(self) -> bool:
        """Whether lexport's own code answers requests and management, and no TorchServe runs."""
        return self.engine != "torchserve"

    def token(self, kind: str = "inference") -> str:
        """Return the token for `inference` or `management` requests, read from the key file each time; "" if none is
        needed.

        Raises SystemProblem if the key file is gone or unreadable.
        """
        return read_token(self.state_dir / KEYS, kind) if self.authorized else ""

    @property
    def logs(self) -> Path:
        """Folder of the server's log files."""
        return self.state_dir / LOGS

    @property
    def run_dir(self) -> Path:
        """Temporary folder of Java and the workers: extracted archives, sockets, reports. Removed by `stop`."""
        return self.state_dir / RUN

    @property
    def reports(self) -> Path:
        """Folder of the workers' reports: ready, or why not."""
        return self.run_dir / REPORTS


def read_token(key_file: Path, kind: str) -> str:
    """Return the token of one kind (`inference`, `management`) in a key file; a file of one token has the inference
    token.

    Raises SystemProblem if there is none.
    """
    try:
        text = key_file.read_text(encoding="utf-8").strip()
        return text if kind == "inference" and is_token(text) else str(json.loads(text)[kind]["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SystemProblem(
            f"Cannot read the {kind} token from {key_file}: {type(error).__name__}. Expected the key_file.json of "
            "a running server, or a file with only the inference token; name it with --token-file or the server's "
            "folder with --state-dir.",
            code="LX-SERVE-020",
        ) from None


def save(server: Server) -> None:
    """Write `server.json`, which only its owner can read."""
    path = server.state_dir / SERVER
    write_file(path, json_bytes(asdict(server) | {"state_dir": str(server.state_dir)}))
    path.chmod(0o600)


def load(state_dir: Path) -> Server | None:
    """Return the server that `server.json` describes, running or not; None if there is no such file.

    Raises SystemProblem if the folder is not the user's own state folder, or if the file is damaged.
    """
    if not is_ours(state_dir):
        return None
    path = state_dir / SERVER
    try:
        facts = json.loads(_read(path))
        # The folder may have been moved or be named by another path.
        return parse(facts | {"state_dir": str(state_dir)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise SystemProblem(
            f"{path} is not readable as a server's state ({type(error).__name__}). Stop that server by hand, then "
            "remove the file.",
            code="LX-SERVE-021",
        ) from None


def parse(facts: dict[str, Any]) -> Server:
    """Return a server from the values of its JSON.

    Raises ValueError or TypeError for what `save` cannot have written.
    """
    if not isinstance(facts, dict) or set(facts) != {field.name for field in fields(Server)}:
        raise ValueError("other names than a server's")
    for name, value in facts.items():
        if not _CHECKS[name](value):
            raise ValueError(f"{name} cannot be {str(value)[:100]!r}")
    return Server(**(facts | {"state_dir": Path(facts["state_dir"])}))


def _read(path: Path) -> bytes:
    """Return the bytes of a regular file that is not too long; a link is not followed and a pipe not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a file")
        content = handle.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError("too long")
    return content


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value == "" or value.isprintable())


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and _URL.fullmatch(value) is not None


_CHECKS = {
    "id": lambda value: isinstance(value, str) and _ID.fullmatch(value) is not None,
    **dict.fromkeys(("supervisor", "pid", "workers", "threads", "restarts"), _is_count),
    **dict.fromkeys(("started", "drain"), _is_seconds),
    **dict.fromkeys(("inference_url", "management_url", "metrics_url"), _is_url),
    "health_url": lambda value: value == "" or _is_url(value),
    "state_dir": lambda value: isinstance(value, str),
    "models": lambda value: isinstance(value, dict) and all(map(_is_text, (*value, *value.values()))),
    "device": lambda value: value in ("cpu", "gpu"),
    "engine": lambda value: value in ("torchserve", "embedded", "ray"),
    "authorized": lambda value: isinstance(value, bool),
    **dict.fromkeys(("last_reason", "cluster", "problem"), _is_text),
}
