"""The gRPC inference address: TorchServe's service and the Open Inference Protocol's, answered by this process."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from google.protobuf import json_format

from ..addresses import answers
from ..addresses.answers import Failure, bad_request
from ..addresses.inference import Inference
from ..addresses.outcomes import TRACE
from ..http import Response
from ..model import Question
from ..models import Models
from .messages import message
from .refused import Refused, of_refusal
from .server import Server
from .tensors import body_of, response_of

TORCHSERVE = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
OPEN_INFERENCE = "inference.GRPCInferenceService"
TORCHSERVES_OWN = "org.pytorch.serve.grpc.openinference.GRPCInferenceService"
"""The name under which TorchServe has the protocol; its messages are the same on the wire."""
_JSON = {"content-type": "application/json"}
_FORM: dict[str, str] = {}
_TOLD = (answers.REQUEST_ID, "lexport-version", "lexport-variant")
# Of the loop, in some 30 µs: grpcio takes one call in a turn, and each needs several. With 16 and 64 calls in flight
# batches are of 8 and 20 instead of one, and a call takes the server 0.6 of its time.
_TURNS = 10
_LINE = re.compile(rb"([^:\r\n]+): ([^\r\n]*)\r\n")


def add_to(server: Server, inference: Inference, models: Models) -> None:
    """Have `server` answer for `models`, and with what `inference` tells about them."""
    calls = _Calls(inference, models)
    server.add(TORCHSERVE, {"Ping": calls.ping, "Predictions": calls.predict, "StreamPredictions": calls.predict})
    open_inference = {
        "ServerLive": calls.tell("ServerLiveResponse", "health", "live"),
        "ServerReady": calls.tell("ServerReadyResponse", "health", "ready"),
        "ServerMetadata": calls.tell("ServerMetadataResponse"),
        "RepositoryIndex": calls.index,
        "ModelReady": calls.is_ready,
        "ModelMetadata": calls.describe,
        "ModelInfer": calls.infer,
    }
    server.add(OPEN_INFERENCE, open_inference)
    server.add(OPEN_INFERENCE, open_inference, called=TORCHSERVES_OWN)


class _Calls:
    """See `server.Call`."""

    def __init__(self, inference: Inference, models: Models) -> None:
        self._inference = inference
        self._models = models

    async def ping(self, request: Any, context: Any) -> Any:
        health = answers.answer({"status": "Healthy"}).body.decode().rstrip("\n")
        return message("org.pytorch.serve.grpc.inference.TorchServeHealthResponse")(health=health)

    async def predict(self, request: Any, context: Any) -> Any:
        """Answer with the body of the HTTP answer, a model's refusal too, as TorchServe does."""
        if not request.model_name:
            missing = bad_request("Parameter model_name is required.")
            raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, str(missing), error=missing.kind)
        try:
            response = await self._ask(request.model_name, request.model_version, dict(request.input), _FORM, context)
        except Failure as failure:
            if failure.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, str(failure), error=failure.kind) from None
        made = message("org.pytorch.serve.grpc.inference.PredictionResponse")(prediction=response.body)
        if request.HasField("sequence_id"):
            made.sequence_id = request.sequence_id
        return made

    async def infer(self, request: Any, context: Any) -> Any:
        parameters = {"body": body_of(request)}
        response = await self._ask(request.model_name, request.model_version, parameters, _JSON, context)
        if response.status != HTTPStatus.OK:
            raise of_refusal(response.status, json.loads(response.body), noted=True)
        return response_of(response.body, raw=bool(request.raw_input_contents))

    async def index(self, request: Any, context: Any) -> Any:
        return index_of(self._inference.tell(["repository", "index"]), request)

    async def is_ready(self, request: Any, context: Any) -> Any:
        try:
            self._models.ask(request.name, request.version or None)
        except Failure:
            return message("inference.ModelReadyResponse")(ready=False)
        return message("inference.ModelReadyResponse")(ready=True)

    async def describe(self, request: Any, context: Any) -> Any:
        segments = ["models", request.name, *(("versions", request.version) if request.version else ())]
        return _parsed(self._inference.tell(segments), "ModelMetadataResponse")

    def tell(self, answer: str, *segments: str) -> Any:
        async def told(request: Any, context: Any) -> Any:
            return _parsed(self._inference.tell(segments), answer)

        return told

    async def _ask(
        self, name: str, version: str, parameters: Mapping[str, Any], headers: Mapping[str, str], context: Any
    ) -> Response:
        """Ask a model. The answer's headers are metadata behind it."""
        given = dict(context.invocation_metadata() or ())
        identity = answers.checked_id(given.get(answers.REQUEST_ID)) or answers.new_id()
        trace = {name: given[name] for name in TRACE if name in given}
        question = Question(parameters, headers, identity, time.perf_counter(), trace)
        response = await self._models.answer(name, version or None, question, partial(_metadata, given), turns=_TURNS)
        lines = {name.decode(): value.decode() for name, value in _LINE.findall(response.fields.lines)}
        context.set_trailing_metadata([(name, lines[name]) for name in _TOLD if name in lines])
        return response


def _metadata(given: Mapping[str, str | bytes], name: str) -> str | None:
    value = given.get(name)
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _parsed(response: Response, answer: str) -> Any:
    """Return the JSON of an answer as a message."""
    return json_format.ParseDict(json.loads(response.body), message(f"inference.{answer}")())


def index_of(response: Response, request: Any) -> Any:
    """Return a repository's index, of what is ready if the request says so."""
    models = [one for one in json.loads(response.body) if one["state"] == "READY" or not request.ready]
    return json_format.ParseDict({"models": models}, message("inference.RepositoryIndexResponse")())
