"""Arrays of numpy in a pickle, made of what it says of them: a type, a shape, and raw numbers."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from .described import Instance, Name

Array = npt.NDArray[Any]

_DTYPE = "numpy.dtype"
# The module has another name since numpy 2.
_CORES = ("numpy.core", "numpy._core")
_ARRAYS = frozenset(f"{core}.multiarray._reconstruct" for core in _CORES)
_BUFFERS = frozenset(f"{core}.numeric._frombuffer" for core in _CORES)  # protocol 5
_SCALARS = frozenset(f"{core}.multiarray.scalar" for core in _CORES)
_NUMBERS = re.compile(r"[fiub][1248]")
_ORDERS = ("<", ">", "|", "=")
_MOST_AXES = 8

OBJECTS = frozenset({_DTYPE, *_ARRAYS, *_BUFFERS, *_SCALARS})
"""What a pickle of arrays makes: the classes and functions of numpy that `array_of` understands."""
NAMES = frozenset({"numpy.ndarray"})
"""What it names besides."""


def array_of(value: Any) -> Array:
    """Return the array that a pickle describes, which cannot be written to. Raises ValueError for anything else.

    Arrays of Python objects, of strings and of records are none.
    """
    if isinstance(value, Instance) and value.name in _ARRAYS:
        kind = value.arguments[0] if value.arguments else None
        if not isinstance(kind, Name) or kind.text not in NAMES:
            raise ValueError("an array of a class of its own")
        if not isinstance(value.state, tuple) or len(value.state) != 5:
            raise ValueError("an array without its numbers")
        _, shape, described, by_column, content = value.state
        return _shaped(content, _dtype(described), shape, "F" if by_column is True else "C")
    if isinstance(value, Instance) and value.name in _BUFFERS and len(value.arguments) == 4:
        content, described, shape, order = value.arguments
        if order not in ("C", "F"):
            raise ValueError(f"an array in the order {order!r}")
        return _shaped(content, _dtype(described), shape, order)
    raise ValueError(f"{called(value)} in the place of an array")


def called(value: Any) -> str:
    """Return how a value of a pickle is called: its class."""
    return value.name if isinstance(value, Instance) else type(value).__name__


def _dtype(described: Any) -> np.dtype[Any]:
    """Return a type of numbers. Raises ValueError for another."""
    if not isinstance(described, Instance) or described.name != _DTYPE or not described.arguments:
        raise ValueError("an array without a type")
    code, state = described.arguments[0], described.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code) or order not in _ORDERS:
        raise ValueError(f"an array of the type {code!r}, where numbers were expected")
    return np.dtype(f"{order}{code}")


def _shaped(content: Any, dtype: np.dtype[Any], shape: Any, order: str) -> Array:
    fits = (
        isinstance(shape, tuple) and len(shape) <= _MOST_AXES and all(type(one) is int and one >= 0 for one in shape)
    )
    if not fits or not isinstance(content, (bytes, bytearray)):
        raise ValueError("an array without a shape or numbers")
    count = math.prod(shape)
    if count * dtype.itemsize != len(content):
        raise ValueError(f"an array {list(shape)} of {dtype} in {len(content):,} bytes")
    found: Array = np.frombuffer(content, dtype) if count else np.zeros(0, dtype)
    found.flags.writeable = False
    return found.reshape(shape, order="F" if order == "F" else "C")
