"""A runtime for MLServer: `implementation` in model-settings.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lexport_model import ArchivedModel, Refused
from mlserver import MLModel
from mlserver.errors import MLServerError
from mlserver.types import Datatype, InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri

# MLServer adds others, such as the headers of the request.
_PARAMETERS = ("lang", "content_type")


class ArchivedRuntime(MLModel):
    """Answers requests of the Open Inference Protocol v2 as lexport's servers do."""

    async def load(self) -> bool:
        """Open the archive."""
        self._model = ArchivedModel(Path(await get_model_uri(self.settings)))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request, or a batch of them that MLServer made one. Raises MLServerError."""
        try:
            return InferenceResponse(**self._model.infer(_request(payload)))
        except Refused as refused:
            raise MLServerError(str(refused), refused.status) from None


def _request(payload: InferenceRequest) -> dict[str, Any]:
    request: dict[str, Any] = {"inputs": [_tensor(one) for one in payload.inputs]}
    request["parameters"] = _parameters(payload)
    if payload.id is not None:
        request["id"] = payload.id
    if payload.outputs:
        request["outputs"] = [{"name": one.name} for one in payload.outputs]
    return request


def _tensor(tensor: Any) -> dict[str, Any]:
    # Over gRPC strings are bytes.
    data = [one.decode() if isinstance(one, bytes) else one for one in tensor.data.root]
    shape = list(tensor.shape)
    return {
        "name": tensor.name,
        "shape": shape,
        "datatype": Datatype(tensor.datatype).value,
        "parameters": _parameters(tensor),
        "data": data,
    }


def _parameters(part: Any) -> dict[str, Any]:
    given = part.parameters.model_dump() if part.parameters is not None else {}
    return {name: given[name] for name in _PARAMETERS if given.get(name) is not None}
