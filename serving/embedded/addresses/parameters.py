"""The parameters of a request to the management address, read as TorchServe reads them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from ..http import Request
from . import answers


def query_of(request: Request) -> dict[str, Any]:
    """Return the parameters in a query, the last of a name."""
    return dict(parse_qsl(request.query, keep_blank_values=True))


def json_of(request: Request) -> dict[str, Any]:
    """Return the parameters in a JSON body. Raises Failure."""
    if not (request.header("content-type") or "").startswith("application/json") or not request.body:
        return {}
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        raise answers.bad_request("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise answers.bad_request("The body is not a JSON object.")
    return value


def number_of(value: Any, otherwise: int) -> int:
    """Return a number in a query; `otherwise` for what is none, as TorchServe does."""
    try:
        number = int(str(value))
    except ValueError:
        return otherwise
    return number if abs(number) < 2**31 else otherwise


def is_true(value: Any) -> bool:
    """Return whether a parameter says yes."""
    return str(value).lower() == "true"
