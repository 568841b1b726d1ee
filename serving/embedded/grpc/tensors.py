"""Requests and answers of the Open Inference Protocol: from messages to the body that a handler reads, and back."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....handlers.request.refusals import Refusal
from .messages import message

_RESPONSE = "inference.ModelInferResponse"
# By datatype: the field of `InferTensorContents`, and how its elements are written as bytes.
_FIELDS = {
    "BOOL": ("bool_contents", "?"),
    "INT64": ("int64_contents", "<i8"),
    "FP32": ("fp32_contents", "<f4"),
    "BYTES": ("bytes_contents", ""),
}


def body_of(request: Any) -> bytes:
    """Return the body of the HTTP request that asks the same: JSON, and the tensors' bytes behind it.

    Raises Refusal where contents are given twice, or not for each tensor, or in the field of another datatype.
    """
    raw = list(request.raw_input_contents)
    if raw and (len(raw) != len(request.inputs) or any(tensor.HasField("contents") for tensor in request.inputs)):
        raise Refusal(
            400,
            f"The request has {len(request.inputs)} tensors and {len(raw)} raw contents.",
            "`raw_input_contents` with one element for each tensor, or `contents` in each tensor",
            code="LX-HTTP-120",
        )
    contents = raw or [_bytes_of(tensor) for tensor in request.inputs]
    head: dict[str, Any] = {"inputs": []}
    for tensor, content in zip(request.inputs, contents, strict=True):
        parameters = _values(tensor.parameters) | {"binary_data_size": len(content)}
        shape = list(tensor.shape)
        head["inputs"].append(
            {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "parameters": parameters}
        )
    if request.outputs:
        head["outputs"] = [{"name": one.name, "parameters": _values(one.parameters)} for one in request.outputs]
    if request.id:
        head["id"] = request.id
    if request.parameters:
        head["parameters"] = _values(request.parameters)
    return json.dumps(head).encode() + b"".join(contents)


def response_of(body: bytes, *, raw: bool) -> Any:
    """Return an answer's message; `raw`: with the tensors' contents as bytes, as the request had them."""
    found = json.loads(body)
    made = message(_RESPONSE)(
        model_name=found["model_name"], model_version=found["model_version"], id=found.get("id", "")
    )
    for tensor in found["outputs"]:
        data, datatype = tensor["data"], tensor["datatype"]
        output = made.outputs.add(name=tensor["name"], datatype=datatype, shape=tensor["shape"])
        for name, value in tensor.get("parameters", {}).items():
            output.parameters[name].string_param = json.dumps(value, ensure_ascii=False)
        if datatype == "BYTES":
            data = [value.encode() for value in data]
        field, form = _FIELDS[datatype]
        if raw:
            made.raw_output_contents.append(_packed(data) if datatype == "BYTES" else np.array(data, form).tobytes())
        else:
            getattr(output.contents, field).extend(data)
    return made


def _bytes_of(tensor: Any) -> bytes:
    """Return the contents of a tensor as bytes. Raises Refusal."""
    given = [field.name for field, _ in tensor.contents.ListFields()]
    field, form = _FIELDS.get(tensor.datatype, ("", ""))
    if given not in ([field], []):
        raise Refusal(
            400,
            f"The tensor's datatype is {tensor.datatype[:40]!r}, and its contents are in {', '.join(given)}.",
            "BYTES in `bytes_contents`, FP32 in `fp32_contents`",
            code="LX-HTTP-121",
        )
    if not given:
        return b""
    values = getattr(tensor.contents, field)
    return _packed(values) if tensor.datatype == "BYTES" else np.array(values, form).tobytes()


def _packed(values: Sequence[bytes]) -> bytes:
    """Return strings, each after its length in four bytes."""
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def _values(parameters: Any) -> dict[str, Any]:
    """Return parameters as JSON has them; None for one without a value."""
    found = {}
    for name, parameter in parameters.items():
        chosen = parameter.WhichOneof("parameter_choice")
        found[name] = None if chosen is None else getattr(parameter, chosen)
    return found
