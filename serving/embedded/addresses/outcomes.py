"""What becomes of requests that no model answers: each is counted, has a line in the access log, and a span."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ....handlers.request.refusals import Refusal
from ..http import Request, Response, refusals
from . import answers
from .answers import Failure

TRACE = ("traceparent", "tracestate")
"""The headers that name a caller's trace."""

Log = Callable[[str, int, int, str], None]
"""Notes a request: id, status, bytes of the answer, name of the error or ""."""
Trace = Callable[[Mapping[str, str], str, int, str, float], None]
"""Makes the span of a refused request: the headers that name the caller's trace, id, status, name of the error,
seconds since it was received."""


class Outcomes:
    """Of one process."""

    def __init__(self, log: Log | None = None, trace: Trace | None = None) -> None:
        """Tell `log` of each request, and `trace` of those that are refused."""
        self._log = log
        self._trace = trace
        self.statuses: Counter[int] = Counter()
        """Answers by status, without those of the HTTP server itself, which it counts."""
        self.refused: Counter[str] = Counter()
        """Calls over gRPC that were refused with a code, by it."""

    def told(self, response: Response, request: Request, error: str = "") -> Response:
        """Return an answer with the id of its request. `error` names what it is refused with."""
        self.statuses[response.status] += 1
        return self._noted(response, request, error)

    def failed(self, failure: Failure, request: Request) -> Response:
        """Return the answer of a failure."""
        return self.told(failure.response, request, failure.kind)

    def refuse(self, refusal: Refusal, request: Request) -> Response:
        """Return the answer of a request that the server or a model's queue has refused; the server counts it."""
        return self._noted(refusals.response(refusal), request, refusal.body["code"])

    def called(self, metadata: Mapping[str, str | bytes], status: int, error: str) -> None:
        """Note a call over gRPC that was refused; `status` is the HTTP status that stands for it."""
        self.statuses[status] += 1
        if error.startswith("LX-"):
            self.refused[error] += 1
        given = metadata.get(answers.REQUEST_ID)
        identity = answers.checked_id(given if isinstance(given, str) else None) or answers.new_id()
        if self._log is not None:
            self._log(identity, status, 0, error)
        if self._trace is not None:
            named = {name: value for name in TRACE if isinstance(value := metadata.get(name), str)}
            self._trace(named, identity, status, error, 0.0)

    def _noted(self, response: Response, request: Request, error: str) -> Response:
        identity = answers.id_of(request)
        if self._log is not None:
            self._log(identity, response.status, len(response.body), error)
        if self._trace is not None and error:
            age = asyncio.get_running_loop().time() - request.arrived if request.arrived else 0.0
            self._trace(headers(request, TRACE), identity, response.status, error, age)
        return answers.with_id(response, identity)


def headers(request: Request, names: Sequence[str]) -> dict[str, str]:
    """Return those of the headers that a request has."""
    return {name: value for name in names if (value := request.header(name)) is not None}
