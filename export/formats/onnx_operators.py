"""The table of operators that torch's ONNX exporter builds anew for each file."""

from __future__ import annotations

import copy
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCK = threading.RLock()
_tables: dict[object, Any] = {}


@contextmanager
def operators_built_once() -> Iterator[None]:
    """Let `torch.onnx.export` take its table of operators from memory, once it has built it in this process.

    Torch parses the source of some 500 functions for it, which is nearly half of the time that it takes to export a
    small model (0.9 s), and offers no argument to pass a table. What it gets is a copy of its own lists, since it
    adds operators of a caller to them. A torch that keeps the table elsewhere builds it as always. One thread at a
    time: others wait.
    """
    with _LOCK:
        try:
            kept: Any = importlib.import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
            build = kept.from_torchlib.__func__
        except (ImportError, AttributeError):
            yield
            return

        def copy_of_built(cls: Any, *given: Any, **named: Any) -> Any:
            asked = (given, tuple(sorted(named.items())))
            if asked not in _tables:
                _tables[asked] = build(cls, *given, **named)
            table = copy.copy(_tables[asked])
            table.functions = {target: list(found) for target, found in table.functions.items()}
            return table

        kept.from_torchlib = classmethod(copy_of_built)
        try:
            yield
        finally:
            kept.from_torchlib = classmethod(build)
