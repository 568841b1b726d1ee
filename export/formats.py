"""Writing an exported model: TorchScript and ONNX."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from ..models.compose import BagModel

OPSET = 20


class Scoring(nn.Module):
    """What is exported: the model with a softmax behind it."""

    def __init__(self, model: BagModel) -> None:
        """Wrap a model in evaluation mode."""
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Indices int64 [batch, length] → scores float32 [batch, labels], each row summing to one."""
        logits: Tensor = self.model(ids)
        return logits.softmax(dim=1)


def write_torchscript(model: BagModel, path: Path) -> None:
    """Script the model and save it. TorchScript is deprecated in torch 2.13 but still loads and runs there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.freeze(torch.jit.script(Scoring(model).eval()))
        # A file keeps the name it is first saved under; a buffer keeps none.
        scripted.save(str(path))


def write_onnx(model: BagModel, path: Path) -> None:
    """Export by torch's own exporter with batch and length symbolic, and check the graph.

    The weights of more than a kilobyte lie beside it in `model.onnx.data`, so that workers share their pages.
    Raises RuntimeError if a dimension froze.
    """
    example = torch.ones(2, 3, dtype=torch.int64)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch and onnxscript warn about deprecations of their own here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Scoring(model).eval(),
            (example,),
            str(path),
            input_names=["ids"],
            output_names=["scores"],
            dynamic_shapes=({0: batch, 1: length},),
            opset_version=OPSET,
            external_data=True,
            dynamo=True,
            verbose=False,
        )
    onnx.checker.check_model(str(path))
    graph = onnx.load(str(path), load_external_data=False).graph
    for value in (graph.input[0], graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        frozen = [dim.dim_value for dim in dims[: 2 if value is graph.input[0] else 1] if not dim.dim_param]
        if frozen:
            raise RuntimeError(f"The exporter froze a dimension of {value.name} at {frozen}.")
