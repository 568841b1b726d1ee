"""Answers in TorchServe's own form: the headers that all have, and errors as {"code", "type", "message"}."""

from __future__ import annotations

import itertools
import json
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from ..http import Fields, Request, Response

_JSON = ("content-type", "application/json")
_NEVER_KEPT = (
    ("pragma", "no-cache"),
    ("cache-control", "no-cache; no-store, must-revalidate, private"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
)
REQUEST_ID = "x-request-id"
# Ids look like UUIDs: the random part is drawn once for a process, the last one counts. A UUID for each request took
# a tenth of its time.
_PROCESS = str(uuid4())[:-13]
_NUMBERS = itertools.count()
_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


def fields(*more: tuple[str, str]) -> Fields:
    """Return the header lines of a JSON answer that no cache keeps, with `more`."""
    return Fields(_JSON, *more, *_NEVER_KEPT)


def fields_of(content_type: str) -> Fields:
    """Return the header lines of another answer that no cache keeps."""
    return Fields(("content-type", content_type), *_NEVER_KEPT)


PLAIN = fields()


def answer(value: Any, status: int = HTTPStatus.OK) -> Response:
    """Return a JSON value as TorchServe writes it."""
    return Response(status, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(), PLAIN)


class Failure(Exception):
    """What a request to the server, not to a model, is refused with."""

    def __init__(self, status: HTTPStatus, kind: str, message: str) -> None:
        """Name a TorchServe exception as `kind`."""
        super().__init__(message)
        self.status = status
        self.kind = kind

    @property
    def response(self) -> Response:
        """The answer."""
        value = {"code": int(self.status), "type": self.kind, "message": str(self)}
        return answer(value, self.status)


def not_found() -> Failure:
    """Return the refusal of a path that there is not."""
    return Failure(
        HTTPStatus.NOT_FOUND,
        "ResourceNotFoundException",
        "Requested resource is not found, please refer to API document.",
    )


def wrong_method() -> Failure:
    """Return the refusal of a method that a path does not have."""
    return Failure(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "MethodNotAllowedException",
        "Requested method is not allowed, please refer to API document.",
    )


def no_model(name: str) -> Failure:
    """Return the refusal of a model that is not here."""
    return Failure(HTTPStatus.NOT_FOUND, "ModelNotFoundException", f"Model not found: {name}")


def not_found_at(message: str) -> Failure:
    """Return the refusal of an archive that is not in the store."""
    return Failure(HTTPStatus.NOT_FOUND, "ModelNotFoundException", message)


def no_version(name: str, version: str) -> Failure:
    """Return the refusal of a version that is not here."""
    return Failure(
        HTTPStatus.NOT_FOUND,
        "ModelVersionNotFoundException",
        f"Model version: {version} does not exist for model: {name}",
    )


def wrong_token() -> Failure:
    """Return the refusal of a request without the right token."""
    return Failure(
        HTTPStatus.BAD_REQUEST,
        "InvalidKeyException",
        "Token Authorization failed. Token either incorrect, expired, or not provided correctly",
    )


def no_worker(name: str) -> Failure:
    """Return the refusal of a model that was scaled to 0."""
    return Failure(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "ServiceUnavailableException",
        f'Model "{name}" has no worker to serve inference request. Please use scale workers API to add workers.',
    )


def no_default(name: str, version: str) -> Failure:
    """Return the refusal of a default version that is not here."""
    return Failure(
        HTTPStatus.NOT_FOUND,
        "ModelVersionNotFoundException",
        f"Model version {version} does not exist for model {name}",
    )


def is_default(name: str, version: str) -> Failure:
    """Return the refusal to remove the default one of several versions."""
    return Failure(
        HTTPStatus.FORBIDDEN,
        "InvalidModelVersionException",
        f"Cannot remove default version {version} for model {name}",
    )


def conflict(message: str) -> Failure:
    """Return the refusal of what is there already."""
    return Failure(HTTPStatus.CONFLICT, "ConflictStatusException", message)


def failed(message: str) -> Failure:
    """Return the answer where an operation did not succeed."""
    return Failure(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalServerException", message)


def bad_request(message: str) -> Failure:
    """Return the refusal of parameters that cannot be."""
    return Failure(HTTPStatus.BAD_REQUEST, "BadRequestException", message)


def given_id(request: Request) -> str | None:
    """Return the id that the client gave its request, None where it gave none that can be one."""
    return checked_id(request.header(REQUEST_ID))


def checked_id(given: str | None) -> str | None:
    """Return an id that a client gave, None where it gave none or what cannot be one."""
    return given if given is not None and _ID.fullmatch(given) else None


def new_id() -> str:
    """Return an id that no other request has."""
    return f"{_PROCESS}-{next(_NUMBERS):012x}"


def id_of(request: Request) -> str:
    """Return the id that the client gave its request, or a new one."""
    return given_id(request) or new_id()


def id_line(identity: str) -> bytes:
    """Return the header line of an id that `id_of` has returned."""
    return b"x-request-id: %b\r\n" % identity.encode()


def with_id(response: Response, identity: str) -> Response:
    """Return an answer with an id that `id_of` has returned."""
    return Response(response.status, response.body, response.fields.with_line(id_line(identity)))


def identified(response: Response, request: Request) -> Response:
    """Return an answer with the id of its request."""
    return with_id(response, id_of(request))


def is_open(request: Request) -> bool:
    """Return whether a request needs no token: it is about the address itself, which describes what it answers."""
    return request.path in ("/", "*", "/api-description")


def segments(request: Request) -> list[str]:
    """Return the segments of a request's path, decoded first, without empty ones at the end: as TorchServe does."""
    path = request.path
    if "%" in path:
        path = unquote(path, errors="replace")
    return path.rstrip("/").split("/")[1:]
