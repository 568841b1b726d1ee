"""Probes of liveness and readiness, which are answered without a token."""

from __future__ import annotations

from collections.abc import Callable

from ....storage.atomic import json_bytes
from ..http import Request, Response
from .pool import Pool
from .registry import Registry


class Probes:
    """Answers what asks whether a server lives and is ready."""

    def __init__(self, pool: Pool, registry: Registry, is_ending: Callable[[], bool]) -> None:
        """Judge the processes of a `pool` and the models of a `registry`."""
        self._pool = pool
        self._registry = registry
        self._is_ending = is_ending

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        reasons = {"/livez": self._why_dead, "/readyz": self._why_unready}
        check = reasons.get(request.path)
        if check is None:
            return Response(404, b'{"status": "nothing is at this path"}')
        reason = check()
        return Response(503 if reason else 200, json_bytes({"status": reason or "ok"}))

    def _why_dead(self) -> str:
        loops = all(worker.loops and not worker.ready for worker in self._pool)
        return "every process dies again and again" if len(self._pool) and loops and not self._is_ending() else ""

    def _why_unready(self) -> str:
        if self._is_ending():
            return "the server is stopping"
        if not self._pool.ready:
            return "no process is ready"
        idle = sum(not served.workers for served in self._registry.served)
        return f"{idle} of {len(self._registry.served)} models have no worker that is ready" if idle else ""
