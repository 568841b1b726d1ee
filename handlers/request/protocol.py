"""Read a request: bytes in, texts or images out.

Accepted are text/plain, JSON ({"text": …}, {"texts": […]}, {"image": …}, {"images": […]}, Open Inference Protocol
v2 tensors) and the form field `data`. JSON of these shapes is read as JSON everywhere: as text/plain, without a
content type, in a form; it is never meant as the text. Anything else is a `Refusal`, which affects only that request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from .fields import (
    checked,
    read_image,
    read_images,
    read_languages,
    read_text,
    read_texts,
    read_threshold,
    read_top_k,
    written,
    written_number,
)
from .inference_protocol import read_v2, split_binary
from .refusals import Refusal, kind, shorten

_SOURCES = ("text", "texts", "image", "images")
# Keys of JSON requests, to this server and to others; a key that is not served is refused with its name.
_SHAPES = {*_SOURCES, "inputs", "instances", "data", "body"}
_TEXT_TYPES = ("", "text/plain", "application/octet-stream")
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_BINARY = b'"binary_data_size"'
# A byte order mark begins with 0xEF.
_OPENS_JSON = frozenset(b"{ \t\r\n\xef")
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")


class Request(NamedTuple):
    """The texts or images of one request and the form of its answer."""

    texts: list[str]
    many: bool = False
    """Answer with a list."""
    top_k: int | None = None
    """Answer only this number of scores, best first."""
    threshold: float | None = None
    """The least score of a predicted label."""
    languages: list[str] | None = None
    """One language for each text."""
    images: list[list[float]] | None = None
    v2: bool = False
    """Answer in the form of the Open Inference Protocol v2."""
    id: str | None = None
    """The id of a v2 request."""
    shape: list[int] | None = None
    """The shape of a v2 request's tensor."""
    outputs: tuple[str, ...] | None = None
    """The names of the tensors that a v2 request asks for; None for all of them."""


def parse(parameters: Mapping[str, Any], content_type: str) -> Request:
    """Read one request as TorchServe hands it over: `body`, or the fields of a form.

    Values are bytes, or what TorchServe has already decoded. Raises Refusal.
    """
    media_type, charset = _media_type(content_type)
    if "body" not in parameters or media_type in _FORM_TYPES:
        return _with_options(_from_form(parameters, charset), parameters)
    request = _from_body(parameters["body"], media_type, charset)
    # More than the body is the query, which TorchServe hands over on /models/NAME/invoke and nowhere else.
    return request if len(parameters) == 1 else _with_options(request, parameters)


def _with_options(request: Request, parameters: Mapping[str, Any]) -> Request:
    """Return the request with the options of a form or query, unless the request has them itself."""
    options: dict[str, Any] = {}
    if request.top_k is None:
        options["top_k"] = read_top_k(written_number(parameters.get("top_k")))
    if request.threshold is None:
        options["threshold"] = read_threshold(written_number(parameters.get("threshold")))
    if request.languages is None:
        options["languages"] = read_languages(written(parameters.get("lang")), len(request.texts))
    return request._replace(**options)


def _from_body(value: Any, media_type: str, charset: str) -> Request:
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if isinstance(value, (bytes, bytearray)):
        if not value:
            raise Refusal(400, "The request body is empty.", code="LX-HTTP-007")
        if is_json:
            try:
                return _from_json(_parse_json(_decode(value, charset)))
            except Refusal:
                found = _binary_v2(value)
                if found is None:
                    raise
                return found
        if media_type not in _TEXT_TYPES:
            raise Refusal(415, f"The content type {shorten(media_type)} is not served.", code="LX-HTTP-008")
        if value[0] not in _OPENS_JSON:
            return Request([_decode(value, charset)])
        return _binary_v2(value) or _from_text(_decode(value, charset))
    # Decoded by TorchServe already: text/* arrives as str, JSON as its value.
    if isinstance(value, str) and not is_json:
        if not value:
            raise Refusal(400, "The request body is empty.", code="LX-HTTP-009")
        return _from_text(checked(value))
    return _from_json(value)


def _from_text(text: str) -> Request:
    """Return the request of a text; JSON of a shape that is served is read as JSON."""
    if text.lstrip().startswith("{"):
        try:
            value = _DECODER.decode(text)
        except (ValueError, RecursionError, Refusal):
            return Request([text])
        if not _SHAPES.isdisjoint(value):
            return _from_json(value)
    return Request([text])


