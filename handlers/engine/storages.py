"""Whether the tensors of a TorchScript file lie within the bytes that it has: torch takes the file's word for it.

Of a tensor a pickle describes the storage, its first number, its sizes and its strides (torch's "Serialization
semantics"); torch.jit.load reads beyond a storage that is shorter, or described so.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Mapping
from typing import Any

# Of those that the check of opcodes and names lets pass.
_BYTES = {
    "DoubleStorage": 8,
    "LongStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "ByteStorage": 1,
    "QInt8Storage": 1,
}
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1")
_SINGLE = (*_NUMBERS, "BINUNICODE", "GLOBAL")
_PUT, _GET = ("BINPUT", "LONG_BINPUT"), ("BINGET", "LONG_BINGET")
_OTHER = object()

_Opcodes = list[tuple[str, Any]]


def storage_problem(content: bytes, sizes: Mapping[str, int]) -> str | None:
    """Return what is wrong with the tensors in a pickle, None if nothing; `sizes`: bytes of each storage by its key.

    `content` has been checked to be a pickle of the opcodes that torch.jit.save writes.
    """
    opcodes: _Opcodes = [(one.name, argument) for one, argument, _ in pickletools.genops(content)]
    memo: dict[int, Any] = {}
    values: list[Any] = []  # since the last mark
    last: Any = _OTHER
    for place, (name, argument) in enumerate(opcodes):
        if name == "BINPERSID":
            described = values if opcodes[place - 1][0] == "TUPLE" else []
            if problem := _tensor_problem(described, opcodes[place + 1 :][:200], sizes):
                return problem
        if name in _PUT:
            memo[argument] = last
            continue
        if name == "MARK":
            values = []
        elif name != "TUPLE":
            last = argument if name in _SINGLE else memo.get(argument, _OTHER) if name in _GET else _OTHER
            values.append(last)
            continue
        last = _OTHER
    return None


def _tensor_problem(described: list[Any], following: _Opcodes, sizes: Mapping[str, int]) -> str | None:
    """Return what is wrong with one tensor: its storage, and the opcodes behind it."""
    if len(described) != 5 or described[0] != "storage" or not isinstance(described[4], int):
        return "describes a storage in a way that torch does not"
    _, kind, key, _, count = described
    width = _BYTES.get(str(kind).removeprefix("torch "))
    if width is None or sizes.get(str(key)) != count * width:
        return f"has the storage {key!r} of {count:,} numbers ({kind}) in {sizes.get(str(key), 0):,} bytes"
    numbers, axes = [], []
    for name, argument in following:
        if name in _NUMBERS:
            numbers.append(argument)
        elif name == "MARK":
            axes.append(len(numbers))
        elif name == "TUPLE" and len(axes) == 2:
            break
        elif name not in ("TUPLE", *_PUT):
            return "describes a tensor in a way that torch does not"
    if len(axes) != 2 or axes[0] != 1 or any(number < 0 for number in numbers):
        return "describes a tensor in a way that torch does not"
    offset, shape, steps = numbers[0], numbers[1 : axes[1]], numbers[axes[1] :]
    reach = offset + sum((size - 1) * step for size, step in zip(shape, steps, strict=False)) + 1
    if len(shape) != len(steps) or (math.prod(shape) and reach > count):
        return f"has a tensor {shape} that reaches to number {reach:,} of a storage of {count:,}"
    return None
