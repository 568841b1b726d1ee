"""What a value read from a pickle may be: not deeper, not wider than files of values are, and not part of itself."""

from __future__ import annotations

from typing import Any

from ...errors import InputError
from .described import Instance

_DEEPEST = 64
# Values if those that a pickle names several times were written out each time.
_MOST_WRITTEN_OUT = 100_000_000
# Of a key of a dictionary: the values within it. Hashing and comparing take time by them, and stack by their depth.
_MOST_IN_KEY = 256
_DEEPEST_KEY = 16
_LARGEST_KEY = 1 << 63  # whole numbers beyond it can be chosen to have one hash all
_SINGLE = (str, bytes, float, bool, type(None))
_CONTAINERS = (dict, list, tuple, set, frozenset, Instance)


def check_key(key: Any, file: str) -> None:
    """Raise InputError unless `key` may be a key of a dictionary or a member of a set."""
    left = _MOST_IN_KEY
    level = [key]
    for _ in range(_DEEPEST_KEY):
        below: list[Any] = []
        for one in level:
            left -= 1
            if isinstance(one, (tuple, frozenset)) and len(one) <= left:
                below += one
                left -= len(one)
            elif left < 0 or not (isinstance(one, _SINGLE) or (isinstance(one, int) and abs(one) < _LARGEST_KEY)):
                raise _bad_key(one, file)
        if not below:
            return
        level = below
    raise _bad_key(key, file)


def _bad_key(key: Any, file: str) -> InputError:
    return InputError(
        f"{file} is a pickle with a key of a dictionary or a member of a set that is no key ({type(key).__name__}); "
        f"expected strings, numbers up to 64 bits, or tuples of at most {_MOST_IN_KEY} such values.",
        code="LX-IMPORT-069",
    )


def check_value(value: Any, file: str, leaves: tuple[type, ...] = ()) -> None:
    """Raise InputError for a value that holds itself, is too deep or too large, or holds other than plain types.

    leaves: types that it may hold besides.
    """
    # Of each container: how deep it is, and how many values it is written out; None while its parts are looked at.
    known: dict[int, tuple[int, int] | None] = {}
    waiting: list[tuple[Any, bool]] = [(value, False)]
    plain: tuple[type, ...] = (int, *_SINGLE, bytearray, *leaves)
    while waiting:
        one, entered = waiting.pop()
        if not isinstance(one, _CONTAINERS):
            if not isinstance(one, plain):
                raise InputError(
                    f"{file} holds {_called(one)}, which is not a plain value; expected dictionaries, lists, "
                    "tuples, sets, strings, bytes and numbers.",
                    code="LX-IMPORT-070",
                )
            continue
        inner = _parts(one)
        if entered:
            known[id(one)] = _summed(inner, known, file)
        elif id(one) not in known:
            known[id(one)] = None
            waiting.append((one, True))
            waiting += [(part, False) for part in inner]
        elif known[id(one)] is None:
            raise InputError(
                f"{file} holds a {type(one).__name__} that is part of itself; it cannot be written out. Save a "
                "dictionary or a list of plain values.",
                code="LX-IMPORT-071",
            )


def _parts(one: Any) -> list[Any]:
    if isinstance(one, Instance):
        return [one.arguments, one.state]
    return [*one, *one.values()] if isinstance(one, dict) else [*one]


def _summed(inner: list[Any], known: dict[int, tuple[int, int] | None], file: str) -> tuple[int, int]:
    found = [known[id(part)] or (0, 1) for part in inner if isinstance(part, _CONTAINERS)]
    depth = 1 + max((depth for depth, _ in found), default=0)
    size = 1 + len(inner) - len(found) + sum(size for _, size in found)
    if depth > _DEEPEST or size > _MOST_WRITTEN_OUT:
        raise InputError(
            f"{file} holds values {depth} deep, {size:,} written out; expected at most {_DEEPEST} and "
            f"{_MOST_WRITTEN_OUT:,}. Save a flat dictionary or list.",
            code="LX-IMPORT-072",
        )
    return depth, size


def _called(one: Any) -> str:
    text = getattr(one, "text", None)
    return str(text) if isinstance(text, str) else type(one).__name__
