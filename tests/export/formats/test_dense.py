"""Encoders with wide layers in 8 bits too: truly quantized, near the trained model, in any shape of batch."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime.quantization
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from lexport.export.formats.dense import quantize_onnx
from lexport.export.formats.variants import DYNAMIC, VARIANTS, Variant
from lexport.handlers.engine.engines import open_engine

from ...chain.combination_cases import BATCHES, Combination, assembled, check_symbolic, eager, made, written

# With layers wide enough for 8 bits in both engines.
COMBINATIONS = [
    CNN := Combination("table", "cnn", dim=48),
    LSTM := Combination("hashed", "lstm", dim=960),
    Combination("table", "lstm", "multilabel", dim=960),
    TRANSFORMER := Combination("table", "transformer", dim=96),
    Combination("char_cnn", "transformer", "vector", dim=96),
    Combination("table", "cnn", "joint", dim=48),
]
_SLOW = {COMBINATIONS[2], COMBINATIONS[3], COMBINATIONS[5]}
ENGINES = ("torchscript", "onnx")
# In models of random weights; of trained ones the evidence says.
BOUND = 0.05


def dense(engine: str) -> Variant:
    return VARIANTS[f"{engine}-int8-dynamic"]


def each(combinations: list[Combination]) -> list[Any]:
    """The combinations as parameters, those with a quicker one of their kind for long runs alone."""
    return [pytest.param(one, marks=[pytest.mark.long] if one in _SLOW else [], id=str(one)) for one in combinations]


def exported(combination: Combination, variant: Variant) -> Path:
    """The model file of a combination, exported once; tests only read it."""
    return written(combination, variant.name) / variant.file


def operators(file: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(str(file), load_external_data=False).graph.node)


def linear(*sizes: int) -> nn.Sequential:
    """An encoder of products, `sizes` are the inputs of each and the outputs of the last."""
    return nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(sizes)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("combination", each(COMBINATIONS))
def test_it_answers_near_the_trained_model_in_any_batch(combination: Combination, engine: str) -> None:
    file = exported(combination, dense(engine))
    run = open_engine(engine, file, threads=1, device="cpu")
    for name, texts in BATCHES.items():
        ids = assembled(combination, texts)
        np.testing.assert_allclose(run(ids), eager(combination, ids), rtol=0, atol=BOUND, err_msg=name)
    if engine == "onnx":
        check_symbolic(file, 3 if combination.embedding == "char_cnn" else 2)


# Three widths of filters; one LSTM a direction; two blocks of a product before and after attention and two behind it.
QUANTIZED = {"cnn": {"MatMulInteger": 3}, "lstm": {"DynamicQuantizeLSTM": 2}, "transformer": {"MatMulInteger": 8}}


@pytest.mark.parametrize("combination", each(COMBINATIONS))
def test_every_wide_layer_is_truly_quantized_in_onnx_and_the_head_is_not(combination: Combination) -> None:
    file = exported(combination, dense("onnx"))
    found = operators(file)
    quantized = {kind: found[kind] for kind in ("MatMulInteger", "DynamicQuantizeLSTM") if found[kind]}
    assert quantized == QUANTIZED[combination.encoder]
    assert found["LSTM"] == 0
    model, _ = made(combination)
    constants = [numpy_helper.to_array(one) for one in onnx.load(str(file)).graph.initializer]
    for weight in model.head.parameters():
        if weight.dim() == 2 and combination.task != "joint":
            own = weight.detach().numpy()
            assert any(np.array_equal(one, own) or np.array_equal(one, own.T) for one in constants)


@pytest.mark.parametrize("combination", [TRANSFORMER, LSTM], ids=str)
def test_no_sum_of_two_products_overflows_sixteen_bits(combination: Combination) -> None:
    """Without VNNI, ONNX Runtime adds them up in 16 bits, which stop at 32,767."""
    file = exported(combination, dense("onnx"))
    graph = onnx.load(str(file)).graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    weights = [
        constants[name]
        for node in graph.node
        if node.op_type in ("MatMulInteger", "DynamicQuantizeLSTM")
        for name in node.input[1:3]
        if name in constants and constants[name].dtype == np.int8
    ]
    assert weights
    for weight in weights:
        assert 0 < 2 * 255 * np.abs(weight.astype(int)).max() <= 32_767


@pytest.mark.parametrize("combination", each(COMBINATIONS))
def test_every_wide_layer_is_quantized_in_torchscript(combination: Combination) -> None:
    file = exported(combination, dense("torchscript"))
    model, _ = made(combination)
    layers = [one for one in model.encoder.modules() if isinstance(one, nn.Linear | nn.LSTM)]
    graph = graph_of(file)
    quantized = graph.count("quantized::linear_dynamic(") + graph.count("aten::quantized_lstm(")
    assert quantized == len(layers) > 0
    assert "aten::lstm(" not in graph
    with zipfile.ZipFile(file) as members:
        assert not [name for name in members.namelist() if name.endswith(".debug_pkl")]


def graph_of(file: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return str(torch.jit.load(str(file)).inlined_graph)  # type: ignore[no-untyped-call]


def test_narrow_layers_stay_in_fp32_in_both_engines() -> None:
    """Of three widths of filters over vectors of 40, those of two tokens have 80 inputs: fewer than 96."""
    combination = replace(CNN, dim=40)
    assert operators(exported(combination, dense("onnx")))["MatMulInteger"] == 2
    graph = graph_of(exported(combination, dense("torchscript")))
    assert graph.count("quantized::linear_dynamic(") == 2


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_smaller_than_with_layers_in_fp32(engine: str) -> None:
    sizes = []
    for variant in (VARIANTS[f"{engine}-int8"], dense(engine)):
        folder = exported(LSTM, variant).parent
        sizes.append(sum(file.stat().st_size for file in folder.iterdir()))
    assert sizes[1] < 0.4 * sizes[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_of_this_machine_is_inside(engine: str) -> None:
    folder = exported(TRANSFORMER, dense(engine)).parent
    files = sorted(folder.iterdir())
    expected = ["model.pt"] if engine == "torchscript" else ["model.onnx", "model.onnx.data"]
    assert [file.name for file in files] == expected
    for path in (folder, Path(__file__).parents[3]):
        assert not [file.name for file in files if bytes(path) in file.read_bytes()]


@pytest.mark.parametrize("name", DYNAMIC)
def test_an_encoder_without_dense_layers_says_so(name: str) -> None:
    model, _ = made(Combination("table", "bag"))
    assert VARIANTS[name].unsupported_reason(model) == "its encoder has no dense layers"


@pytest.mark.parametrize(
    ("encoder", "engines"),
    [
        (linear(96, 64), ENGINES),
        (linear(95, 64), ()),
        (linear(96, 63), ()),
        (linear(96, 128, 64), ENGINES),
        # Half of the weights, and less than half.
        (nn.ModuleList([nn.Linear(96, 64), nn.Linear(64, 96)]), ENGINES),
        (nn.ModuleList([nn.Linear(96, 64), nn.Linear(64, 97)]), ()),
        # In both matrices of one direction.
        (nn.LSTM(128, 128), ("onnx",)),
        (nn.LSTM(127, 128), ()),
        (nn.LSTM(256, 181), ENGINES),
        (nn.LSTM(64, 64, bidirectional=True, num_layers=4), ()),
    ],
    ids=str,
)
def test_only_encoders_that_mostly_gain_by_it_are_quantized(encoder: nn.Module, engines: tuple[str, ...]) -> None:
    model, _ = made(Combination("table", "bag"))
    changed = type(model)(model.embedding, encoder, model.head)  # type: ignore[arg-type]
    for engine in ENGINES:
        reason = dense(engine).unsupported_reason(changed)
        assert (reason is None) == (engine in engines)
        assert reason is None or "too narrow to answer faster in 8 bits (products of fewer than 96 inputs" in reason


def test_a_quantizer_that_leaves_a_wide_layer_as_it_is_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = exported(LSTM, VARIANTS["onnx-int8"])
    file = shutil.copytree(own.parent, tmp_path / "copy") / own.name
    original = onnxruntime.quantization.quantize_dynamic
    monkeypatch.setattr(
        onnxruntime.quantization,
        "quantize_dynamic",
        lambda *given, **options: original(*given, **{**options, "op_types_to_quantize": ["MatMul"]}),
    )
    with pytest.raises(RuntimeError, match=r"model\.onnx: the quantizer made .* of \{'LSTM': 2\} wide layers"):
        quantize_onnx(file, made(LSTM)[0])
