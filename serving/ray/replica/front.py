"""Everything but a model's own address: `/ping`, `/explanations/NAME`, `/v2/…`, and names that no model has.

Ray Serve routes by the beginning of a path, and `/predictions/NAME` alone leads straight to a model's replicas. One
replica of this application has the rest, and hands on what concerns a model.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from ...embedded.addresses import answers
from ...embedded.addresses.inference import Inference
from ...embedded.addresses.outcomes import Outcomes
from ...embedded.http import Fields, Limits, Request, Response, Server
from ...embedded.models import Models
from ...tokens import Accepted
from .tokens import HashedBearer

log = logging.getLogger("lexport")

Told = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body of an answer."""
Ask = Callable[[str, str, str, dict[bytes, bytes], bytes], Awaitable[Told]]
"""Has a model answer: name, method, target, headers, body."""


class Front(Inference):
    """Answers like `Inference`, by models that are elsewhere."""

    def __init__(self, ask: Ask) -> None:
        """Know no model yet; `ask` asks one."""
        self.bearer = HashedBearer(None)
        self.outcomes = Outcomes()
        super().__init__(Models(), self.bearer, self.outcomes)
        self.server = Server(self.handle, admit=self.admit, refuse=self.outcomes.refuse)
        self._ask_model = ask
        self._names: frozenset[str] = frozenset()

    @property
    def inference(self) -> Inference:
        """What answers, as `asgi` asks for it."""
        return self

    def take(self, names: Iterable[str], tokens: Mapping[str, Any] | None, limits: Mapping[str, int]) -> None:
        """Know these models, and expect one of these tokens, from now on."""
        self._names = frozenset(names)
        self.bearer.change(None if tokens is None else Accepted.parse(tokens))
        self.server.limits = Limits(**limits)

    def handle(self, request: Request) -> Any:
        """Answer a request."""
        refused = self.admit(request)
        if refused is not None:
            return refused
        match answers.segments(request):
            case ["predictions" | "explanations", name, *_] | ["models", name, "invoke"] | [name, "predict"]:
                found = name
            case ["v1", "models", named]:
                found = named.rpartition(":")[0]
            case ["v2", "models", name, *_]:
                found = name
            case ["invocations"] if len(self._names) == 1:
                [found] = self._names
                request.target = f"/predictions/{found}"
            case ["v2", "health", "ready"]:
                return self._is_ready(request)
            case ["v2", "repository", "index"]:
                return self._index(request)
            case _:
                found = ""
        if found not in self._names:
            return super().handle(request)
        return self._through(found, request)

    async def _through(self, name: str, request: Request) -> Response:
        try:
            told = await self._ask_model(name, request.method, request.target, request.fields, request.body)
        except Exception as error:  # Ray's, of replicas that have died or are gone
            log.warning("No replica of %s answers: %s", name, error)
            return self.outcomes.failed(answers.no_worker(name), request)
        return response_of(told)

    async def _each(self, request: Request) -> list[Told]:
        """Return what each model says to a request."""
        return [
            await self._ask_model(name, request.method, request.target, request.fields, request.body)
            for name in sorted(self._names)
        ]

    async def _is_ready(self, request: Request) -> Response:
        ready = all(status == HTTPStatus.OK for status, _, _ in await self._each(request))
        said = answers.answer({"ready": ready}, HTTPStatus.OK if ready else HTTPStatus.BAD_REQUEST)
        return self.outcomes.told(said, request)

    async def _index(self, request: Request) -> Response:
        models = [one for _, _, body in await self._each(request) for one in json.loads(body)]
        return self.outcomes.told(answers.answer(models), request)


def response_of(told: Told) -> Response:
    """Return an answer that another process has made."""
    status, headers, body = told
    fields = Fields.__new__(Fields)  # they were checked where they were made
    fields.lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return Response(status, body, fields)
