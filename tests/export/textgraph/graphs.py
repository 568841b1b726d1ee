"""The text code of a graph alone, before any model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from lexport.export.textgraph import make_text_in
from lexport.handlers.text.encoder import TextEncoder

from .cases import encoder_of


class Front:
    """A graph that answers a text's ids, before a model that does nothing with them."""

    def __init__(self, encoder: TextEncoder) -> None:
        axes = ["batch", "length", "more"][: 3 if encoder.spec.inputs in ("characters", "languages") else 2]
        ids = helper.make_tensor_value_info("ids", TensorProto.INT64, axes)
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, axes)
        nothing = helper.make_node("Cast", ["ids"], ["scores"], to=TensorProto.FLOAT)
        model = helper.make_model(
            helper.make_graph([nothing], "nothing", [ids], [scores]),
            opset_imports=[helper.make_opsetid("", 20)],
            ir_version=10,
        )
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(model, str(path))
            make_text_in(path, encoder, "vector", [], 0.5)
            self.model = onnx.load(str(path))
        self.model.graph.output.append(ids)
        self.session = onnxruntime.InferenceSession(self.model.SerializeToString())

    @staticmethod
    @cache
    def of(layout: str) -> Front:
        return Front(encoder_of(layout))

    def ids(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
        """The ids of a batch."""
        found: npt.NDArray[np.int64] = self.run(["ids"], texts, languages)[0]
        return found

    def run(self, names: list[str], texts: Sequence[str], languages: Sequence[str] | None) -> list[Any]:
        """Any outputs of the graph."""
        feeds: dict[str, Any] = {"texts": np.array(texts, object)}
        if languages is not None:
            feeds["languages"] = np.array(languages, object)
        found: list[Any] = self.session.run(names, feeds)
        return found
