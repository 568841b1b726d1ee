"""Change a running server: one command at a time, and all that others read of it written together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError, LexportError
from ...messages.nearest import did_you_mean
from ...storage.progress import Say, silent
from .. import folders, state
from .. import record as records
from ..process import sigterm_raises
from ..record import Deployed, Record
from ..server import running
from ..state import Server
from ..stores.history import record as write_line
from ..torchserve.health.ready import read_reports
from .control import Control

TIMEOUT = 120.0
"""Seconds that an operation may take."""


@dataclass
class Changing:
    """A running server that this command alone changes."""

    server: Server
    control: Control
    record: Record
    say: Say
    reported: frozenset[Any]
    """Process numbers of the workers that had reported when the change began: TorchServe keeps what they wrote."""

    @property
    def store(self) -> Path:
        """The server's private store."""
        return self.server.state_dir / folders.STORE

    def version(self, name: str, version: str | None = None) -> Deployed:
        """Return a version of a model, None: its default. Raises InputError if the server does not have it."""
        known = self.record.of(name)
        if not known:
            served = sorted({one.name for one in self.record.versions})
            raise InputError(
                f"The server has no model {name!r}.{did_you_mean(name, served)} It serves: {', '.join(served)}.",
                code="LX-SERVE-173",
            )
        found = self.record.default(name) if version is None else known.get(version)
        if found is None:
            raise InputError(
                f"{name} is not served in version {version!r}. Served: {', '.join(known)}.", code="LX-SERVE-174"
            )
        return found

    def note(self, action: str, done: Deployed, before: str = "") -> None:
        """Add a line to the history of the store that a version came from; `before`: the default until now."""
        if done.store:
            try:
                write_line(
                    Path(done.store),
                    action,
                    name=done.name,
                    version=done.version,
                    digest=done.digest,
                    command=f"lexport {action}",
                    before=before,
                )
            except (LexportError, OSError, ValueError) as error:  # the store may be gone; the server serves on
                self.say(f"The history of {done.store} could not be written: {error}")

    def keep(self, record: Record) -> None:
        """Write what is served now: for this server's next start, for other commands and for `serve`."""
        self.record = record
        if not self.server.own_code:
            from ..torchserve.restart import write_models

            write_models(self.server, record.versions)
            # The supervisors of the other engines write this themselves.
            current = state.load(self.server.state_dir) or self.server
            defaults = {one.name: one.version for one in record.versions if one.default}
            workers = sum(one.workers for one in record.versions)
            state.save(replace(current, models=defaults, workers=workers))
        records.save(self.server.state_dir, record)


def as_served(record: Record, described: Sequence[dict[str, Any]]) -> Record:
    """Return the record with what the server says: others may have scaled a version, or made it the default."""
    now = {(one["modelName"], one["modelVersion"]): one for one in described}
    versions = tuple(
        replace(one, workers=now[one.name, one.version]["minWorkers"])
        for one in record.versions
        if (one.name, one.version) in now
    )
    found = replace(record, versions=versions)
    for (name, version), one in now.items():
        if one["default"] and version in found.of(name):
            found = found.with_default(name, version)
    return found


@contextmanager
def changing(state_dir: Path | None, timeout: float = TIMEOUT, say: Say = silent) -> Iterator[Changing]:
    """Context manager: the running server of a state folder, locked against other commands that change it.

    Raises SystemProblem if none runs, Busy if another command changes it.
    """
    server = running(state_dir)
    with sigterm_raises(), folders.locked(server.state_dir):
        server = running(state_dir)
        control = Control(server, timeout)
        record = as_served(records.load(server.state_dir) or Record(), control.versions())
        yield Changing(server, control, record, say, frozenset(one.get("pid") for one in read_reports(server)))
