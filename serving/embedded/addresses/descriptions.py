"""What the three addresses answer to `OPTIONS /` and `GET /api-description`: OpenAPI 3.0.1, as TorchServe does."""

from __future__ import annotations

from typing import Any, NamedTuple

from ....version import __version__

_ERROR = {
    "type": "object",
    "required": ["code", "type", "message"],
    "properties": {
        "code": {"type": "integer", "description": "The status."},
        "type": {"type": "string", "description": "The name of the error."},
        "message": {"type": "string", "description": "What happened."},
    },
}
_STATUSES = {
    200: "Done.",
    202: "Accepted; it goes on in the background.",
    400: "The parameters cannot be used.",
    404: "There is no such model or version.",
    409: "This version is registered already.",
    429: "Too many requests wait for this model.",
    500: "It failed.",
    503: "No worker can answer now.",
}
_MODEL = ("model_name", "path", True, "string", "The name of a model.")
_VERSION = ("model_version", "path", True, "string", "A version of it.")
_SYNCHRONOUS = ("synchronous", "query", False, "boolean", "Answer when it is done.")
_SCALED = (
    ("min_worker", "query", False, "integer", "Processes that answer the model; 0 for none."),
    ("max_worker", "query", False, "integer", "Not less than min_worker; as many run as that says."),
    _SYNCHRONOUS,
)


class _Operation(NamedTuple):
    method: str
    path: str
    id: str
    summary: str
    parameters: tuple[tuple[str, str, bool, str, str], ...] = ()
    statuses: tuple[int, ...] = (200, 500)


_ASKED = (200, 400, 404, 429, 500, 503)
_OWN = (
    _Operation("options", "/", "apiDescription", "This description."),
    _Operation("get", "/api-description", "api-description", "This description."),
)
_INFERENCE = (
    *_OWN,
    _Operation("get", "/ping", "ping", "Whether the server answers."),
    _Operation("post", "/predictions/{model_name}", "predictions", "Ask a model.", (_MODEL,), _ASKED),
    _Operation(
        "post",
        "/predictions/{model_name}/{model_version}",
        "version_predictions",
        "Ask one version of a model.",
        (_MODEL, _VERSION),
        _ASKED,
    ),
    _Operation("post", "/explanations/{model_name}", "explanations", "Explain an answer.", (_MODEL,), _ASKED),
    _Operation("post", "/v1/models/{model_name}:predict", "v1_predictions", "Ask a model.", (_MODEL,), _ASKED),
    _Operation("post", "/v2/models/{model_name}/infer", "v2_predictions", "Ask a model.", (_MODEL,), _ASKED),
)
_MANAGEMENT = (
    *_OWN,
    _Operation(
        "get",
        "/models",
        "listModels",
        "The registered models.",
        (
            ("limit", "query", False, "integer", "The most models in one answer."),
            ("next_page_token", "query", False, "string", "Where the last answer ended."),
        ),
    ),
    _Operation(
        "post",
        "/models",
        "registerModel",
        "Register an archive of the server's store.",
        (
            ("url", "query", True, "string", "The archive's file name."),
            ("model_name", "query", False, "string", "A name other than its own."),
            ("batch_size", "query", False, "integer", "The most requests of a batch."),
            ("response_timeout", "query", False, "integer", "Seconds that a request may wait."),
            ("initial_workers", "query", False, "integer", "Processes that answer it; 0 for none."),
            _SYNCHRONOUS,
        ),
        (200, 202, 400, 404, 409, 500),
    ),
    _Operation(
        "get",
        "/models/{model_name}",
        "describeModel",
        "The default version of a model, or with `/all` every one.",
        (_MODEL, ("customized", "query", False, "boolean", "Ask the model itself too.")),
        (200, 404, 500),
    ),
    _Operation(
        "put", "/models/{model_name}", "setAutoScale", "Scale it.", (_MODEL, *_SCALED), (200, 202, 400, 404, 500)
    ),
    _Operation(
        "delete", "/models/{model_name}", "unregisterModel", "Unregister its default version.", (_MODEL,), (200, 404)
    ),
    _Operation(
        "get",
        "/models/{model_name}/{model_version}",
        "version_describeModel",
        "A version of a model.",
        (_MODEL, _VERSION),
        (200, 404, 500),
    ),
    _Operation(
        "put",
        "/models/{model_name}/{model_version}",
        "version_setAutoScale",
        "Scale a version.",
        (_MODEL, _VERSION, *_SCALED),
        (200, 202, 400, 404, 500),
    ),
    _Operation(
        "delete",
        "/models/{model_name}/{model_version}",
        "version_unregisterModel",
        "Unregister a version.",
        (_MODEL, _VERSION),
        (200, 404),
    ),
    _Operation(
        "put",
        "/models/{model_name}/{model_version}/set-default",
        "setDefault",
        "Send it the requests that name no version.",
        (_MODEL, _VERSION),
        (200, 404),
    ),
)
_METRICS = (
    *_OWN,
    _Operation(
        "get",
        "/metrics",
        "metrics",
        "What was counted, for Prometheus.",
        (("name[]", "query", False, "string", "Only this metric; may be repeated."),),
    ),
)


def inference() -> dict[str, Any]:
    """Return the description of the inference address."""
    return _described(_INFERENCE)


def management() -> dict[str, Any]:
    """Return the description of the management address."""
    return _described(_MANAGEMENT)


def metrics() -> dict[str, Any]:
    """Return the description of the metrics address."""
    return _described(_METRICS)


def of_model(name: str) -> dict[str, Any]:
    """Return the answer to `OPTIONS /predictions/NAME`."""
    found = _described(tuple(one for one in _INFERENCE if one.path.endswith(("{model_name}", ":predict", "infer"))))
    paths = {path.replace("{model_name}", name): operation for path, operation in found["paths"].items()}
    return {**found, "info": {"title": f"The model {name}", "version": __version__}, "paths": paths}


def _described(operations: tuple[_Operation, ...]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = {
            "description": one.summary,
            "operationId": one.id,
            "parameters": [
                {"in": where, "name": name, "required": needed, "schema": {"type": kind}, "description": text}
                for name, where, needed, kind, text in one.parameters
            ],
            "responses": {str(status): _response(status) for status in one.statuses},
        }
    info = {"title": "lexport", "description": "TorchServe's HTTP interface, embedded", "version": __version__}
    return {"openapi": "3.0.1", "info": info, "paths": paths}


def _response(status: int) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": _ERROR}}} if status >= 400 else {}
    return {"description": _STATUSES[status], **content}
