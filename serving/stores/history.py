"""The history of a store: one JSON object a line in `.history.jsonl`, to which lines are only ever added.

A line says when which version was added, removed or made the default, by which command and user.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import pwd
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export.archive.format.manifest import NAME, VERSION
from ...storage.atomic import parents_of
from ...storage.strict_json import parse_json

FILE = ".history.jsonl"
DEFAULTS = ("deploy", "promote", "rollback")
"""The actions that may change which version is the default."""

_MOST_BYTES = 8 << 20  # of the file are read, the last ones
_LONGEST = 4096  # bytes of a line; ours have some 300
_MOST_PROBLEMS = 1000
_ACTION = re.compile(r"[a-z]{1,20}")
_DIGEST = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True)
class Event:
    """One line of a history."""

    time: str
    """In UTC, such as `2026-01-31T12:00:00Z`."""
    action: str
    """`add`, `remove`, `gc`, `deploy`, `promote`, `rollback` or another."""
    name: str
    """Of the model."""
    version: str
    digest: str
    """Hex SHA-256 of the archive; "" where it was not known."""
    command: str
    """Such as `lexport store add`."""
    user: str
    """Name of the user who ran it."""
    before: str = ""
    """The version that was the default before, where the action changed it."""


@dataclass(frozen=True)
class History:
    """What could be read of a history."""

    events: list[Event]
    """The oldest first."""
    problems: list[str]
    """What could not be read, by the byte where it begins."""


def record(
    store: Path, action: str, *, name: str, version: str, digest: str = "", command: str, before: str = ""
) -> Event:
    """Add a line to the history of a store, which is made if it is missing, and return what it says.

    A line that a killed process left without its end is ended first. Lines of several processes follow one another.
    Raises InputError if the file is a link or no file; ValueError for values that no line may have; OSError if it
    cannot be written, and then it is as it was.
    """
    event = Event(
        time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        action=action,
        name=name,
        version=version,
        digest=digest,
        command=command,
        user=_user(),
        before=before,
    )
    line = json.dumps({key: value for key, value in asdict(event).items() if key != "before" or value}).encode()
    _parse(line)
    path = store / FILE
    with parents_of(path), _opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(size - 1, 0))
        torn = handle.read(1) not in (b"", b"\n")
        whole = b"\n" * torn + line + b"\n"
        try:
            if handle.write(whole) != len(whole):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(handle.fileno())
        except BaseException:
            handle.truncate(size)
            raise
    return event


def read_history(store: Path, name: str | None = None) -> History:
    """Return the history of a store, or of one model in it; of a long one the last 8 MiB.

    Lines that cannot be read are named in `problems`, and so is what is left out. Raises InputError if the file is a
    link or no file, or if more than 1,000 lines cannot be read.
    """
    path = store / FILE
    try:
        with _opened(path, os.O_RDONLY) as handle:
            skipped = max(0, handle.seek(0, os.SEEK_END) - _MOST_BYTES)
            handle.seek(skipped)
            content = handle.read(_MOST_BYTES)
    except FileNotFoundError:
        return History([], [])
    events: list[Event] = []
    problems: list[str] = []
    place = skipped
    if skipped:
        place += content.find(b"\n") + 1
        problems.append(f"{path}: the first {place:,} bytes were not read; the last {_MOST_BYTES:,} are.")
    for line in io.BytesIO(content[place - skipped :]):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("it has no end: whoever wrote it was interrupted")
            event = _parse(line)
        except ValueError as error:
            problems.append(f"{path}: the line at byte {place:,} cannot be read: {str(error)[:200]}.")
            if len(problems) > _MOST_PROBLEMS:
                raise _unusable(path, f"more than {_MOST_PROBLEMS:,} of its lines cannot be read") from None
        else:
            events += [event] if name in (None, event.name) else []
        place += len(line)
    return History(events, problems)


def last_defaults(events: list[Event]) -> Mapping[str, set[str]]:
    """Return, by name, the versions that were the default last and before that.

    These are the last two versions that each of `deploy`, `promote` and `rollback` names, with the `before` of its
    lines.
    """
    found: dict[str, set[str]] = {}
    for action in DEFAULTS:
        order: dict[str, list[str]] = {}
        for event in events:
            if event.action == action:
                for version in (event.before, event.version):
                    seen = order.setdefault(event.name, [])
                    if version and seen[-1:] != [version]:
                        seen.append(version)
        for name, versions in order.items():
            found.setdefault(name, set()).update(versions[-2:])
    return found


def _parse(line: bytes) -> Event:
    """Return what a line says. Raises ValueError for one that `record` cannot have written."""
    if len(line) > _LONGEST:
        raise ValueError(f"it has {len(line):,} bytes, at most {_LONGEST:,} are read")
    values: Any = parse_json(line)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    for key, fits in _CHECKS.items():
        value = values.get(key, "" if key == "before" else None)
        if not isinstance(value, str) or not fits(value):
            raise ValueError(f"{key} cannot be {str(value)[:80]!r}")
    return Event(**{key: values.get(key, "") for key in _CHECKS})


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "time": _is_time,
    "action": _ACTION.fullmatch,
    "name": NAME.fullmatch,
    "version": VERSION.fullmatch,
    "digest": _DIGEST.fullmatch,
    "command": str.isprintable,
    "user": str.isprintable,
    "before": lambda value: not value or VERSION.fullmatch(value),
}


def _opened(path: Path, flags: int) -> io.FileIO:
    """Open a history without a buffer, never through a link; a pipe is not waited for."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o664)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _unusable(path, "it is no file")
    return io.FileIO(descriptor, "r+" if flags & os.O_RDWR else "r")


def _unusable(path: Path, reason: str) -> InputError:
    return InputError(
        f"The history {path} cannot be used: {reason}. Expected a file that lexport wrote; move it away, and the "
        "history begins anew.",
        code="LX-SERVE-156",
    )


def _user() -> str:
    """Return the name of the user who runs this process, by its number and not by the environment."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
