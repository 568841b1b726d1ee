"""Probes of liveness and readiness, which are answered without a token."""

from __future__ import annotations

from collections.abc import Callable

from ....storage.atomic import json_bytes
from ...embedded.http import Request, Response
from ...embedded.processes.registry import Registry
from .watching import Watching


class Probes:
    """Answers what asks whether a server lives and is ready."""

    def __init__(self, registry: Registry, watching: Watching, why_unready: Callable[[], str]) -> None:
        """Judge the replicas of the models of a `registry`, unless `why_unready` has a reason of its own."""
        self._registry = registry
        self._watching = watching
        self._why_unready = why_unready

    async def answer(self, request: Request) -> Response:
        """Answer a request; the server lives while it answers."""
        if request.path not in ("/livez", "/readyz"):
            return Response(404, b'{"status": "nothing is at this path"}')
        reason = self._reason() if request.path == "/readyz" else ""
        return Response(503 if reason else 200, json_bytes({"status": reason or "ok"}))

    def _reason(self) -> str:
        if reason := self._why_unready():
            return reason
        defaults = self._registry.defaults
        idle = sum(
            not any(worker.ready for worker in self._watching.workers(name, version))
            for name, version in defaults.items()
        )
        return f"{idle} of {len(defaults)} models have no replica that is ready" if idle else ""
