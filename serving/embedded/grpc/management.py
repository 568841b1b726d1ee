"""The gRPC management address: each call is the request that the HTTP management address answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from ..addresses import answers
from ..addresses.answers import bad_request
from ..addresses.management import Management
from ..http import Request, Response
from .inference import OPEN_INFERENCE, index_of
from .messages import message
from .refused import of_refusal
from .server import Call, Server

TORCHSERVE = "org.pytorch.serve.grpc.management.ManagementAPIsService"
_ANSWER = "org.pytorch.serve.grpc.management.ManagementResponse"


def add_to(server: Server, management: Management) -> None:
    """Have `server` answer what `management` answers."""
    calls = _Calls(management)
    server.add(
        TORCHSERVE,
        {
            "DescribeModel": calls.by("GET", _model, ("customized",)),
            "ListModels": calls.by("GET", lambda _: ["models"], ("limit", "next_page_token")),
            "RegisterModel": calls.by(
                "POST",
                lambda _: ["models"],
                (
                    *("url", "model_name", "runtime", "handler", "batch_size", "max_batch_delay"),
                    *("response_timeout", "startup_timeout", "initial_workers", "synchronous"),
                ),
            ),
            "ScaleWorker": calls.by(
                "PUT", _model, ("min_worker", "max_worker", "number_gpu", "timeout", "synchronous")
            ),
            "SetDefault": calls.by("PUT", lambda request: [*_version(request), "set-default"], ()),
            "UnregisterModel": calls.by("DELETE", _model, ()),
        },
    )
    server.add(
        OPEN_INFERENCE,
        {
            "RepositoryIndex": calls.index,
            "RepositoryModelLoad": calls.change("load", "inference.RepositoryModelLoadResponse"),
            "RepositoryModelUnload": calls.change("unload", "inference.RepositoryModelUnloadResponse"),
        },
    )


def _model(request: Any) -> list[str]:
    if not request.model_name:
        raise bad_request("Parameter model_name is required.")
    return ["models", request.model_name, *([request.model_version] if request.model_version else [])]


def _version(request: Any) -> list[str]:
    if not request.model_version:
        raise bad_request("Parameter model_version is required.")
    return _model(request)


class _Calls:
    """See `server.Call`."""

    def __init__(self, management: Management) -> None:
        self._management = management

    def by(self, method: str, segments: Any, parameters: Iterable[str]) -> Call:
        """Return a call of TorchServe's; a parameter that is 0 or "" is not given."""

        async def call(request: Any, context: Any) -> Any:
            query = {name: getattr(request, name) for name in parameters}
            given = {name: str(value).lower() if type(value) is bool else value for name, value in query.items()}
            found = await self._ask(context, method, segments(request), {k: v for k, v in given.items() if v})
            text = found.body.decode().rstrip("\n")
            value = json.loads(text)
            return message(_ANSWER)(msg=text if isinstance(value, list) else value.get("status", text))

        return call

    def change(self, what: str, answer: str) -> Call:
        """Return a call that loads or unloads a model."""

        async def call(request: Any, context: Any) -> Any:
            await self._ask(context, "POST", ["v2", "repository", "models", request.model_name, what])
            return message(answer)()

        return call

    async def index(self, request: Any, context: Any) -> Any:
        return index_of(await self._ask(context, "POST", ["v2", "repository", "index"]), request)

    async def _ask(
        self, context: Any, method: str, segments: Iterable[str], query: dict[str, Any] | None = None
    ) -> Response:
        """Ask the HTTP address; the call's token has been checked.

        Raises Refused with the reason where that refuses.
        """
        target = "".join(f"/{quote(segment, safe='')}" for segment in segments)
        identity = dict(context.invocation_metadata() or ()).get(answers.REQUEST_ID)
        fields = {} if identity is None else {answers.REQUEST_ID.encode(): identity.encode()}
        response = await self._management.answer(Request(method, f"{target}?{urlencode(query or {})}", fields))
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise of_refusal(response.status, json.loads(response.body), noted=True)
        return response
