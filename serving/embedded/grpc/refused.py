"""How refusals are told over gRPC."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import grpc
import grpc.aio

from ....handlers.request.refusals import Refusal
from ..addresses.answers import Failure

log = logging.getLogger("lexport")

_CODES = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.REQUEST_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    HTTPStatus.CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNPROCESSABLE_ENTITY: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}
"""The gRPC status of each HTTP status that is refused with; INTERNAL of any other."""
_LATER = (("grpc-retry-pushback-ms", "1000"),)
_LONGEST_DETAILS = 1_000  # characters; they are sent as a header, and clients take 8 KiB of those
_NO_ROOM = {"LX-HTTP-114", "LX-HTTP-134"}  # codes that are RESOURCE_EXHAUSTED, as a full queue is


class Refused(Exception):
    """A request that is refused with a gRPC status of its own."""

    def __init__(
        self, status: int, details: str, code: grpc.StatusCode | None = None, *, error: str = "", noted: bool = False
    ) -> None:
        """Name the HTTP status that stands for it; `code` None: the gRPC status that goes with it.

        `error` is its code or kind. `noted`: whether it has been counted and logged.
        """
        super().__init__(details if len(details) <= _LONGEST_DETAILS else details[:_LONGEST_DETAILS] + "…")
        self.status = status
        self.code = code or _CODES.get(HTTPStatus(status), grpc.StatusCode.INTERNAL)
        self.error = error
        self.noted = noted

    async def tell(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """End a call with it."""
        later = self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
        await context.abort(self.code, str(self), _LATER if later else ())


def of_refusal(status: int, body: Mapping[str, Any], *, noted: bool = False) -> Refused:
    """Return what refuses with the body of a refusal, or of a server's failure.

    `noted`: whether it has been counted and logged.
    """
    if "message" in body:
        return Refused(status, body["message"], error=body["type"], noted=noted)
    code = body["code"]
    details = f"{body['error']} Expected: {body['expected']} ({code})"
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED if code in _NO_ROOM else None
    return Refused(status, details, exhausted, error=code, noted=noted)


def refused_by(error: Exception) -> Refused:
    """Return what a call is ended with that has raised an error."""
    match error:
        case Refused():
            return error
        case Failure():
            return Refused(error.status, str(error), error=error.kind)
        case Refusal():
            return of_refusal(error.status, error.body)
        case _:
            log.error("A gRPC request failed.", exc_info=error)
            name = type(error).__name__
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"The server failed: {name}.", error=name)
