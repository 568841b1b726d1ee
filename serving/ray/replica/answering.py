"""What a replica does: all versions of one model open, and requests answered as the embedded engine answers them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ....errors import RefusedError
from ....export.archive.inprocess import Context, LoadedArchive, open_worker
from ....export.archive.trust.keys import PublicKey
from ....handlers.runtime.threads import THREADS
from ...embedded.addresses.inference import Inference
from ...embedded.addresses.outcomes import Outcomes
from ...embedded.batching import Turns
from ...embedded.http import Limits, Server
from ...embedded.model import Model
from ...embedded.models import Models
from ...tokens import Accepted
from ..orders import ModelOrder, VersionOrder
from .node_archives import Kept
from .tokens import HashedBearer

Open = Callable[[str, tuple[PublicKey, ...]], Kept]
"""`NodeArchives.open`."""


@dataclass(frozen=True)
class _Opened:
    """A version that answers."""

    order: VersionOrder
    threads: int
    kept: Kept
    loaded: LoadedArchive
    model: Model


class Answering:
    """The versions of one model in this process. Lives in the loop that it is made in."""

    def __init__(self, open_archive: Open) -> None:
        """Answer nothing yet; `open_archive` brings what an order names."""
        self._open = open_archive
        self._opened: dict[str, _Opened] = {}
        self._turns = Turns()
        self._changing = asyncio.Lock()
        # One thread: models are opened one after the other, while requests are answered.
        self._loader = ThreadPoolExecutor(1, "lexport-loader")
        self.order: ModelOrder | None = None
        """The order that is in force."""
        self.models = Models()
        self.bearer = HashedBearer(None)
        self.outcomes = Outcomes()
        self.inference = Inference(self.models, self.bearer, self.outcomes)
        self.server = Server(self.inference.handle, admit=self.inference.admit, refuse=self.outcomes.refuse)
        """The HTTP server, which listens where Ray lets it."""

    async def take(self, order: ModelOrder) -> None:
        """Answer by an order from now on: what is new is opened first, then everything changes at once.

        After an error, which is raised, the former order stays in force. Raises as `NodeArchives.open` and
        `open_worker` do, RefusedError for an archive of another version than ordered.
        """
        async with self._changing:
            opened = {}
            try:
                for one in order.versions:
                    opened[one.version] = await self._version(one, order)
            except BaseException:
                self._let_go(opened, self._opened)
                raise
            former, self._opened = self._opened, opened
            self._switch(order)
            self._let_go(former, opened)

    def count(self) -> dict[str, Any]:
        """Return what was counted, in the form of `cluster.Replica`."""
        server, outcomes = self.server.counts, self.outcomes
        return {
            "versions": sorted(self._opened),
            "counts": {version: one.model.count() for version, one in self._opened.items()},
            "statuses": {str(status): count for status, count in (outcomes.statuses + server.statuses).items()},
            "refused": dict(outcomes.refused + server.refused),
            "canaries": {one.identity: one.tally.to_json() for one in self.models.canaries.values()},
        }

    async def _version(self, one: VersionOrder, order: ModelOrder) -> _Opened:
        """Return a version, that of the former order if it is the same."""
        former = self._opened.get(one.version)
        if former is not None and (former.order, former.threads) == (one, order.threads):
            return former
        numbers: dict[str, Any] = {"largest": one.largest, "queue": one.queue, "seconds": one.seconds}
        if former is not None and (former.order.digest, former.threads) == (one.digest, order.threads):
            model = Model(former.loaded, order.name, **numbers, turns=self._turns)
            model.statistics = former.model.statistics
            return replace(former, order=one, model=model)
        loop = asyncio.get_running_loop()
        kept, loaded = await loop.run_in_executor(self._loader, self._load, one, order)
        model = Model(loaded, order.name, **numbers, turns=self._turns)
        if model.version != one.version:
            kept.close()
            raise RefusedError(
                f"The archive {one.digest[:12]}… has version {model.version} of its model, and {one.version} was "
                "ordered. Deploy the archive of that version.",
                code="LX-RAY-115",
            )
        return _Opened(one, order.threads, kept, loaded, model)

    def _load(self, one: VersionOrder, order: ModelOrder) -> tuple[Kept, LoadedArchive]:
        os.environ[THREADS] = str(order.threads)
        kept = self._open(one.digest, order.keys)
        try:
            context = Context(kept.folder)
            return kept, LoadedArchive(open_worker(kept.archive, context), context, kept.archive)
        except BaseException:
            kept.close()
            raise

    def _switch(self, order: ModelOrder) -> None:
        """Make an order whose versions are open the one in force, between two requests."""
        models = self.models
        for one in self._opened.values():
            models.add(one.model)
        models.make_default(order.name, order.default)
        for version in set(models.all(order.name)) - set(self._opened):
            models.remove(order.name, version)
        running = models.canaries.get(order.name)
        if order.canary is None:
            models.canaries.pop(order.name, None)
        elif running is None or running.identity != order.canary[0]:
            models.begin_canary(*order.canary)
        self.bearer.change(None if order.tokens is None else Accepted.parse(order.tokens))
        self.server.limits = Limits(**order.limits)
        self.order = order

    def _let_go(self, some: dict[str, _Opened], others: dict[str, _Opened]) -> None:
        """Close archives of `some` that `others` do not have open. What waits for them is still answered."""
        held = {id(one.kept) for one in others.values()}
        for one in some.values():
            if id(one.kept) not in held:
                with suppress(OSError):
                    one.kept.close()
