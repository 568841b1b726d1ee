"""What replicas have counted, added up: counters never fall, though replicas end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...embedded.statistics import added

_MOST_GONE = 100  # replicas that have ended and are known by name: one may be seen again that was missed for a while


class Counting:
    """The counts of one server."""

    def __init__(self) -> None:
        """Know of no replica yet."""
        self._said: dict[str, dict[str, Any]] = {}
        self._gone: dict[str, dict[str, Any]] = {}
        self._before: dict[str, Any] = {}

    def take(self, replicas: Iterable[Mapping[str, Any]]) -> None:
        """Take what replicas tell, as `cluster.Replica` has it; those that are not among them have ended."""
        said = {one["replica"]: _counts(one) for one in replicas}
        for name in self._said.keys() - said.keys():
            self._gone[name] = _at_rest(self._said[name])
        for name in said:
            self._gone.pop(name, None)
        while len(self._gone) > _MOST_GONE:
            self._before = added([self._before, self._gone.pop(next(iter(self._gone)))])
        self._said = said

    @property
    def total(self) -> dict[str, Any]:
        """The sum of all, as `embedded.addresses.metrics.render` takes it."""
        return added([self._before, *self._gone.values(), *self._said.values()])


def _counts(replica: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "models": {f"{replica['model']} {version}": counts for version, counts in replica["counts"].items()},
        "statuses": replica["statuses"],
        "refused": replica["refused"],
        "canaries": replica["canaries"],
    }


def _at_rest(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of a replica that has ended: nothing waits for it."""
    return {**counts, "models": {name: {**one, "waiting": 0} for name, one in counts["models"].items()}}
