"""What happens to a server, as lines of JSON: for what collects the logs of containers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...messages.last_words import json_line
from .. import folders
from ..state import Server
from .entries import Entry
from .files import Logs

_LEVELS = {"death": "error", "error": "error", "restart": "warning"}
# A line of a start, of a change, and of a worker of TorchServe begin with a model and its version.
_VERSION = re.compile(
    r"(?P<model>[\w.+-]+) (?P<version>[\w.+-]+)"
    r"(?:: (?:worker|its code may run|verified|its goldens)\b"
    r"| was (?:registered|taken away)| is the default | is answered by )"
)
_WORKER = re.compile(r"(?:.*: w|W)orker (?P<worker>\d+) ")
_PID = re.compile(r"\(pid (?P<pid>\d+)\)")


class Journal:
    """Puts out what a server's logs say, but for requests, of which the access logs have lines of JSON already."""

    def __init__(self, put: Callable[[str], None]) -> None:
        """Have `put` print a line."""
        self._put = put
        self._logs: Logs | None = None

    def say(self, line: str) -> None:
        """Put out a line of progress."""
        self._put(json_line(line, **facts_of(line)))

    @contextmanager
    def following(self, server: Server) -> Iterator[None]:
        """Context manager: look into the logs of a server that has just been started, from their first line on."""
        with Logs(server.state_dir / folders.LOGS, requests=False) as self._logs:
            yield
        self._logs = None

    def look(self) -> None:
        """Put out what has come to the logs since the last look."""
        if self._logs is not None:
            for entry in self._logs.read():
                if entry.kind:
                    self._put(line_of(entry))


def line_of(entry: Entry) -> str:
    """Return an entry of a log as a line of JSON: time, level, message, event, log, and what the line names."""
    level = _LEVELS.get(entry.kind, "info")
    name = Path(entry.file).name
    return json_line(entry.line, level=level, moment=entry.time, event=entry.kind, log=name, **facts_of(entry.line))


def facts_of(line: str) -> dict[str, Any]:
    """Return what a line names: `model`, `version`, `worker`, `pid`."""
    found: dict[str, Any] = {}
    for match in (_VERSION.match(line), _WORKER.match(line), _PID.search(line)):
        if match is not None:
            found |= match.groupdict()
    return {name: int(value) if name in ("worker", "pid") else value for name, value in found.items()}
