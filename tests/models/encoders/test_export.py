"""Each encoder as TorchScript and as ONNX: the same answers, whatever the shape of the batch."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from lexport.export.formats.onnx_operators import operators_built_once
from lexport.models.encoders import (
    CNN,
    LSTM,
    Bag,
    BagOptions,
    CNNOptions,
    LSTMOptions,
    Transformer,
    TransformerOptions,
)

DIM = 8
Encode = Callable[[Tensor, Tensor], Tensor]
ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "bag mean": lambda: Bag(DIM),
    "bag max": lambda: Bag(DIM, BagOptions("max")),
    "cnn": lambda: CNN(DIM, CNNOptions(widths=(1, 3, 5), filters=6)),
    "lstm one way": lambda: LSTM(DIM, LSTMOptions(hidden=6, directions=1)),
    "lstm stacked": lambda: LSTM(DIM, LSTMOptions(hidden=6, layers=2)),
    "transformer": lambda: Transformer(DIM, TransformerOptions(heads=2, hidden=16), 64),
}


def scripted(encoder: nn.Module) -> Encode:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        frozen: Encode = torch.jit.freeze(torch.jit.script(encoder))
    return frozen


def in_onnx(encoder: nn.Module, path: Path) -> Encode:
    shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    # The second LSTM that a process exports would freeze the length.
    torch.ops.aten.lstm.input._dispatch_cache.clear()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), operators_built_once():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            (torch.ones(2, 3, DIM), torch.ones(2, 3, dtype=torch.bool)),
            str(path),
            input_names=["vectors", "mask"],
            dynamic_shapes=(shape, shape),
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [value.shape[:2] for value in session.get_inputs()] == [["batch", "length"]] * 2
    return lambda vectors, mask: torch.from_numpy(
        session.run(None, {"vectors": vectors.numpy(), "mask": mask.numpy()})[0]
    )


@pytest.mark.parametrize("name", list(ENCODERS))
def test_torchscript_and_onnx_answer_like_the_module(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS[name]().eval()
    forms = {"torchscript": scripted(encoder), "onnx": in_onnx(encoder, tmp_path / "encoder.onnx")}
    for lengths, columns in (([3, 2], 3), ([1], 1), ([0], 1), ([0], 4), ([9, 0, 40, 1], 40), ([4, 3], 50)):
        mask = torch.arange(columns) < torch.tensor(lengths).unsqueeze(1)
        vectors = torch.randn(len(lengths), columns, DIM) * mask.unsqueeze(2)
        with torch.inference_mode():
            expected = encoder(vectors, mask)
            for form, encode in forms.items():
                torch.testing.assert_close(
                    encode(vectors, mask), expected, rtol=0, atol=1e-5, msg=f"{form} {lengths} in {columns} columns"
                )