def _binary_v2(body: bytes | bytearray) -> Request | None:
    """Return the v2 request with binary tensors; None if the body is not one."""
    if _BINARY not in body or body[:1] != b"{":
        return None
    found = split_binary(bytes(body), _DECODER)
    if found is None or not isinstance(found[0], dict) or "inputs" not in found[0]:
        return None
    return _from_v2(*found)


def _from_form(parameters: Mapping[str, Any], charset: str) -> Request:
    if "data" not in parameters:
        names = ", ".join(sorted(map(shorten, parameters))[:8]) or "none"
        raise Refusal(
            400,
            f"The form has no field `data`; its fields: {names}. A text or JSON that is not a form needs its "
            "own content type (`curl -d` calls everything a form).",
            code="LX-HTTP-010",
        )
    value = parameters["data"]
    text = _decode(value, charset) if isinstance(value, (bytes, bytearray)) else value
    if not isinstance(text, str):
        raise Refusal(400, f"The form field `data` is {kind(text)}, not text.", code="LX-HTTP-011")
    return _from_text(checked(text))


# Clients send few different ones; what is refused is not kept.
@lru_cache(maxsize=64)
def _media_type(content_type: str) -> tuple[str, str]:
    media_type, *options = content_type.split(";")
    charset = "utf-8"
    for option in options:
        name, _, value = option.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'").lower()
    if charset not in _CHARSETS:
        raise Refusal(
            415, f"The charset {shorten(charset)} is not served.", "charset=utf-8, or none", code="LX-HTTP-012"
        )
    return media_type.strip().lower(), charset


def _decode(value: bytes | bytearray, charset: str) -> str:
    try:
        # A byte order mark is not part of the text.
        return value.decode("utf-8" if charset.startswith("utf") else "ascii").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Refusal(
            400,
            f"The body is not valid {charset.upper()}: byte 0x{value[error.start]:02x} at position {error.start}.",
            code="LX-HTTP-013",
        ) from None


def _parse_json(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise Refusal(400, "The JSON is nested too deeply.", code="LX-HTTP-014") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refusal(400, f"The body is not valid JSON: {error.msg} at {where}.", code="LX-HTTP-015") from None
    except ValueError:
        # Python refuses to convert integers of more than 4,300 digits.
        raise Refusal(400, "The JSON has an integer of thousands of digits.", code="LX-HTTP-016") from None


def _no_constant(name: str) -> NoReturn:
    raise Refusal(400, f"The body is not valid JSON: it has {name}.", code="LX-HTTP-017")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _from_json(value: Any) -> Request:
    if not isinstance(value, dict):
        raise Refusal(400, f"The JSON is {kind(value)}, not an object.", code="LX-HTTP-018")
    if "inputs" in value:
        return _from_v2(value)
    if ("text" in value) + ("texts" in value) + ("image" in value) + ("images" in value) != 1:
        raise _no_one_source(value)
    top_k, threshold, lang = read_top_k(value.get("top_k")), read_threshold(value.get("threshold")), value.get("lang")
    if "text" in value:
        texts = [read_text(value["text"], "text")]
        return Request(texts, False, top_k, threshold, None if lang is None else read_languages(lang, 1))
    if "texts" in value:
        texts = read_texts(value["texts"], "texts")
        return Request(texts, True, top_k, threshold, read_languages(lang, len(texts)))
    if lang is not None:
        raise Refusal(
            400,
            "`lang` is given for images, which have no language.",
            "`lang` beside a text, or none",
            code="LX-HTTP-019",
        )
    many = "images" in value
    images = read_images(value["images"], "images") if many else [read_image(value["image"], "image")]
    return Request([], many, top_k, threshold, images=images)


def _no_one_source(value: dict[str, Any]) -> Refusal:
    given = [f"`{source}`" for source in _SOURCES if source in value]
    if given:
        both = "both " if len(given) == 2 else ""
        return Refusal(400, f"The JSON object has {both}{' and '.join(given)}.", code="LX-HTTP-020")
    keys = ", ".join(shorten(str(key)) for key in list(value)[:8]) or "none"
    return Refusal(
        400,
        f"The JSON object has neither `text` nor `texts`, `image` or `images`; its keys: {keys}.",
        code="LX-HTTP-021",
    )


def _from_v2(value: dict[str, Any], binary: bytes | None = None) -> Request:
    found = read_v2(value, binary)
    if found.images is not None:
        return Request([], True, images=found.images, v2=True, id=found.id, outputs=found.outputs)
    return Request(
        found.texts,
        True,
        languages=found.languages,
        v2=True,
        id=found.id,
        shape=found.shape,
        outputs=found.outputs,
    )
