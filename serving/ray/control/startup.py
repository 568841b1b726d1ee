"""What a supervisor of a Ray server is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...embedded.processes.orders import Orders


@dataclass(frozen=True)
class RayOrders(Orders):
    """`Orders`, of which `gpus` is 0 and `cores` are those of the replicas of one node together."""

    threads: int = 1
    """Threads of each model in a replica."""
    most: dict[str, int] = field(default_factory=dict)
    """Replicas of a model at most, by name, where Ray adds and removes some by load."""
    former: tuple[str, ...] = ()
    """Models of a server that ended unexpectedly, whose place this one takes: they may still be answered."""
