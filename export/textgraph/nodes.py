"""Collecting the nodes and constants of a piece of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

# Domains beside ONNX's own, and the version of each that stock ONNX Runtime has.
ML, MICROSOFT = "ai.onnx.ml", "com.microsoft"
DOMAINS = {ML: 4, MICROSOFT: 1}


class Nodes:
    """Nodes in the order they were added and the constants they read, all named under one prefix."""

    def __init__(self, prefix: str) -> None:
        """`prefix` keeps the names apart from those of the graph that the nodes will join."""
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self._prefix = prefix

    def add(
        self, op: str, *inputs: str, domain: str = "", name: str = "", output: str = "", **attributes: Any
    ) -> str:
        """Add a node with one output, and return the output's name.

        `name` is what ONNX Runtime calls the node where it fails; `output` where the graph must have that name.
        """
        output = output or f"{self._prefix}{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name or output, domain=domain, **attributes))
        return output

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        """Return the name of a constant, a value or a list; strings as `object`; equal ones are stored once."""
        array: npt.NDArray[Any] = np.array(value, dtype)
        name = f"{self._prefix}{array.dtype}_{'_'.join(map(str, array.reshape(-1)))}_{array.ndim}"
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def columns(self, value: str, start: int, end: int = 2**31) -> str:
        """Columns `start` to `end` of the second axis, as Python slices them."""
        return self.add("Slice", value, *(self.constant([number]) for number in (start, end, 1)))

    def sum_rows(self, flags: str) -> str:
        """Return how many of a row's `flags`, bool [rows, columns], are set: int64 [rows, 1]."""
        return self.add("ReduceSum", self.add("Cast", flags, to=TensorProto.INT64), self.constant([1]))

    def size(self, value: str, axis: int) -> str:
        """Return the length of an axis, int64 [1]."""
        return self.add("Shape", value, start=axis, end=axis + 1)

    def flat(self, value: str) -> str:
        """Return the same values with one axis."""
        return self.add("Reshape", value, self.constant([-1]))
