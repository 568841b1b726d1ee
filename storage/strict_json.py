"""JSON from outside: only what every reader reads alike, and no more values or depth than a machine has room for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

MAX_DEPTH = 32
_DIGITS = 20
MAX_VALUES = 2_500_000  # a confusion matrix of 1,000 labels, twice; in memory at most 160 MB


def parse_json(content: bytes, most: int = MAX_VALUES) -> Any:
    """Return the value of UTF-8 JSON.

    Raises ValueError for invalid JSON, and for what other readers may read otherwise or choke on: NaN and infinities,
    integers of more than 20 digits, a key twice in an object, lists and objects in one another more than 32 deep, and
    more values than about `most`.
    """
    signs = sum(content.count(sign) for sign in (b",", b":", b"[", b"{"))
    if signs > most:
        raise ValueError(f"it has about {signs:,} values, at most {most:,} are read")
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(f"it nests deeper than {MAX_DEPTH}") from None
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _within(outer)]
    if level:
        raise ValueError(f"it nests deeper than {MAX_DEPTH}")
    return value


def _within(value: dict[str, Any] | list[Any]) -> Sequence[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits, at most {_DIGITS} are read")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found
