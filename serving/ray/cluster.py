"""The Ray cluster as the control plane sees it: archives in, orders applied, counts out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .orders import ModelOrder


@dataclass(frozen=True)
class Replica:
    """What a replica told last."""

    model: str
    replica: str
    """Ray's identity of it."""
    node: str
    """Ray's identity of its node."""
    pid: int
    versions: tuple[str, ...]
    """Those that it answers."""
    counts: dict[str, dict[str, Any]]
    """`embedded.model.Model.count()` by version."""
    statuses: dict[str, int]
    """Answers of no model, by status."""
    refused: dict[str, int]
    """Refusals by code."""
    canaries: dict[str, dict[str, Any]]
    """`Tally.to_json()` by identity."""
    seen: float
    """When it told so, in seconds since 1970."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    identity: str
    address: str
    alive: bool
    head: bool
    resources: dict[str, float] = field(default_factory=dict)


class Cluster:
    """A connection to a Ray cluster. Every method raises SystemProblem when the cluster cannot be reached."""

    @classmethod
    def connect(
        cls, address: str | None = None, *, host: str = "127.0.0.1", port: int = 8000, shared: Path | None = None
    ) -> Cluster:
        """Join the cluster at `address` (`HOST:PORT`, or `auto`); None starts one on this machine, on loopback.

        `host`, `port`: where requests are answered, if Ray Serve does not run yet. `shared`: a folder that every node
        sees at the same path; archives go there instead of through Ray. Raises SystemProblem if that cannot be,
        MissingExtra without Ray.
        """
        raise NotImplementedError

    @property
    def inference_url(self) -> str:
        """Where requests are answered."""
        raise NotImplementedError

    def put(self, path: Path) -> str:
        """Bring an archive into the cluster and return its SHA-256. Raises RefusedError if it fails verification."""
        raise NotImplementedError

    def apply(self, order: ModelOrder, timeout: float = 120.0) -> None:
        """Return once every replica that Ray wants answers by exactly this order, within `timeout` seconds.

        Raises SystemProblem with the replica's own reason if that cannot be; the former order is in force again then.
        """
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """End the replicas of a model; nothing happens if it has none."""
        raise NotImplementedError

    def counts(self) -> list[Replica]:
        """Return what each replica told last, of those that are alive."""
        raise NotImplementedError

    def nodes(self) -> list[Node]:
        """Return the machines of the cluster."""
        raise NotImplementedError

    def close(self, stop_apps: bool = False) -> None:
        """Leave the cluster. `stop_apps`: end the models first; a cluster that `connect` started ends with it."""
        raise NotImplementedError
