"""Requests of the Open Inference Protocol v2, in JSON or with binary tensors after the JSON.

The protocol: https://github.com/kserve/open-inference-protocol (REST), and Triton's extension for binary tensors
(`binary_data_size` says how many bytes behind the JSON are a tensor's; each string has its length before it, four
bytes, little-endian). `content_type` names MLServer's encodings: `str` and `base64`.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from .fields import MAX_TEXTS, has_surrogate, read_image, read_languages, read_texts
from .outputs import read_outputs
from .refusals import Refusal, kind, listed, shorten, show

EXPECTED = (
    'Open Inference Protocol v2: {"inputs": [{"name": "text", "shape": [n], "datatype": "BYTES", '
    '"data": ["…", …]}]}, or {"name": "image", "shape": [n, values], "datatype": "FP32", "data": [0.5, …]}'
)
_LONGEST_ID = 256
# What a request or a tensor may say under `parameters`. Those of the second set change nothing: answers are JSON,
# which is allowed whatever a client prefers, and TorchServe's queue knows neither priorities nor deadlines.
_PARAMETERS = {"lang", "content_type", "binary_data_size"}
_WITHOUT_EFFECT = {"binary_data_output", "binary_data", "priority", "timeout"}


class V2Request(NamedTuple):
    """A v2 request: texts or images, the texts' languages, the request's id, the shape of its tensor.

    `outputs` are the names of the tensors that are asked for, None for all of them.
    """

    texts: list[str]
    images: list[list[float]] | None
    languages: list[str] | None
    id: str | None
    shape: list[int] | None
    outputs: tuple[str, ...] | None


def read_v2(value: Mapping[str, Any], binary: bytes | None = None) -> V2Request:
    """Read a v2 request; `binary` are the bytes after its JSON, None if there is only JSON. Raises Refusal."""
    inputs = value["inputs"]
    options = _parameters(value, "parameters")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refusal(400, "`inputs` is not a list of exactly one tensor.", EXPECTED, code="LX-HTTP-035")
    name = value.get("id")
    if name is not None and not isinstance(name, str):
        raise Refusal(400, f"`id` is {kind(name)}, not a string.", EXPECTED, code="LX-HTTP-036")
    if name is not None and (len(name) > _LONGEST_ID or has_surrogate(name)):
        raise Refusal(
            400,
            "`id` is too long or not valid Unicode.",
            f"at most {_LONGEST_ID} characters, no lone surrogate",
            code="LX-HTTP-037",
        )
    outputs = read_outputs(value.get("outputs"))
    tensor = inputs[0]
    encoding = {**options, **_parameters(tensor, "parameters of the tensor")}.get("content_type", "")
    content, lang = _content(tensor, binary), options.get("lang")
    if tensor.get("datatype") == "FP32" and tensor.get("name") == "image":
        if lang is not None:
            raise Refusal(
                400,
                "`lang` is given for images, which have no language.",
                "`lang` beside a text, or none",
                code="LX-HTTP-038",
            )
        if encoding not in ("", "np"):
            raise _wrong_encoding(encoding, "np, or none, for an image")
        return V2Request([], _images(tensor, content), None, name, None, outputs)
    if tensor.get("datatype") != "BYTES":
        what = f"The tensor's datatype is {show(tensor.get('datatype'))}, its name {show(tensor.get('name'))}."
        raise Refusal(400, what, EXPECTED, code="LX-HTTP-039")
    data = _strings(content) if isinstance(content, bytes) else content
    texts = read_texts(_flat(tensor, data), "data", EXPECTED)
    if encoding == "base64":
        texts = _from_base64(texts)
    elif encoding not in ("", "str"):
        raise _wrong_encoding(encoding, "str or base64, or none, for texts")
    shape = tensor.get("shape", [len(texts)])
    if shape not in ([len(texts)], [len(texts), 1], [1, len(texts)]) or not all(type(size) is int for size in shape):
        raise _wrong_shape(len(texts), shape)
    return V2Request(texts, None, read_languages(lang, len(texts)), name, shape, outputs)


def split_binary(body: bytes, decoder: json.JSONDecoder) -> tuple[Any, bytes] | None:
    """Return a body's JSON value and the bytes behind it; None where it does not begin with JSON."""
    text = body.decode("utf-8", "surrogateescape")
    try:
        value, end = decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value, text[end:].encode("utf-8", "surrogateescape")


