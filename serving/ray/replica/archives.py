"""What a cluster knows of its models: archives, orders and what replicas told. Lives in one actor, as plain data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

NAMESPACE, NAME = "lexport", "lexport-archives"
PIECE = 8 << 20
"""Bytes of an archive that travel in one message."""
_LOST = 60.0  # seconds after which a replica is forgotten that tells nothing


class Archives:
    """The methods of the actor. Pieces of archives lie in Ray's object store, which moves them between machines."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._pieces: dict[str, list[Any]] = {}
        self._coming: dict[str, dict[int, Any]] = {}
        self._orders: dict[str, dict[str, Any]] = {}
        self._told: dict[str, tuple[float, dict[str, Any]]] = {}

    def begin(self, digest: str) -> bool:
        """Return whether an archive is to be brought."""
        if digest in self._pieces:
            return False
        self._coming.setdefault(digest, {})
        return True

    def add(self, digest: str, number: int, piece: bytes, count: int) -> bool:
        """Take one of `count` pieces of an archive. Return False if those before it were lost: begin again.

        Several may bring the same archive at once.
        """
        import ray

        if digest in self._pieces:
            return True
        coming = self._coming.get(digest)
        if coming is None:
            return False
        coming.setdefault(number, ray.put(piece))  # owned by this actor: it outlives whoever brought it
        if len(coming) == count:
            self._pieces[digest] = [coming[number] for number in sorted(coming)]
            del self._coming[digest]
        return True

    def find(self, digest: str) -> list[Any] | None:
        """Return references to the pieces of an archive, None if it is not here."""
        return self._pieces.get(digest)

    def forget(self, digest: str) -> None:
        """Let an archive go, because it was lost in the object store or no model has it."""
        self._pieces.pop(digest, None)

    def tell(self, replica: str, told: dict[str, Any], digests: list[str]) -> list[str]:
        """Take what a replica counted. Return those of its archives that are not here any more."""
        now = time.time()
        self._told[replica] = now, told
        if len(self._told) > 1_000:
            self._told = {name: one for name, one in self._told.items() if one[0] > now - _LOST}
        return [digest for digest in digests if digest not in self._pieces and digest not in self._coming]

    def told(self, within: float) -> list[dict[str, Any]]:
        """Return what replicas told within so many seconds."""
        now = time.time()
        return [{**told, "seen": when} for when, told in self._told.values() if when > now - within]

    def order(self, name: str, order: Mapping[str, Any] | None) -> None:
        """Remember the order of a model that is in force, None: it has none any more."""
        if order is None:
            self._orders.pop(name, None)
        else:
            self._orders[name] = dict(order)
        used = {one["digest"] for order in self._orders.values() for one in order["versions"]}
        for digest in set(self._pieces) - used:
            if order is None:
                self.forget(digest)

    def orders(self) -> dict[str, dict[str, Any]]:
        """Return the orders that are in force, by model."""
        return self._orders
