"""An encoder's dense layers in eight bits, their inputs quantized as they come: products, attention, LSTMs.

One scale serves all that a layer is given, the whole batch, in torch and in ONNX Runtime alike: a score then depends
on the other texts of its batch, by as much as the evidence says. So it is done where it is asked for alone. The head
and the table's sums stay in float32.

Both engines start from the fp32 model: what torch has quantized cannot be exported to ONNX.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from torch import nn

from ...models.compose import TextModel

_LAYERS = (nn.Linear, nn.LSTM)
_OPERATORS = ["MatMul", "LSTM"]
Weights = npt.NDArray[np.float32]


def has_dense_layers(encoder: nn.Module) -> bool:
    """Return whether an encoder has layers that can be quantized."""
    return any(isinstance(module, _LAYERS) for module in encoder.modules())


def quantized_for_torch(model: TextModel) -> TextModel:
    """Return the model with its encoder's layers in 8 bits; embedding and head are shared with the original."""
    # Deprecated in torch 2.13, still there, and the only one that TorchScript saves.
    from torch.ao.quantization import default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = {nn.Linear: per_channel_dynamic_qconfig, nn.LSTM: default_dynamic_qconfig}
        encoder = quantize_dynamic(model.encoder.eval(), layers)  # type: ignore[no-untyped-call]
    return type(model)(model.embedding, encoder, model.head).eval()


def quantize_onnx(path: Path, model: TextModel) -> None:
    """Quantize the encoder's layers in the ONNX file of a model, in its place.

    Raises RuntimeError if an LSTM stayed as it was, or everything did.
    """
    others = [layer for part in (model.embedding, model.head) for layer in part.modules()]
    matrices = [layer.weight.detach().numpy() for layer in others if isinstance(layer, nn.Linear)]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

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
        quantize_dynamic(
            basic,
            quantized,
            op_types_to_quantize=_OPERATORS,
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_multiplying(basic, matrices),
            use_external_data_format=True,
            extra_options={"MatMulConstBOnly": True},
        )
        written = onnx.load(str(quantized))
    kinds = [node.op_type for node in written.graph.node]
    if "LSTM" in kinds or not {"DynamicQuantizeLSTM", "MatMulInteger", "DynamicQuantizeMatMul"} & set(kinds):
        raise RuntimeError(
            f"{path.name}: the quantizer left layers in float32; the operators are {sorted(set(kinds))}."
        )
    del written.metadata_props[:]
    data = f"{path.name}.data"
    (path.parent / data).unlink(missing_ok=True)  # onnx would append to it
    onnx.save(written, str(path), save_as_external_data=True, location=data, size_threshold=1024)


def _mark_prepared(path: Path) -> None:
    """Say that the model is optimised already; the quantizer would advise to do so."""
    model = onnx.load(str(path), load_external_data=False)
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.save(model, str(path))


def _multiplying(path: Path, matrices: Sequence[Weights]) -> list[str]:
    """Return the names, in the quantizer, of the nodes that multiply by one of the matrices or its transpose."""
    graph = onnx.load(str(path)).graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    found = [
        node.name
        for node in graph.node
        for name in node.input
        if name in constants and any(np.array_equal(constants[name], way) for one in matrices for way in (one, one.T))
    ]
    return [name for one in found for name in (one, f"{one}_MatMul")]  # which becomes of a Gemm
