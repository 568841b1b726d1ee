"""Writing a program of torch.export (`.pt2`), what torch has in TorchScript's place, with nothing pickled in it."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from ...handlers.engine.programs import EXAMPLE, GRAPH, check_program
from .torchscript_onnx import rewrite


def unsupported_program_reason(model: nn.Module) -> str | None:
    """Return why the installed torch cannot export the model, in a sentence, or None."""
    if any(isinstance(module, nn.LSTM) for module in model.modules()) and find_spec("torch.export._patches") is None:
        return f"torch {torch.__version__} exports an LSTM for one length of text only; it takes torch 2.13"
    return None


def program_of(module: nn.Module, *, example: Tensor, symbolic: Sequence[str]) -> torch.export.ExportedProgram:
    """Export with the first axes of the input symbolic, as many as names are given. RuntimeError if one froze."""
    axes = dict.fromkeys(range(len(symbolic)), Dim.DYNAMIC)
    with _whole_lstm(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=(axes,))
    frozen = [axis for axis in axes if not isinstance(_shape(program)[axis], torch.SymInt)]
    if frozen:
        raise RuntimeError(f"torch.export froze the axes {frozen} of the input.")
    return program


def write_program(module: nn.Module, path: Path, *, example: Tensor, symbolic: Sequence[str]) -> None:
    """Save `program_of` without pickles.

    Example inputs, guards, and the stack traces with this machine's paths are left out. Raises RuntimeError as it
    does, ValueError if what torch wrote is not what a worker opens.
    """
    program = program_of(module, example=example, symbolic=symbolic)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        saved = Path(folder) / "archive.pt2"  # the file's name becomes a part of it
        torch.export.save(program, saved)
        with saved.open("rb") as source, path.open("wb") as target:
            rewrite(source, target, drop=lambda name: name.endswith("/.data/serialization_id"), edit=_edit)
    check_program(path)


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


def _edit(name: str) -> Callable[[bytes], bytes] | None:
    """Return how a member is changed into what a worker opens; None where it stays."""
    return {EXAMPLE: lambda content: b"", GRAPH: _stripped}.get(name.partition("/")[2])


def _stripped(content: bytes) -> bytes:
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
