"""A model of Triton's Python backend: model.py in the folder of a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb
from lexport_model import ArchivedModel

_TYPES = {"BYTES": np.object_, "FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_}


class TritonPythonModel:
    """Answers batches of requests as lexport's servers answer the Open Inference Protocol v2."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the archive, in the folder `model` of this version."""
        self._model = ArchivedModel(Path(args["model_repository"]) / args["model_version"] / "model")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests that Triton put together."""
        answers = self._model.answer([_request(one) for one in requests])
        return [_response(*answer) for answer in answers]


def _request(request: Any) -> dict[str, Any]:
    text, image, lang = (_input(request, name) for name in ("text", "image", "lang"))
    if text is None and image is not None:
        found = {"name": "image", "shape": list(image.shape), "datatype": "FP32", "data": image.ravel().tolist()}
        return {"inputs": [found]}
    texts = [] if text is None else [one.decode("utf-8", "surrogateescape") for one in text.ravel()]
    asked: dict[str, Any] = {
        "inputs": [{"name": "text", "shape": [len(texts), 1], "datatype": "BYTES", "data": texts}]
    }
    if lang is not None:
        asked["parameters"] = {"lang": [one.decode("utf-8", "surrogateescape") for one in lang.ravel()]}
    return asked


def _input(request: Any, name: str) -> Any:
    tensor = pb.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def _response(status: int, answer: dict[str, Any]) -> Any:
    if status != 200:
        return pb.InferenceResponse([], pb.TritonError(f"{answer['error']} Expected: {answer['expected']}."))
    return pb.InferenceResponse([_tensor(one) for one in answer["outputs"]])


def _tensor(output: dict[str, Any]) -> Any:
    data = output["data"]
    if output["datatype"] == "BYTES":
        data = [one.encode() for one in data]
    return pb.Tensor(output["name"], np.array(data, _TYPES[output["datatype"]]).reshape(output["shape"]))
