"""What the proxy does with a request: it passes it on, with a version in its path where the canary's rule says so."""

from __future__ import annotations

import asyncio
import time

from ....handlers.request.refusals import Refusal
from ...canary.counts import Side, Tally
from ...canary.rule import Chooser, Rule
from ...embedded.addresses.answers import segments
from ...embedded.http import Request, Response
from .upstream import Upstream


class Proxy:
    """Of one canary."""

    def __init__(self, upstream: Upstream, rule: Rule, name: str, version: str) -> None:
        """Pass requests on to `upstream`; `name` and `version` are the rule's, percent-encoded."""
        self.tally = Tally()
        self._upstream = upstream
        self._rule = rule
        self._chooser = Chooser(rule)
        self._encoded = name, version
        self._copies: set[asyncio.Task[None]] = set()

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        target = self._canarys(request)
        if target is None:
            return await self._upstream.ask(request, request.target)
        chosen = self._chooser.is_chosen(request.header(self._rule.header))
        if chosen and not self._rule.mirror:
            return await self._counted(request, target, self.tally.canary)
        response = await self._counted(request, request.target, self.tally.stable)
        if chosen:
            copy = asyncio.ensure_future(self._copy(request, target, response))
            self._copies.add(copy)
            copy.add_done_callback(self._copies.discard)
        return response

    def close(self) -> None:
        """Give up copies that have no answer yet."""
        for copy in self._copies:
            copy.cancel()

    def _canarys(self, request: Request) -> str | None:
        """Return where the canary answers a request; None for what names a version, another model or no model."""
        name, version = self._encoded
        query = f"?{request.query}" if request.query else ""
        match segments(request):
            case ["predictions" | "explanations" as what, named, *rest] if named == self._rule.name and not any(rest):
                return f"/{what}/{name}/{version}{query}"
            # TorchServe takes no version in the paths of these protocols; its handler gets the same body.
            case ["v2", "models", named, "infer"] if named == self._rule.name:
                return f"/predictions/{name}/{version}{query}"
            case ["v1", "models", asked] if asked == f"{self._rule.name}:predict":
                return f"/predictions/{name}/{version}{query}"
            case ["v1", "models", asked] if asked == f"{self._rule.name}:explain":
                return f"/explanations/{name}/{version}{query}"
        return None

    async def _counted(self, request: Request, target: str, side: Side) -> Response:
        began = time.perf_counter()
        try:
            response = await self._upstream.ask(request, target)
        except Refusal as refusal:
            side.note(refusal.status, 0.0)
            raise
        side.note(response.status, time.perf_counter() - began)
        return response

    async def _copy(self, request: Request, target: str, answered: Response) -> None:
        """Ask the canary what the default has answered; whoever asked does not wait for it."""
        try:
            response = await self._counted(request, target, self.tally.canary)
        except Refusal:  # counted; nobody else is concerned
            return
        if response.status < 400 > answered.status:
            self.tally.compare(answered.body, response.body)
