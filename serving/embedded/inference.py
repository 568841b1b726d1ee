"""The inference address: TorchServe's paths, answered by the models of this process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from . import answers
from .answers import Failure, segments
from .forms import parameters_of
from .http import Request, Response
from .models import Models, Question

_READ = ("content-type", "content-encoding")  # the headers that a handler reads
_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
_EXPLAINED = {"explain": "True"}


class Inference:
    """Answers what TorchServe's inference address answers."""

    def __init__(self, models: Models, token: str | None) -> None:
        """Serve `models` to those who bear the `token`; None: to everybody who can connect."""
        self._models = models
        self._bearer = None if token is None else f"Bearer {token}".encode()

    def admit(self, request: Request) -> Response | None:
        """Refuse a request without the token before its body is read."""
        return None if self._is_allowed(request) else answers.wrong_token().response

    def handle(self, request: Request) -> Response | asyncio.Future[Response]:
        """Answer a request; a model's answer comes later."""
        try:
            if not self._is_allowed(request):
                raise answers.wrong_token()
            return self._route(request)
        except Failure as failure:
            return failure.response

    def _is_allowed(self, request: Request) -> bool:
        return self._bearer is None or compare_digest(request.fields.get(b"authorization", b""), self._bearer)

    def _route(self, request: Request) -> Response | asyncio.Future[Response]:
        match segments(request):
            case ["predictions", name, *rest] if name:
                return self._ask(request, name, rest[0] if rest and rest[0] else None)
            case ["explanations", name, *rest] if name:
                return self._ask(request, name, rest[0] if rest and rest[0] else None, _EXPLAINED)
            case ["models", name, "invoke"] if name:
                return self._ask(request, name, None, more=dict(parse_qsl(request.query, keep_blank_values=True)))
            case ["ping"]:
                return answers.answer({"status": "Healthy"})
            case [""]:
                raise answers.wrong_method()
            case _:
                raise answers.not_found()

    def _ask(
        self,
        request: Request,
        name: str,
        version: str | None,
        further: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> asyncio.Future[Response]:
        headers = {name: value for name in _READ if (value := request.header(name)) is not None}
        parameters = parameters_of(request.body, headers.get("content-type", ""))
        question = Question({**parameters, **(more or {})}, {**headers, **(further or {})}, _id_of(request))
        return self._models.find(name, version).ask(question)


def _id_of(request: Request) -> str:
    """Return the id that the client gave its request, or a new one."""
    given = request.header(answers.REQUEST_ID)
    return given if given is not None and _ID.fullmatch(given) else str(uuid4())
