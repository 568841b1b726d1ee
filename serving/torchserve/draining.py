"""Stopping a server without losing a request: no new ones, and an answer to each that it has."""

from __future__ import annotations

import mmap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ...errors import SystemProblem
from ...handlers.runtime.draining import CONTROL, busy_name, share
from . import http as api
from .listeners import NotPermitted, connections, refuse_new, unanswered
from .process import is_alive

_PAUSE = 0.05  # seconds between two looks
# Seconds for which every look must find nothing: a request may be on its way from one place to the next.
_QUIET = 0.25


@dataclass(frozen=True)
class Drained:
    """How a server was drained."""

    idle: bool
    """Whether nothing was in flight any more, within the limit."""
    seconds: float
    in_flight: str
    """What still was, in words; "" if idle."""
    open_because: str
    """Why new connections could not be refused, in words; "" if they are."""


def drain(
    java: int, ports: Sequence[int], reports: Path, *, limit: float, management_url: str, token: str
) -> Drained:
    """Let a server finish what it has, so that it can be ended without losing a request; there is no way back.

    `java` is the process number of TorchServe's frontend, `ports` are those of requests (not of management, which is
    asked with `token` and stays open), `reports` is the folder of its workers' reports. New connections are refused;
    workers answer requests that reach them from now on with 503, whereupon TorchServe closes the connection. Returns
    once nothing is in flight, after `limit` seconds at the latest.
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
            in_flight = in_flight or "a moment of quiet was not reached"
            break
        time.sleep(_PAUSE)
    return Drained(not in_flight, time.monotonic() - began, in_flight, open_because)


@dataclass
class _Look:
    """Looks for requests that have no answer yet: unread, queued, at work, or with their answer on its way."""

    java: int
    ports: Sequence[int]
    reports: Path
    management_url: str
    token: str
    batch_delay: float = 0.0
    """Seconds for which the frontend holds requests of an incomplete batch, when they are in no queue."""

    def in_flight(self, timeout: float) -> str:
        """What is in flight, in words; "" if nothing is. `timeout` in seconds."""
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
