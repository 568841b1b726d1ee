"""What is known of a cluster between two looks at it: its replicas, its nodes, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .counting import Counting

_TOLD = 600.0  # seconds for which a node that is gone is told of


@dataclass(frozen=True)
class Worker:
    """A replica, as `embedded.processes.registry.described` takes it."""

    number: int
    pid: int
    started: float
    """When it was seen first, in seconds since 1970."""
    ready: bool
    node: str
    """The address of its node."""


class Watching:
    """One cluster."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Know nothing yet; `tell` is called with what happens to nodes."""
        self.counting = Counting()
        self._tell = tell
        self._replicas: Sequence[Mapping[str, Any]] = ()
        self._seen: dict[str, float] = {}
        self._alive: dict[str, str] = {}
        self._gone: dict[str, float] = {}

    def take(self, look: Mapping[str, Any]) -> None:
        """Take a look: `replicas` and `nodes` as `cluster.Replica` and `cluster.Node` have them."""
        self._replicas = sorted(look["replicas"], key=lambda one: str(one["replica"]))
        now = time.time()
        self._seen = {one["replica"]: self._seen.get(one["replica"], now) for one in self._replicas}
        self.counting.take(self._replicas)
        alive = {one["identity"]: one["address"] for one in look["nodes"] if one["alive"]}
        for identity in self._alive.keys() - alive.keys():
            self._gone[self._alive[identity]] = now
            self._tell(f"The node {self._alive[identity]} is gone from the cluster.")
        self._gone = {
            address: since
            for address, since in self._gone.items()
            if now - since < _TOLD and address not in alive.values()
        }
        self._alive = alive

    def lose(self) -> None:
        """Know of no replica any more: the cluster cannot be reached."""
        self._replicas, self._alive = (), {}

    def workers(self, name: str, version: str) -> list[Worker]:
        """Return the replicas of a model; those that answer this version are ready."""
        return [
            Worker(
                number,
                one["pid"],
                self._seen[one["replica"]],
                version in one["versions"],
                self._alive.get(one["node"], ""),
            )
            for number, one in enumerate(self._replicas)
            if one["model"] == name
        ]

    def waiting(self, name: str, version: str) -> int:
        """Return how many requests wait for a version."""
        counts = [one["counts"].get(version, {}) for one in self._replicas if one["model"] == name]
        return sum(int(one.get("waiting", 0)) for one in counts)

    @property
    def problem(self) -> str:
        """Which nodes were lost lately; "" if none."""
        if not self._gone:
            return ""
        return f"Gone from the cluster lately: {', '.join(f'node {address}' for address in sorted(self._gone))}"
