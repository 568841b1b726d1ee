"""Encoders whose layers are quantized too: truly in eight bits, near the trained model, in any shape of batch."""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from lexport.export.formats.variants import VARIANTS, Variant, choose
from lexport.handlers.engine.engines import open_engine

from ...chain.combination_cases import BATCHES, Combination, assembled, check_symbolic, eager, made

COMBINATIONS = [
    Combination("table", "cnn"),
    Combination("hashed", "lstm"),
    Combination("table", "lstm", "multilabel"),
    Combination("table", "transformer"),
    Combination("char_cnn", "transformer", "vector"),
    Combination("table", "cnn", "joint"),
]
ENGINES = ("torchscript", "onnx")
_SLOW = {COMBINATIONS[2], COMBINATIONS[3], COMBINATIONS[5]}


def each(combinations: list[Combination]) -> list[Any]:
    """The combinations as parameters, those with a quicker one of their kind for long runs alone."""
    return [pytest.param(one, marks=[pytest.mark.long] if one in _SLOW else [], id=str(one)) for one in combinations]


# In models of random weights; of trained ones the evidence says.
BOUND = 0.05


def dense(engine: str) -> Variant:
    return replace(VARIANTS[f"{engine}-int8"], dense=True)


def write(combination: Combination, variant: Variant, folder: Path) -> Path:
    model, encoder = made(combination)
    variant.write(model, encoder.spec.inputs, folder)
    return folder / variant.file


def operators(file: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(str(file), load_external_data=False).graph.node)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("combination", each(COMBINATIONS))
def test_it_answers_near_the_trained_model_in_any_batch(
    combination: Combination, engine: str, tmp_path: Path
) -> None:
    file = write(combination, dense(engine), tmp_path)
    run = open_engine(engine, file, threads=1, device="cpu")
    for name, texts in BATCHES.items():
        ids = assembled(combination, texts)
        np.testing.assert_allclose(run(ids), eager(combination, ids), rtol=0, atol=BOUND, err_msg=name)
    if engine == "onnx":
        check_symbolic(file, 3 if combination.embedding == "char_cnn" else 2)


@pytest.mark.parametrize("combination", each([one for one in COMBINATIONS if one.encoder == "lstm"]))
def test_an_lstm_is_truly_quantized_in_onnx(combination: Combination, tmp_path: Path) -> None:
    found = operators(write(combination, dense("onnx"), tmp_path))
    assert found["DynamicQuantizeLSTM"] == 2  # one a direction
    assert found["LSTM"] == 0


@pytest.mark.parametrize(
    ("combination", "products"),
    # Three widths of filters; two blocks with a product before and after attention and two behind it.
    [(COMBINATIONS[0], 3), (COMBINATIONS[3], 8), (COMBINATIONS[4], 8), (COMBINATIONS[5], 3)],
    ids=str,
)
def test_every_product_of_an_encoder_is_quantized_in_onnx_and_the_heads_is_not(
    combination: Combination, products: int, tmp_path: Path
) -> None:
    file = write(combination, dense("onnx"), tmp_path)
    assert operators(file)["MatMulInteger"] == products
    model, _ = made(combination)
    constants = [numpy_helper.to_array(one) for one in onnx.load(str(file)).graph.initializer]
    for weight in model.head.parameters():
        if weight.dim() == 2 and combination.task != "joint":
            own = weight.detach().numpy()
            assert any(np.array_equal(one, own) or np.array_equal(one, own.T) for one in constants)


@pytest.mark.parametrize("combination", each(COMBINATIONS))
def test_every_layer_of_an_encoder_is_quantized_in_torchscript(combination: Combination, tmp_path: Path) -> None:
    file = write(combination, dense("torchscript"), tmp_path)
    model, _ = made(combination)
    layers = [one for one in model.encoder.modules() if isinstance(one, torch.nn.Linear | torch.nn.LSTM)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        graph = str(torch.jit.load(str(file)).inlined_graph)  # type: ignore[no-untyped-call]
    quantized = graph.count("quantized::linear_dynamic(") + graph.count("aten::quantized_lstm(")
    assert quantized == len(layers) > 0
    assert "aten::lstm(" not in graph
    with zipfile.ZipFile(file) as members:
        assert not [name for name in members.namelist() if name.endswith(".debug_pkl")]


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_smaller_than_with_layers_in_fp32(engine: str, tmp_path: Path) -> None:
    sizes = []
    for variant in (VARIANTS[f"{engine}-int8"], dense(engine)):
        (folder := tmp_path / str(variant.dense)).mkdir()
        write(Combination("table", "lstm"), variant, folder)
        sizes.append(sum(file.stat().st_size for file in folder.iterdir()))
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_of_this_machine_is_inside(engine: str, tmp_path: Path) -> None:
    write(Combination("table", "transformer"), dense(engine), tmp_path)
    files = sorted(tmp_path.iterdir())
    expected = ["model.pt"] if engine == "torchscript" else ["model.onnx", "model.onnx.data"]
    assert [file.name for file in files] == expected
    for path in (tmp_path, Path(__file__).parents[3]):
        assert not [file.name for file in files if bytes(path) in file.read_bytes()]


def test_a_bag_has_no_layers_to_quantize_and_says_so() -> None:
    model, _ = made(Combination("table", "bag"))
    for variant in choose(None, quantize_dense=True):
        reason = variant.unsupported_reason(model)
        assert (reason is not None) == (variant.precision == "int8")
        assert reason is None or "no dense layers" in reason
