"""Collecting the nodes and constants of a piece of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

# Domains beside ONNX's own, and the version of each that stock ONNX Runtime has.
ML, MICROSOFT = "ai.onnx.ml", "com.microsoft"
DOMAINS = {ML: 4, MICROSOFT: 1}
# What a loop's body is given beside its own values.
_COUNTING = (("turn", TensorProto.INT64), ("going", TensorProto.BOOL))


class Nodes:
    """Nodes in the order they were added and the constants they read, all named under one prefix."""

    def __init__(self, prefix: str) -> None:
        """`prefix` keeps the names apart from those of the graph that the nodes will join."""
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.prefix = prefix

    def inner(self, prefix: str) -> Nodes:
        """Return nodes for a graph within this one, which reads this one's values; constants are kept here."""
        found = Nodes(f"{self.prefix}{len(self.nodes)}/{prefix}")
        found.constants = self.constants
        return found

    def branch(self, output: str) -> GraphProto:
        """Return the nodes as one of two branches; the output is a string of any shape."""
        return helper.make_graph(self.nodes, self.prefix, [], [_value(output, TensorProto.STRING)])

    def loop(self, before: str, after: str, more: str) -> GraphProto:
        """Return the nodes as the body of a loop, from a string of any shape to the next, while `more` is true."""
        turn, going = (helper.make_tensor_value_info(f"{self.prefix}{name}", kind, []) for name, kind in _COUNTING)
        ends = [_value(more, TensorProto.BOOL), _value(after, TensorProto.STRING)]
        return helper.make_graph(self.nodes, self.prefix, [turn, going, _value(before, TensorProto.STRING)], ends)

    def add(
        self,
        op: str,
        *inputs: str,
        domain: str = "",
        name: str = "",
        output: str = "",
        place: int = 0,
        **attributes: Any,
    ) -> str:
        """Add a node, and return the name of its output (of the one at `place`, where it has several).

        `name` is what ONNX Runtime calls the node where it fails; `output` where the graph must have that name.
        """
        output = output or f"{self.prefix}{op}_{len(self.nodes)}"
        outputs = [*(f"{output}_{number}" for number in range(place)), output]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name or output, domain=domain, **attributes))
        return output

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        """Return the name of a constant, a value or a list; strings as `object`; equal ones are stored once."""
        array: npt.NDArray[Any] = np.array(value, dtype)
        name = f"{self.prefix}{array.dtype}_{'_'.join(map(str, array.reshape(-1)))}_{array.ndim}"
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


def _value(name: str, kind: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, None)


def tokenized(nodes: Nodes, texts: str, **by: Any) -> str:
    """Return the parts of strings, on one axis more, "" behind the last: string [batch, parts].

    If all strings are empty, the axis has length 0 after one axis, and is missing after two.
    """
    return nodes.add("Tokenizer", texts, domain=MICROSOFT, mark=0, mincharnum=1, pad_value="", **by)
