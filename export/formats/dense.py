"""An encoder's dense layers in eight bits, their inputs quantized as they come: products, attention, LSTMs.

One scale serves all that a layer is given, the whole batch, in torch and in ONNX Runtime alike: a score then depends
on the other texts of its batch, by as much as the evidence says. So these are variants of their own. Only layers wide
enough to answer faster are quantized; the others, the head and the table's sums stay in float32. How wide is measured
in docs/experiments.md and not at each export, so that the same run is exported to the same bytes anywhere.

Both engines start from the fp32 model: what torch has quantized cannot be exported to ONNX.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from torch import nn

from ...models.compose import TextModel
from .torchscript_onnx import hide_vectors, show_vectors

# A product of fewer inputs or outputs takes less time in float32 than rounding the inputs and widening the outputs.
_LEAST_INPUTS = 96
_LEAST_OUTPUTS = 64
# Of an LSTM, in one layer and direction: torch runs its 8-bit one step by step, ONNX Runtime in one kernel.
_LEAST_LSTM_WEIGHTS = {"torchscript": 262_144, "onnx": 131_072}
_OPERATORS = ["MatMul", "LSTM"]
Weights = npt.NDArray[np.float32]


def reason_against_dense(encoder: nn.Module, engine: str) -> str | None:
    """Return why an encoder does not answer faster with dense layers in 8 bits, in a sentence; None where it does.

    It does where `engine` runs layers faster that hold at least half of the weights of its dense layers.
    """
    layers, wide = _dense_layers(encoder), _wide_layers(encoder, engine)
    if not layers:
        return "its encoder has no dense layers"
    if 2 * sum(map(_weights, wide.values())) >= sum(map(_weights, layers.values())):
        return None
    return (
        f"most of its encoder's dense layers are too narrow to answer faster in 8 bits (products of fewer than "
        f"{_LEAST_INPUTS} inputs or {_LEAST_OUTPUTS} outputs, LSTMs of fewer than {_LEAST_LSTM_WEIGHTS[engine]:,} "
        "weights)"
    )


def quantized_for_torch(model: TextModel) -> TextModel:
    """Return the model with its encoder's wide layers in 8 bits; embedding and head are shared with the original."""
    # Deprecated in torch 2.13, still there, and the only one that TorchScript saves.
    from torch.ao.quantization import default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = {
            name: default_dynamic_qconfig if isinstance(layer, nn.LSTM) else per_channel_dynamic_qconfig
            for name, layer in _wide_layers(model.encoder, "torchscript").items()
        }
        encoder = quantize_dynamic(model.encoder.eval(), layers)  # type: ignore[no-untyped-call]
    return type(model)(model.embedding, encoder, model.head).eval()


def quantize_onnx(path: Path, model: TextModel) -> None:
    """Quantize the encoder's wide layers in the finished ONNX file of a model, in its place.

    Raises RuntimeError if the quantizer left one of them as it was.
    """
    others = [layer for part in (model.embedding, model.head) for layer in part.modules()]
    matrices = [layer.weight.detach().numpy() for layer in others if isinstance(layer, nn.Linear)]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    show_vectors(path)
    with tempfile.TemporaryDirectory() as name:
        basic, quantized = Path(name) / "basic.onnx", Path(name) / path.name
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Optimised as little as this, an LSTM's weights are constants and not yet this machine's business; without
        # it the quantizer would leave them as they are.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(basic)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "basic.data")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _mark_prepared(basic)
        wide, rest = _by_width(basic, matrices)
        quantize_dynamic(
            basic,
            quantized,
            op_types_to_quantize=_OPERATORS,
            per_channel=True,
            weight_type=QuantType.QInt8,
            # Weights of 7 bits: where a processor has no VNNI, two products of 8 bits are added up in 16, which
            # overflow, and the scores of the same file would depend on the machine.
            reduce_range=True,
            nodes_to_exclude=[name for one in rest for name in (one, f"{one}_MatMul")],  # which becomes of a Gemm
            use_external_data_format=True,
            extra_options={"MatMulConstBOnly": True},
        )
        written = onnx.load(str(quantized))
    kinds = Counter(node.op_type for node in written.graph.node)
    found = {"LSTM": kinds["DynamicQuantizeLSTM"], "product": kinds["MatMulInteger"]}
    if not wide or Counter(wide) != Counter(found):
        raise RuntimeError(
            f"{path.name}: the quantizer made {found} of {dict(wide)} wide layers; the operators are {sorted(kinds)}."
        )
    del written.metadata_props[:]
    data = f"{path.name}.data"
    (path.parent / data).unlink(missing_ok=True)  # onnx would append to it
    onnx.save(written, str(path), save_as_external_data=True, location=data, size_threshold=1024)
    hide_vectors(path)


def _dense_layers(encoder: nn.Module) -> dict[str, nn.Linear | nn.LSTM]:
    """Return the layers of an encoder that can be quantized, by their names in it."""
    return {name: layer for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear | nn.LSTM)}


def _wide_layers(encoder: nn.Module, engine: str) -> dict[str, nn.Linear | nn.LSTM]:
    """Return those of them that `engine` runs faster in 8 bits."""
    return {
        name: layer
        for name, layer in _dense_layers(encoder).items()
        if (isinstance(layer, nn.Linear) and _is_wide(layer.in_features, layer.out_features))
        or (isinstance(layer, nn.LSTM) and _weights(layer) >= _LEAST_LSTM_WEIGHTS[engine])
    }


def _is_wide(inputs: int, outputs: int) -> bool:
    return inputs >= _LEAST_INPUTS and outputs >= _LEAST_OUTPUTS


def _weights(layer: nn.Linear | nn.LSTM) -> int:
    """Return the number of weights, of an LSTM in one direction of its first layer."""
    if isinstance(layer, nn.Linear):
        return layer.weight.numel()
    return layer.get_parameter("weight_ih_l0").numel() + layer.get_parameter("weight_hh_l0").numel()


def _mark_prepared(path: Path) -> None:
    """Say that the model is optimised already; the quantizer would advise to do so."""
    model = onnx.load(str(path), load_external_data=False)
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.save(model, str(path))


def _by_width(path: Path, matrices: Sequence[Weights]) -> tuple[Counter[str], list[str]]:
    """Return how many LSTMs and products of a graph gain by 8 bits, and the names of the nodes that do not.

    Neither do those that multiply by one of `matrices`, which are not the encoder's, or by its transpose.
    """
    graph = onnx.load(str(path)).graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    wide: Counter[str] = Counter()
    rest = []
    for node in graph.node:
        own = [constants[name] for name in node.input[1:3] if name in constants]
        if node.op_type not in ("LSTM", "MatMul", "Gemm") or not own:
            continue
        kind = "LSTM" if node.op_type == "LSTM" else "product"
        if kind == "LSTM":  # its two matrices: [directions, 4 × states, inputs or states]
            gains = sum(one.size // one.shape[0] for one in own) >= _LEAST_LSTM_WEIGHTS["onnx"]
        else:
            turned = any(one.name == "transB" and one.i for one in node.attribute)
            matrix = own[0].T if turned else own[0]
            others = any(np.array_equal(matrix, way) for one in matrices for way in (one, one.T))
            gains = matrix.ndim == 2 and _is_wide(*matrix.shape) and not others
        if gains:
            wide[kind] += 1
        else:
            rest.append(node.name)
    return wide, rest
