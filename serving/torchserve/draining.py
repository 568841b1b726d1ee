"""Stop a server without losing a request: refuse new requests and answer each one that it has."""

from __future__ import annotations

import mmap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ...errors import SystemProblem
from ...handlers.runtime.draining import CONTROL, busy_name, share
from ..process import is_alive
from . import http as api
from .listeners import NotPermitted, connections, refuse_new, unanswered

_PAUSE = 0.05  # seconds between two checks
# Seconds for which every check must find nothing: a request may be on its way from one place to the next.
_QUIET = 0.25


@dataclass(frozen=True)
class Drained:
    """The result of draining a server."""

    idle: bool
    """Whether no request was in flight at the end."""
    seconds: float
    """How long it took."""
    in_flight: str
    """The requests that were still in flight, in words; "" if idle."""
    open_because: str
    """Why new connections could not be refused, in words; "" if they were refused."""


def drain(
    java: int, ports: Sequence[int], reports: Path, *, limit: float, management_url: str, token: str
) -> Drained:
    """Let a server finish its requests, so that ending it loses none. This cannot be undone.

    `java` is the process number of TorchServe's frontend. `ports` are the ports for requests; the management port is
    not among them, stays open and is asked with `token`. `reports` is the folder of the workers' reports. New
    connections are refused. Workers answer new requests with 503, and TorchServe then closes the connection. Returns
    when nothing is in flight, or after `limit` seconds.
    """
    began = time.monotonic()
    try:
        refuse_new(java, ports)
        open_because = ""
    except NotPermitted as reason:
        open_because = str(reason)
    with share(reports / CONTROL, mmap.ACCESS_WRITE) as control:
        control[0] = 1
    look = _Look(java, ports, reports, management_url, token)
    quiet_since: float | None = None
    while True:
        now = time.monotonic()
        in_flight = look.in_flight(max(began + limit - now, _PAUSE))
        if in_flight:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since >= _QUIET + look.batch_delay:
            break
        if time.monotonic() + _PAUSE > began + limit or not is_alive(java):
            in_flight = in_flight or "the server was never idle long enough"
            break
        time.sleep(_PAUSE)
    return Drained(not in_flight, time.monotonic() - began, in_flight, open_because)


@dataclass
class _Look:
    """Check for requests without an answer: unread, queued, in a worker, or with the answer being sent."""

    java: int
    ports: Sequence[int]
    reports: Path
    management_url: str
    token: str
    batch_delay: float = 0.0
    """Seconds for which the frontend keeps requests of an incomplete batch; they are in no queue then."""

    def in_flight(self, timeout: float) -> str:
        """Return what is in flight, in words; "" if nothing is. `timeout` in seconds."""
        found = []
        try:
            models = api.describe(self.management_url, self.token, timeout=timeout)
            self.batch_delay = max((float(model["maxBatchDelay"]) / 1000 for model in models), default=0.0)
            found += [
                f"requests queued for {model['modelName']} {model['modelVersion']}: {waiting}"
                for model in models
                if (waiting := int(model["jobQueueStatus"]["pendingRequests"]))
            ]
        except SystemProblem as error:
            found.append(str(error))
        found += [f"a batch at worker {pid}" for pid in self._busy_workers()]
        if count := sum(unanswered(one) for one in connections(self.java, self.ports)):
            found.append(f"connections with unread or undelivered bytes: {count}")
        return "; ".join(found)

    def _busy_workers(self) -> list[int]:
        try:
            workers = [child.pid for child in psutil.Process(self.java).children()]
        except psutil.Error:
            return []
        return [pid for pid in workers if _reads_one(self.reports / busy_name(pid))]


def _reads_one(path: Path) -> bool:
    try:
        return path.read_bytes() == b"\1"
    except FileNotFoundError:
        return False
