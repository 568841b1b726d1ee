"""The replicas of a model, as Ray Serve runs them."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import ray
from ray import serve

from ... import version
from ...errors import SystemProblem
from ..embedded.http import Request
from . import archives, ingress
from .answering import Answering
from .asgi import Asgi, handle, headers_of
from .front import Front, Told
from .node_archives import NodeArchives, cache_folder
from .orders import ModelOrder
from .scaling import BUSY, Busy

TELL = 1.0
"""Seconds between two reports of a replica."""
WAIT = 60.0
"""Seconds that a message to the actor with the archives may take."""

_TRIES = 3
_handles: dict[str, Any] = {}  # of models, by name

log = logging.getLogger("lexport")


def identity(order: Mapping[str, Any]) -> str:
    """Return what names an order: two that say the same have the same."""
    return hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()[:16]


def packages() -> dict[str, str]:
    """Return the versions of what must be the same on every node."""
    return {"lexport": version.__version__, "onnxruntime": importlib.metadata.version("onnxruntime")}


def actor() -> Any:
    """Return the actor with the archives, started if there is none."""
    return (
        ray.remote(archives.Archives)
        .options(
            name=archives.NAME,
            namespace=archives.NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=-1,
            num_cpus=0,
        )
        .remote()
    )


def fetch(digest: str) -> Iterator[bytes] | None:
    """Return an archive in pieces from Ray's object store; None if it was lost or never there."""
    keeper = actor()
    pieces = ray.get(keeper.find.remote(digest), timeout=WAIT)
    if pieces is None:
        return None
    try:
        found: list[bytes] = ray.get(pieces, timeout=WAIT)
        return iter(found)
    except ray.exceptions.RayError:
        ray.get(keeper.forget.remote(digest), timeout=WAIT)
        return None


def bring(digest: str, content: bytes) -> None:
    """Put an archive into Ray's object store, unless it is there. Raises SystemProblem if it does not stay there."""
    keeper = actor()
    pieces = [content[start : start + archives.PIECE] for start in range(0, len(content), archives.PIECE)]
    for _ in range(_TRIES):
        if not ray.get(keeper.begin.remote(digest), timeout=WAIT):
            return
        if all(
            ray.get(keeper.add.remote(digest, number, piece, len(pieces)), timeout=WAIT)
            for number, piece in enumerate(pieces)
        ):
            return
    raise SystemProblem(
        f"The archive {digest[:12]}… does not stay in the cluster: what keeps it was ended {_TRIES} times while it "
        "was brought. Look at `ray status` and at the cluster's memory, and deploy it again.",
        code="LX-RAY-117",
    )


@serve.ingress()
class Replica:
    """All versions of one model. Ray gives it orders by `reconfigure`."""

    def __init__(self, needed: Mapping[str, str]) -> None:
        """Raise SystemProblem if this node has other versions of packages than `needed`."""
        here = packages()
        if here != needed:
            raise SystemProblem(
                f"This node has {_listed(here)}, and the server that deploys has {_listed(needed)}. Install the same "
                "on every node.",
                code="LX-RAY-116",
            )
        self._archives = NodeArchives(cache_folder(), fetch)
        self._archives.sweep()
        self._answering = Answering(self._archives.open)
        ingress.install(self._answering)
        self._busy = Busy()
        self._keeper = actor()
        context = serve.get_replica_context()
        self._told: dict[str, Any] = {
            "replica": context.replica_id.unique_id,
            "node": ray.get_runtime_context().get_node_id(),
            "pid": os.getpid(),
            "order": "",
            "failed": "",
            "reason": "",
        }
        self._telling = asyncio.get_running_loop().create_task(self._tell_on())

    def __serve_build_asgi_app__(self) -> Asgi:
        """Return what answers requests that come through Ray's own servers."""
        return Asgi(self._answering)

    async def reconfigure(self, order: dict[str, Any]) -> None:
        """Take an order.

        One that cannot be taken leaves the former one in force and is told; only without a former one it is raised.
        """
        told = self._told
        told["model"] = order["name"]
        try:
            await self._answering.take(ModelOrder.parse(order))
            told |= {"order": identity(order), "failed": "", "reason": ""}
        except Exception as error:
            told |= {"failed": identity(order), "reason": f"{type(error).__name__}: {error}"}
            if self._answering.order is None:
                raise
            log.error("An order could not be taken: %s", error)
        await self._tell()

    async def call(
        self, method: str, target: str, fields: dict[bytes, bytes], body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Answer a request that came to another address than the model's own: status, headers, body."""
        request = Request(method, target, fields)
        request.body = body
        response = await handle(self._answering, request)
        return response.status, headers_of(response), response.body

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what Ray's autoscaler goes by."""
        return {BUSY: self._busy.since()}

    async def _tell_on(self) -> None:
        while True:
            with suppress(Exception):  # it is told again in a second
                await self._tell()
            await asyncio.sleep(TELL)

    async def _tell(self) -> None:
        order = self._answering.order
        digests = [] if order is None else [one.digest for one in order.versions]
        told = {**self._told, **self._answering.count()}
        loop = asyncio.get_running_loop()
        lacking = await self._keeper.tell.remote(told["replica"], told, digests)
        for digest in lacking:  # the actor was restarted, and this node has the file
            content = await loop.run_in_executor(None, self._archives.content, digest)
            if content is not None:
                await loop.run_in_executor(None, partial(bring, digest, content))


@serve.ingress()
class FrontReplica:
    """What `front` describes, as Ray Serve runs it."""

    def __init__(self) -> None:
        """Know no model yet."""
        self._front = Front(_ask)
        ingress.install(self._front)

    def __serve_build_asgi_app__(self) -> Asgi:
        """Return what answers requests."""
        return Asgi(self._front)

    async def reconfigure(self, order: dict[str, Any]) -> None:
        """Take names of models, tokens and limits."""
        self._front.take(order["models"], order["tokens"], order["limits"])


async def _ask(name: str, method: str, target: str, fields: dict[bytes, bytes], body: bytes) -> Told:
    """Have a replica of a model answer."""
    if name not in _handles:
        _handles[name] = await asyncio.get_running_loop().run_in_executor(
            None, serve.get_app_handle, application(name)
        )
    told: Told = await _handles[name].call.remote(method, target, fields, body)
    return told


def application(name: str) -> str:
    """Return what Ray Serve calls the application of a model."""
    return f"lexport-{name}"


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
