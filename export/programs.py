"""Writing a program of torch.export (`.pt2`), what torch has in TorchScript's place, with nothing pickled in it."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from ..handlers.programs import EXAMPLE, GRAPH, check_program
from ..models.embeddings import Embedding
from .formats import rewritten


class BagTable(Embedding):
    """fp32 for torch.export: rows that `embedding_bag` sums, told where each text begins.

    Given a matrix instead, torch.export finds out that it must have two rows.
    """

    def __init__(self, weight: Tensor) -> None:
        """`weight` float32 [rows, dim], row 0 zero."""
        super().__init__(weight.size(1))
        self.weight = nn.Buffer(weight)

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        return F.embedding(ids, self.weight)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        offsets = torch.arange(ids.size(0), device=ids.device) * ids.size(1)
        return F.embedding_bag(ids.reshape(-1), self.weight, offsets, mode="sum")


def unsuited_program(model: nn.Module) -> str | None:
    """Why the installed torch cannot export the model, in a sentence, or None."""
    if any(isinstance(module, nn.LSTM) for module in model.modules()) and find_spec("torch.export._patches") is None:
        return f"torch {torch.__version__} exports an LSTM for one length of text only; it takes torch 2.13"
    return None


def write_program(module: nn.Module, path: Path, *, example: Tensor, symbolic: Sequence[str]) -> None:
    """Export with the first axes of the input symbolic, as many as names are given, and save without pickles.

    Example inputs, guards, and the stack traces with this machine's paths are left out. Raises RuntimeError if an
    axis froze, ValueError if what torch wrote is not what a worker opens.
    """
    axes = dict.fromkeys(range(len(symbolic)), Dim.DYNAMIC)
    with _whole_lstm(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=(axes,))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    path.write_bytes(rewritten(buffer.getvalue(), _stripped))
    check_program(path)
    frozen = [axis for axis in axes if not isinstance(_shape(program)[axis], torch.SymInt)]
    if frozen:
        raise RuntimeError(f"torch.export froze the axes {frozen} of the input.")


def _shape(program: torch.export.ExportedProgram) -> torch.Size:
    [name] = program.graph_signature.user_inputs
    [node] = [node for node in program.graph.nodes if node.name == name]
    shape: torch.Size = node.meta["val"].shape
    return shape


@contextmanager
def _whole_lstm() -> Iterator[None]:
    """torch.export unrolls an LSTM over the example's length unless told otherwise."""
    from torch.export._patches import register_lstm_while_loop_decomposition

    # What an earlier export remembers of an LSTM freezes the length of the next.
    torch.ops.aten.lstm.input._dispatch_cache.clear()
    with register_lstm_while_loop_decomposition():
        yield


def _stripped(name: str, content: bytes) -> bytes | None:
    """A member of the archive without what a worker does not open; None to leave it out."""
    member = name.partition("/")[2]
    if member == ".data/serialization_id":  # drawn at random
        return None
    if member == EXAMPLE:
        return b""
    if member != GRAPH:
        return content
    graph: dict[str, Any] = json.loads(content)
    graph["guards_code"] = []
    _forget(graph)
    return json.dumps(graph).encode()


def _forget(value: Any) -> None:
    """Remove what nodes remember of the source code."""
    if isinstance(value, dict):
        if isinstance(value.get("metadata"), dict):
            value["metadata"] = {}
        for inner in value.values():
            _forget(inner)
    elif isinstance(value, list):
        for inner in value:
            _forget(inner)
