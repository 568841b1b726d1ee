"""What is made of the few plain containers that a pickle names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .limits import check_key

Build = Callable[[tuple[Any, ...]], Any]
"""Makes a value of the arguments that a pickle gives a name. Raises ValueError for others than it takes."""


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    """Bytes as protocols 0 to 2 write them: a string of the characters 0 to 255."""
    text, encoding = arguments
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("expected a string and latin1")
    return text.encode("latin-1")


def _byte_array(arguments: tuple[Any, ...]) -> bytearray:
    if len(arguments) == 2:
        return bytearray(_encoded(arguments))
    if arguments and not isinstance(arguments[0], bytes):
        raise ValueError("expected bytes")
    return bytearray(*arguments)


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    if arguments:
        raise ValueError("expected none")
    return b""


def _listed(arguments: tuple[Any, ...]) -> list[Any]:
    """Return the values of the one list that a container is made of."""
    if not arguments:
        return []
    (values,) = arguments
    if not isinstance(values, list):
        raise ValueError("expected a list")
    return values


def _set(arguments: tuple[Any, ...]) -> Any:
    return _checked_set(_listed(arguments), set)


def _frozen(arguments: tuple[Any, ...]) -> Any:
    return _checked_set(_listed(arguments), frozenset)


def _checked_set(values: list[Any], kind: Callable[[list[Any]], Any]) -> Any:
    for value in values:
        check_key(value, "a set")
    return kind(values)


def _ordered(arguments: tuple[Any, ...]) -> OrderedDict[Any, Any]:
    found: OrderedDict[Any, Any] = OrderedDict()
    for pair in _listed(arguments):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ValueError("expected pairs")
        check_key(pair[0], "a dictionary")
        found[pair[0]] = pair[1]
    return found


PLAIN: dict[str, Build] = {
    "collections.OrderedDict": _ordered,
    "_codecs.encode": _encoded,
    "builtins.bytes": _no_bytes,
    "builtins.bytearray": _byte_array,
    "builtins.set": _set,
    "builtins.frozenset": _frozen,
}
"""What builds a value of the arguments that a pickle gives each of these names."""
