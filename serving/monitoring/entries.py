"""The useful lines of a server's logs: what started, ended, changed, failed or was refused, and when."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...messages.escaping import visible
from ..supervision import LOG

STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:,\d{3})?) ?")
_TORCHSERVE = re.compile(r"\[(\w+) *\] (\S+) (\S+) - (.*)")
_WORKER = re.compile(r"\[\w+ *\] (W-(\d+)-(.+)_([^_]+)-std(?:out|err))(?:_\S+)? MODEL_LOG - (.*)")
_FIRST = "Traceback (most recent call last):"
_CHANGES = (
    (re.compile(r"Adding new version (\S+) for model (\S+)"), r"\2 \1 was registered"),
    (re.compile(r"Setting default version to (\S+) for model (\S+)"), r"\2 \1 is the default of its name"),
    (re.compile(r"updateModel: (\S+), count: (\d+)"), r"\1: the number of workers is set to \2"),
    (re.compile(r"Removed model: (\S+) version: (\S+)"), r"\1 \2 was taken away"),
    (re.compile(r"Model (\S+) unregistered\."), r"\1: a version was taken away"),
    (re.compile(r"(The \w+ token was rotated.*)"), r"\1"),
)
# Of every start: an archive leaves its numbers to the settings.
_HARMLESS = re.compile(r"Invalid model config in mar, minWorkers:0, maxWorkers:0")
_SUPERVISOR = (
    ("restart", re.compile(r"Starting TorchServe again|The Ray cluster answers again")),
    ("start", re.compile(r"TorchServe runs|The (?:embedded engine|server on Ray) runs|Worker \d+ is ready")),
    (
        "change",
        re.compile(
            r"\S+ \S+ (?:was registered|was taken away|is the default|is answered by|is (?:no longer )?a canary)|"
            r"The \w+ token was"
        ),
    ),
    (
        "end",
        re.compile(r"The server has ended|All requests were answered|The process that started this server has ended"),
    ),
    (
        "death",
        re.compile(
            r"TorchServe \(pid \d+\) has ended|Worker \d+ |TorchServe has died|"
            r"The Ray cluster .* cannot be reached|The node \S+ is gone"
        ),
    ),
)
ALARMING = frozenset({"death", "error", "refused"})
"""Kinds of entries that `last_error` of a server's status may be."""


@dataclass(frozen=True)
class Entry:
    """A line of a log."""

    time: float
    """Seconds since 1970. A line that has no time has that of the line before it in its file."""
    file: str
    """Name of the file in the log folder."""
    kind: str
    """start, end, restart, death, change, refused or error; "" for any other line."""
    line: str
    """What it says, without the time."""

    def to_json(self) -> dict[str, Any]:
        """Return time (ISO 8601 with the zone), file, kind and line."""
        return {"time": stamp(self.time), "file": self.file, "kind": self.kind, "line": self.line}


class Reader:
    """Reads the lines of one log file in their order."""

    def __init__(self, file: str, began: float) -> None:
        """Read lines of the file of this name; lines before the first that has a time are of `began`."""
        self.file = file
        self._time = began
        self._pids: dict[str, str] = {}
        self._tracing: set[str] = set()

    def read(self, line: str) -> Entry:
        """Return the entry of a line without its line end; its `kind` is "" if it is not useful."""
        if self.file.startswith("access_log."):
            return self._access(line)
        match = STAMP.match(line)
        rest = line[match.end() :] if match else line
        if match:
            self._time = datetime.fromisoformat(match[1]).timestamp()
        if self.file == LOG:
            return self._supervisor(rest, timed=match is not None)
        if self.file.startswith("model_log."):
            return self._worker(rest)
        if self.file.startswith("ts_log."):
            return self._torchserve(rest)
        return self._entry("", rest)

    def _entry(self, kind: str, line: str) -> Entry:
        return Entry(self._time, self.file, kind, visible(line))

    def _access(self, line: str) -> Entry:
        try:
            facts = json.loads(line)
            self._time = float(facts["time"])
            status = int(facts.get("status", 0))
            if "left_out" in facts:
                return self._entry("error", f"{int(facts['left_out'])} lines of the access log were left out")
        except (ValueError, TypeError, KeyError, RecursionError):
            return self._entry("", line)
        if status < 400:
            return self._entry("", line)
        model = f"{facts['model']} {facts['version']}: " if "model" in facts else ""
        why = f", {facts['error']}" if facts.get("error") else ""
        return self._entry("refused", f"{model}a request was answered {status}{why} (id {facts.get('id', 'none')})")

    def _supervisor(self, line: str, *, timed: bool) -> Entry:
        if not timed:  # what a process of the server printed
            return self._entry(self._trace("", line), line)
        self._tracing.clear()
        kind = next((kind for kind, pattern in _SUPERVISOR if pattern.match(line)), "error")
        return self._entry(kind, line)

    def _worker(self, line: str) -> Entry:
        match = _WORKER.fullmatch(line)
        if match is None:
            return self._entry("", line)
        stream, worker, name, version, said = match.groups()
        model = f"{name} {version}"
        if said.startswith("[PID]"):
            pid, before = said.removeprefix("[PID]"), self._pids.get(worker)
            self._pids[worker] = pid
            if before is None:
                return self._entry("start", f"{model}: worker {worker} starts (pid {pid})")
            what = f"worker {worker} (pid {before}) has ended and is started again (pid {pid})"
            return self._entry("death", f"{model}: {what}")
        kind = self._trace(stream, said)
        return self._entry(kind, f"{model}: worker {worker}: {said}" if kind else line)

    def _torchserve(self, line: str) -> Entry:
        match = _TORCHSERVE.fullmatch(line)
        if match is None:
            return self._entry(self._trace("", line), line)
        level, _, where, said = match.groups()
        for pattern, replacement in _CHANGES:
            change = pattern.fullmatch(said)
            if change:
                return self._entry("change", change.expand(replacement))
        if level in ("WARN", "ERROR", "FATAL") and not _HARMLESS.match(said):
            return self._entry("error", f"{where.rpartition('.')[2]}: {said}")
        return self._entry("", line)

    def _trace(self, stream: str, line: str) -> str:
        """Return `death` for the last line of a traceback, which names the exception, "" for all others."""
        if line.strip() == _FIRST:
            self._tracing.add(stream)
        elif stream in self._tracing and line and not line.startswith(" "):
            self._tracing.discard(stream)
            return "death"
        return ""


def stamp(moment: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 with milliseconds and the zone of this machine."""
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="milliseconds")
