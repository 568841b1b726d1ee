"""The paths of the Open Inference Protocol v2 that tell about server and models; `handlers` answer its `infer`.

https://github.com/kserve/open-inference-protocol (REST); the index, `load` and `unload` are Triton's extension for
model repositories.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ....handlers.model.predictor import Predictor
from ....handlers.request.outputs import DATATYPES
from ....version import __version__

SERVER = {"name": "lexport", "version": __version__, "extensions": ["binary_tensor_data", "model_repository"]}
READY, UNAVAILABLE = "READY", "UNAVAILABLE"


def metadata(name: str, versions: Sequence[str], predictor: Predictor) -> dict[str, Any]:
    """Return what a model takes and gives: names, types and shapes of its tensors, -1 for the number of texts."""
    model, decoder = predictor.model, predictor.decoder
    inputs = [_tensor("text", "BYTES", [-1])]
    if decoder.TAKES_IMAGES:
        inputs.append(_tensor("image", "FP32", [-1, model.image_values]))
    widths = {"scores": len(predictor.labels), "vector": -1}
    outputs = [
        _tensor(output, DATATYPES[output], [-1, widths[output]] if output in widths else [-1])
        for output in decoder.TENSORS
    ]
    return {
        "name": name,
        "versions": list(versions),
        "platform": f"lexport_{model.engine}",
        "inputs": inputs,
        "outputs": outputs,
    }


def index(states: Iterable[tuple[str, str, bool]]) -> list[dict[str, str]]:
    """Return the repository's index of (name, version, whether it answers)."""
    return [
        {"name": name, "version": version, "state": READY if ready else UNAVAILABLE, "reason": ""}
        for name, version, ready in states
    ]


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}
