"""Writing an exported model: TorchScript and ONNX."""

from __future__ import annotations

import io
import logging
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import onnx
import torch
from torch import Tensor, nn

from ...handlers.engine.tensors import TENSORS
from ...models.compose import TextModel
from ...models.tensor_file import write_tensors
from .onnx_operators import operators_built_once
from .safetensors import ALIGNMENT, take_tables

OPSET = 20
# What an ONNX graph calls the encoder's output.
VECTORS = "vectors"


class Scoring(nn.Module):
    """What is exported of a text's model: indices in, what is served out."""

    def __init__(self, model: TextModel) -> None:
        """Wrap a model in evaluation mode."""
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Map indices int64 [batch, length, …] → scores or unit vectors, float32 [batch, outputs]."""
        answer: Tensor = self.model.head.answer(self.model(ids))
        return answer

    @torch.jit.export
    def vectors(self, ids: Tensor) -> Tensor:
        """Map indices int64 [batch, length, …] → what the head is given, float32 [batch, width]."""
        return self.model.encode(ids)


class Both(nn.Module):
    """Scores and, beside them, what the head was given."""

    def __init__(self, model: TextModel) -> None:
        """Wrap a model in evaluation mode."""
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Map indices int64 [batch, length, …] → float32 [batch, outputs], float32 [batch, width]."""
        vectors = self.model.encode(ids)
        return self.model.head.answer(self.model.head(vectors)), vectors


def write_torchscript(module: nn.Module, path: Path) -> None:
    """Script the module and save it. TorchScript is deprecated in torch 2.13 but still loads and runs there.

    Its tables, which must be its own, lie beside it in `NAME.safetensors`, so that workers share their pages.
    """
    tables = take_tables(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        kept = [*tables, *(["vectors"] if isinstance(module, Scoring) else [])]
        scripted = torch.jit.freeze(torch.jit.script(module.eval()), preserved_attrs=kept)
        buffer = io.BytesIO()
        torch.jit.save(scripted, buffer)
    path.write_bytes(without_debug(buffer.getvalue()))
    if tables:
        with path.with_suffix(TENSORS).open("wb") as handle:
            write_tensors(handle, tables, alignment=ALIGNMENT)


def without_debug(content: bytes) -> bytes:
    """Return a TorchScript file less its debug members, which name source files by this machine's paths."""
    target = io.BytesIO()
    rewrite(io.BytesIO(content), target, drop=lambda name: name.endswith(".debug_pkl"))
    return target.getvalue()


def rewrite(
    source: BinaryIO,
    target: BinaryIO,
    *,
    drop: Callable[[str], bool],
    edit: Callable[[str], Callable[[bytes], bytes] | None] = lambda name: None,
) -> None:
    """Copy a zip that torch wrote, less the members that `drop` names, others as `edit` has them.

    Members stay uncompressed, of one date, and their data begin at multiples of 64 bytes, as torch writes them; they
    are copied block by block.
    """
    with zipfile.ZipFile(source) as members, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
        for name in members.namelist():
            if drop(name):
                continue
            change = edit(name)
            content = None if change is None else change(members.read(name))
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.file_size = members.getinfo(name).file_size if content is None else len(content)
            # 30 bytes of header, the name, and an extra field of at least 4; above 2 GiB zipfile adds one of 20.
            large = 20 if entry.file_size * 1.05 > zipfile.ZIP64_LIMIT else 0
            padding = -(target.tell() + 30 + len(name.encode()) + 4 + large) % 64
            entry.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
            with copy.open(entry, "w") as written:
                if content is None:
                    with members.open(name) as read:
                        shutil.copyfileobj(read, written, 1 << 20)
                else:
                    written.write(content)


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch's exporter warns of its own deprecations and of a torchvision that is not needed here."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def write_onnx(module: nn.Module, path: Path, *, feed: str, example: Tensor, symbolic: Sequence[str]) -> None:
    """Export by torch's own exporter with the first axes of the input `feed` symbolic, and check the graph.

    Of a `Scoring` the graph has a second output, `vectors`, which `hide_vectors` takes back. symbolic: a name for
    each of those axes; `example` has sizes other than one there. The weights of more than a kilobyte lie beside the
    graph in `NAME.onnx.data`, so that workers share their pages. Raises RuntimeError if an axis froze.
    """
    axes = {axis: torch.export.Dim(name) for axis, name in enumerate(symbolic)}
    # What a first export remembers of an LSTM freezes the length of the next.
    torch.ops.aten.lstm.input._dispatch_cache.clear()
    scoring = isinstance(module, Scoring)
    with _quiet(), operators_built_once():
        torch.onnx.export(
            (Both(module.model) if isinstance(module, Scoring) else module).eval(),
            (example,),
            str(path),
            input_names=[feed],
            output_names=["scores", VECTORS] if scoring else ["scores"],
            dynamic_shapes=(axes,),
            opset_version=OPSET,
            external_data=True,
            dynamo=True,
            verbose=False,
        )
    model_file = onnx.load(str(path), load_external_data=False)
    graph = model_file.graph
    # The exporter notes stack traces, with this machine's paths in them.
    for noted in (model_file, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""
    onnx.save(model_file, str(path))
    onnx.checker.check_model(str(path))
    for value, count in ((graph.input[0], len(symbolic)), (graph.output[0], 1)):
        frozen = [dim.dim_value for dim in value.type.tensor_type.shape.dim[:count] if not dim.dim_param]
        if frozen:
            raise RuntimeError(f"The exporter froze a dimension of {value.name} at {frozen}.")


def hide_vectors(path: Path) -> None:
    """Take the encoder's output from the outputs of a graph; it stays in it under its name."""
    model = onnx.load(str(path), load_external_data=False)
    [hidden] = [output for output in model.graph.output if output.name == VECTORS]
    model.graph.output.remove(hidden)
    onnx.save(model, str(path))


def show_vectors(path: Path) -> None:
    """Undo `hide_vectors`, before a graph is changed in ways that keep the names of outputs alone."""
    model = onnx.load(str(path), load_external_data=False)
    model.graph.output.append(_vectors())
    onnx.save(model, str(path))


def graph_to_vectors(path: Path) -> bytes:
    """Return the graph in a file with the encoder's output as its only one; its weights stay beside the file."""
    model = onnx.load(str(path), load_external_data=False)
    del model.graph.output[:]
    model.graph.output.append(_vectors())
    content: bytes = model.SerializeToString()
    return content


def _vectors() -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(VECTORS, onnx.TensorProto.FLOAT, ["batch", "width"])
