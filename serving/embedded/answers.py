"""Answers in TorchServe's own form: the headers that all have, and errors as {"code", "type", "message"}."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from .http import Fields, Request, Response

_JSON = ("content-type", "application/json")
_NEVER_KEPT = (
    ("pragma", "no-cache"),
    ("cache-control", "no-cache; no-store, must-revalidate, private"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
)
REQUEST_ID = "x-request-id"


def fields(*more: tuple[str, str]) -> Fields:
    """Return the header lines of a JSON answer that no cache keeps, with `more`."""
    return Fields(_JSON, *more, *_NEVER_KEPT)


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


def segments(request: Request) -> list[str]:
    """Return the segments of a request's path, decoded."""
    path = request.path
    return [unquote(part) if "%" in part else part for part in path.split("/")[1:]]
