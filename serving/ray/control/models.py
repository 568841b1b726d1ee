"""The models of a server on its Ray cluster: their archives brought there, and what their replicas are to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...canary.rule import Rule
from ...embedded.processes.archives import Archives
from ...embedded.processes.registry import Registry, Served
from ...store import read
from ...tokens import Accepted
from ..orders import ModelOrder, VersionOrder, hashed_tokens
from .connection import CHANGE, Ask, Connection
from .startup import RayOrders


class Models:
    """Those of one server. Every method that asks the cluster raises LexportError."""

    def __init__(self, orders: RayOrders, registry: Registry, archives: Archives, connection: Connection) -> None:
        """Serve what the `registry` says; nothing is on the cluster yet."""
        self.rules: dict[str, tuple[str, Rule]] = {}
        """The canary of each name that has one, with its identity."""
        self.most = dict(orders.most)
        """Replicas of a model at most, where Ray adds and removes some by load."""
        self.tokens: Accepted | None = None
        """What a request may bear; None: anything."""
        self.applied: set[str] = set()
        """Names that may be on the cluster."""
        self._orders = orders
        self._registry = registry
        self._archives = archives
        self._connection = connection
        self._digests: dict[str, str] = {}

    async def open(self, file: str, name: str | None, options: Mapping[str, Any]) -> Served:
        """Bring an archive of the store into the cluster, and return what is to be served of it."""
        path = self._archives.path_of(file)
        archive = read(path)
        await self._bring(file, self._connection.ask)
        return Served(name=name or archive.name, version=archive.version, url=file, folder=path, **options)

    def order(self, name: str) -> ModelOrder:
        """Return what the replicas of a model are to know."""
        served = self._registry.all(name)
        least = max(one.workers for one in served.values())
        default = self._registry.find(name).version
        rule = self.rules.get(name)
        if rule is not None and (rule[1].version == default or rule[1].version not in served):
            rule = None  # it was promoted, or taken away, and its command ends it in a moment
        return ModelOrder(
            name,
            tuple(
                VersionOrder(
                    one.version,
                    self._digests[one.url],
                    largest=one.largest,
                    queue=max(1, one.queue // least),
                    seconds=float(one.seconds),
                )
                for one in served.values()
            ),
            default,
            rule,
            hashed_tokens(self.tokens),
            self._orders.keys,
            self._orders.limits,
            self._orders.threads,
            least,
            max(least, self.most.get(name, 0)),
        )

    @property
    def replicas(self) -> int:
        """How many replicas all models have at least."""
        return sum(self.order(name).least for name in self._registry.defaults)

    async def apply(self, name: str, seconds: float = CHANGE) -> None:
        """Return once each replica of a model does what its order says, and the cluster was looked at."""
        async with self._connection.changing:
            self.applied.add(name)
            await self._apply(name, self._connection.ask, seconds)
        await self._connection.look()

    async def apply_all(self) -> None:
        """Do so for all models, one after the other."""
        for name in self._registry.defaults:
            await self.apply(name)

    async def remove(self, name: str, seconds: float = CHANGE) -> None:
        """End the replicas of a model."""
        await self._connection.ask("remove", seconds, name=name)
        self.applied.discard(name)

    async def restore(self, ask: Ask) -> None:
        """Bring all archives and orders to a cluster that may know none of them."""
        for served in self._registry.served:
            await self._bring(served.url, ask)
        for name in self._registry.defaults:
            await self._apply(name, ask, CHANGE)

    async def _bring(self, file: str, ask: Ask) -> None:
        self._digests[file] = await ask("put", path=str(self._archives.path_of(file)))

    async def _apply(self, name: str, ask: Ask, seconds: float) -> None:
        await ask("apply", seconds, order=self.order(name).to_json(), within=max(1.0, seconds - 5.0))