def _parameters(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the parameters of a request or a tensor. Raises Refusal for one that would change what is answered."""
    found = value.get("parameters", {})
    if not isinstance(found, dict):
        raise Refusal(400, f"`{what}` is {kind(found)}, not an object.", EXPECTED, code="LX-HTTP-040")
    unknown = sorted(found.keys() - _PARAMETERS - _WITHOUT_EFFECT)
    if unknown:
        named = ", ".join(f"`{shorten(name)}`" for name in unknown[:8])
        raise Refusal(
            400, f"The {what} {named} are not known here.", "`lang` and `content_type`, or none", code="LX-HTTP-041"
        )
    if not isinstance(found.get("content_type", ""), str):
        raise Refusal(
            400, f"`content_type` is {kind(found['content_type'])}, not a string.", EXPECTED, code="LX-HTTP-042"
        )
    return found


def _content(tensor: Mapping[str, Any], binary: bytes | None) -> Any:
    """Return a tensor's `data`, or its bytes behind the JSON.

    Raises Refusal where these are not as many as it says.
    """
    size = tensor.get("parameters", {}).get("binary_data_size")
    if size is None:
        if binary and binary.strip():
            what = f"{len(binary):,} bytes follow the JSON, and the tensor has no `binary_data_size`."
            raise Refusal(400, what, EXPECTED, code="LX-HTTP-043")
        return tensor.get("data")
    if "data" in tensor:
        raise Refusal(400, "The tensor has both `data` and `binary_data_size`.", "one of them", code="LX-HTTP-044")
    there = len(binary or b"")
    if type(size) is not int or size != there:
        raise Refusal(
            400,
            f"`binary_data_size` is {show(size)}, and {there:,} bytes follow the JSON.",
            EXPECTED,
            code="LX-HTTP-045",
        )
    return binary or b""


def _strings(content: bytes) -> list[str]:
    """Return the elements of a binary tensor of BYTES. Raises Refusal."""
    found: list[str] = []
    place = 0
    while place < len(content):
        if len(found) == MAX_TEXTS:
            raise Refusal(400, f"The tensor has more than {MAX_TEXTS:,} elements.", EXPECTED, code="LX-HTTP-046")
        if place + 4 > len(content):
            raise _broken(len(found))
        [length] = struct.unpack_from("<I", content, place)
        place += 4 + length
        if place > len(content):
            raise _broken(len(found))
        try:
            found.append(content[place - length : place].decode("utf-8"))
        except UnicodeDecodeError as error:
            what = (
                f"Element {len(found)} is not valid UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}."
            )
            raise Refusal(400, what, EXPECTED, positions=[len(found)], code="LX-HTTP-047") from None
    return found


def _broken(element: int) -> Refusal:
    return Refusal(
        400,
        f"The binary tensor breaks off in element {element}.",
        "each string after its length, <I",
        code="LX-HTTP-048",
    )


def _flat(tensor: Mapping[str, Any], data: Any) -> Any:
    """Return the elements of `data`, which may be nested as `shape` says: [[…], […]]."""
    shape = tensor.get("shape")
    if not isinstance(data, list) or not data or not all(isinstance(row, list) for row in data):
        return data
    if not isinstance(shape, list) or len(shape) != 2 or shape[0] != len(data):
        raise _wrong_shape(len(data), shape)
    bad = {position: f"{len(row)} elements" for position, row in enumerate(data) if len(row) != shape[1]}
    if bad:
        what = f"`data` is nested, and its rows do not have the {show(shape[1])} elements of `shape` ({listed(bad)})."
        raise Refusal(400, what, EXPECTED, positions=list(bad), code="LX-HTTP-049")
    return [element for row in data for element in row]


def _from_base64(texts: list[str]) -> list[str]:
    found, bad = [], {}
    for position, text in enumerate(texts):
        try:
            found.append(base64.b64decode(text, validate=True).decode("utf-8"))
        except (binascii.Error, ValueError):
            bad[position] = "not UTF-8 in base64"
    if bad:
        raise Refusal(
            400, f"`data` is not all base64 ({listed(bad)}).", EXPECTED, positions=list(bad), code="LX-HTTP-050"
        )
    return found


def _images(tensor: Mapping[str, Any], content: Any) -> list[list[float]]:
    """Return the rows of a tensor [images, values]; one image of a tensor [values]."""
    if isinstance(content, bytes):
        if len(content) % 4:
            raise Refusal(
                400,
                f"The binary tensor has {len(content):,} bytes, not four for each FP32.",
                EXPECTED,
                code="LX-HTTP-051",
            )
        content = list(struct.unpack(f"<{len(content) // 4}f", content))
    data = read_image(_flat(tensor, content), "data", EXPECTED)
    shape = tensor.get("shape", [len(data)])
    if not isinstance(shape, list) or len(shape) not in (1, 2) or not all(type(size) is int for size in shape):
        raise _wrong_shape(len(data), shape)
    count, values = shape if len(shape) == 2 else (1, shape[0])
    if count * values != len(data) or not 1 <= count <= MAX_TEXTS:
        raise _wrong_shape(len(data), shape)
    return [data[first : first + values] for first in range(0, len(data), values)]


def _wrong_encoding(encoding: str, expected: str) -> Refusal:
    return Refusal(400, f"The tensor's `content_type` is {show(encoding)}.", expected, code="LX-HTTP-052")


def _wrong_shape(count: int, shape: Any) -> Refusal:
    return Refusal(400, f"The tensor has {count} elements and the shape {show(shape)}.", EXPECTED, code="LX-HTTP-053")
