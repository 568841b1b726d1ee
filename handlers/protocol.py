"""What a request says: bytes in, texts out.

Accepted are text/plain, JSON ({"text": …}, {"texts": […]}, Open Inference Protocol v2 tensors of BYTES) and the
form field `data`. Whatever else arrives is a `Refusal`, which concerns that request alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NoReturn

MAX_TEXTS = 1024
_LONGEST_ID = 256

_EXPECTED = (
    'text/plain in UTF-8, JSON {"text": "…"} or {"texts": ["…", …]}, Open Inference Protocol v2 inputs of BYTES, '
    "or the form field `data`"
)
_TEXT_TYPES = ("", "text/plain", "application/octet-stream")
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")


class Refusal(Exception):
    """A request that cannot be answered: an HTTP status and what was expected instead."""

    def __init__(self, status: int, error: str, expected: str = _EXPECTED, **details: Any) -> None:
        """`status` is a 4xx; `details` become further keys of the answer."""
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "expected": expected, **details}


@dataclass(frozen=True)
class Request:
    """The texts of one request and how it wants them answered.

    many: answer with a list. top_k: only that many scores, best first. v2: answer in the Open Inference
    Protocol's shape, under this request id.
    """

    texts: list[str]
    many: bool = False
    top_k: int | None = None
    v2: bool = False
    id: str | None = None
    shape: list[int] = field(default_factory=list)


def parse(parameters: Mapping[str, Any], content_type: str) -> Request:
    """Read one request as TorchServe hands it over: `body`, or the fields of a form.

    Values are bytes, or what TorchServe has already decoded. Raises Refusal.
    """
    kind, charset = _media_type(content_type)
    if "body" not in parameters or kind in _FORM_TYPES:
        return _from_form(parameters, charset)
    request = _from_body(parameters["body"], kind, charset)
    if request.top_k is None and "top_k" in parameters:
        # Of the query, which TorchServe hands over on /models/NAME/invoke and nowhere else.
        return replace(request, top_k=_top_k_of_text(parameters["top_k"]))
    return request


def _from_body(value: Any, kind: str, charset: str) -> Request:
    is_json = kind == "application/json" or kind.endswith("+json")
    if isinstance(value, (bytes, bytearray)):
        if not value:
            raise Refusal(400, "The request body is empty.")
        if is_json:
            return _from_json(_parse_json(_decode(value, charset)))
        if kind not in _TEXT_TYPES:
            raise Refusal(415, f"The content type {_shorten(kind)} is not served.")
        return Request([_decode(value, charset)])
    # Decoded by TorchServe already: text/* arrives as str, JSON as its value.
    if isinstance(value, str) and not is_json:
        if not value:
            raise Refusal(400, "The request body is empty.")
        return Request([_checked(value)])
    return _from_json(value)


def _from_form(parameters: Mapping[str, Any], charset: str) -> Request:
    if "data" not in parameters:
        names = ", ".join(sorted(map(_shorten, parameters))[:8]) or "none"
        raise Refusal(
            400,
            f"The form has no field `data`; its fields: {names}. A text or JSON that is no form needs a content "
            "type that says so (`curl -d` calls everything a form).",
        )
    value = parameters["data"]
    text = _decode(value, charset) if isinstance(value, (bytes, bytearray)) else value
    if not isinstance(text, str):
        raise Refusal(400, f"The form field `data` holds {_name(text)}, not text.")
    return Request([_checked(text)], top_k=_top_k_of_text(parameters.get("top_k")))


# Clients send few different ones; what is refused is not kept.
@lru_cache(maxsize=64)
def _media_type(content_type: str) -> tuple[str, str]:
    kind, *options = content_type.split(";")
    charset = "utf-8"
    for option in options:
        name, _, value = option.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'").lower()
    if charset not in _CHARSETS:
        raise Refusal(415, f"The charset {_shorten(charset)} is not served.", "charset=utf-8, or none")
    return kind.strip().lower(), charset


def _decode(value: bytes | bytearray, charset: str) -> str:
    try:
        # A byte order mark is no part of the text.
        return value.decode("utf-8" if charset.startswith("utf") else "ascii").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Refusal(
            400,
            f"The body is not valid {charset.upper()}: byte 0x{value[error.start]:02x} at position {error.start}.",
        ) from None


def _parse_json(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise Refusal(400, "The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refusal(400, f"The body is not valid JSON: {error.msg} at {where}.") from None
    except ValueError:
        # Python refuses to convert integers of more than 4,300 digits.
        raise Refusal(400, "The JSON holds an integer of thousands of digits.") from None


def _no_constant(name: str) -> NoReturn:
    raise Refusal(400, f"The body is not valid JSON: it holds {name}.")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _from_json(value: Any) -> Request:
    if not isinstance(value, dict):
        raise Refusal(400, f"The JSON is {_name(value)}, not an object.")
    if "inputs" in value:
        return _from_v2(value)
    if ("text" in value) == ("texts" in value):
        keys = ", ".join(_shorten(str(key)) for key in list(value)[:8]) or "none"
        problem = "both `text` and `texts`" if "text" in value else f"neither `text` nor `texts`; its keys: {keys}"
        raise Refusal(400, f"The JSON object has {problem}.")
    top_k = _top_k(value.get("top_k"))
    if "text" in value:
        if not isinstance(value["text"], str):
            raise Refusal(400, f"`text` is {_name(value['text'])}, not a string.")
        return Request([_checked(value["text"])], top_k=top_k)
    return Request(_strings(value["texts"], "texts"), many=True, top_k=top_k)


def _from_v2(value: dict[str, Any]) -> Request:
    inputs = value["inputs"]
    expected = (
        'Open Inference Protocol v2: {"inputs": [{"name": "text", "shape": [n], "datatype": "BYTES", '
        '"data": ["…", …]}]}'
    )
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refusal(400, "`inputs` is not a list of exactly one tensor.", expected)
    tensor = inputs[0]
    if tensor.get("datatype") != "BYTES":
        raise Refusal(400, f"The tensor's datatype is {_show(tensor.get('datatype'))}.", expected)
    texts = _strings(tensor.get("data"), "data", expected)
    shape = tensor.get("shape", [len(texts)])
    if shape not in ([len(texts)], [len(texts), 1], [1, len(texts)]) or not all(type(size) is int for size in shape):
        raise Refusal(
            400,
            f"The tensor has {len(texts)} elements and the shape {_show(shape)}.",
            expected,
        )
    name = value.get("id")
    if name is not None and not isinstance(name, str):
        raise Refusal(400, f"`id` is {_name(name)}, not a string.", expected)
    if name is not None and (len(name) > _LONGEST_ID or _has_surrogate(name)):
        raise Refusal(
            400, "`id` is too long or no valid Unicode.", f"at most {_LONGEST_ID} characters, no lone surrogate"
        )
    return Request(texts, many=True, v2=True, id=name, shape=shape)


def _strings(values: Any, field_name: str, expected: str = _EXPECTED) -> list[str]:
    if not isinstance(values, list):
        raise Refusal(400, f"`{field_name}` is {_name(values)}, not a list of strings.", expected)
    if not values:
        raise Refusal(400, f"`{field_name}` is an empty list.", expected)
    if len(values) > MAX_TEXTS:
        raise Refusal(
            400, f"`{field_name}` has {len(values):,} elements; one request may have {MAX_TEXTS:,}.", expected
        )
    bad = {
        position: _name(value) if not isinstance(value, str) else "a string with a lone surrogate"
        for position, value in enumerate(values)
        if not isinstance(value, str) or _has_surrogate(value)
    }
    if bad:
        listed = "; ".join(f"{position}: {what}" for position, what in list(bad.items())[:10])
        more = f"; and {len(bad) - 10} more" if len(bad) > 10 else ""
        raise Refusal(
            400,
            f"`{field_name}` has elements that are not texts ({listed}{more}).",
            expected,
            positions=list(bad),
        )
    return values


def _checked(text: str) -> str:
    if _has_surrogate(text):
        raise Refusal(400, "The text holds a lone surrogate, which no UTF-8 text can.")
    return text


def _has_surrogate(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _top_k(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refusal(400, f"`top_k` is {_show(value)}.", "a whole number from 1 up")
    return value


def _top_k_of_text(value: Any) -> int | None:
    """`top_k` of a form or a query: bytes, or what TorchServe has decoded already."""
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("latin-1")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    return _top_k(value)


def _name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _show(value: Any) -> str:
    """A value for an error's text; what may be nested deeper than Python can write is named by its kind."""
    if isinstance(value, list) and len(value) <= 4:
        return f"[{', '.join('…' if isinstance(one, list) else _show(one) for one in value)}]"
    return _shorten(repr(value)) if isinstance(value, (str, int, float)) else _name(value)


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
