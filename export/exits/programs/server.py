"""A server of KServe: python server.py --http_port 8080 --enable_grpc=false; pip install -r requirements.txt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kserve
from kserve.errors import InvalidInput
from lexport_model import ArchivedModel, Refused

FOLDER = Path(__file__).resolve().parent / "model"
NAME = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))["name"]


class Server(kserve.Model):
    """Answers both protocols of KServe with an archive's model."""

    def load(self) -> bool:
        """Open the archive."""
        self._model = ArchivedModel(FOLDER)
        self.ready = True
        return self.ready

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Answer protocol v2 as lexport's servers do, and v1 with `predictions`. Raises InvalidInput."""
        if isinstance(payload, kserve.InferRequest):
            try:
                answer = self._model.infer(_request(payload))
            except Refused as refused:
                raise InvalidInput(str(refused)) from None
            outputs = [_output(one) for one in answer["outputs"]]
            return kserve.InferResponse(payload.id or "", self.name, outputs)
        found = self._model.answer([_instance(one) for one in payload["instances"]])
        wrong = [str(Refused(status, answer)) for status, answer in found if status != 200]
        if wrong:
            raise InvalidInput(wrong[0])
        return {"predictions": [answer for _, answer in found]}


def _request(payload: Any) -> dict[str, Any]:
    lang = (payload.parameters or {}).get("lang")
    return {
        "inputs": [_tensor(one) for one in payload.inputs],
        "parameters": {} if lang is None else {"lang": getattr(lang, "string_param", lang)},
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    values = tensor.as_numpy().ravel().tolist()
    # Over gRPC, and in binary tensors, strings are bytes.
    data = [one.decode("utf-8", "surrogateescape") if isinstance(one, bytes) else one for one in values]
    return {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype, "data": data}


def _output(output: dict[str, Any]) -> Any:
    return kserve.InferOutput(output["name"], output["shape"], output["datatype"], output["data"])


def _instance(instance: Any) -> Any:
    return {"text": instance} if isinstance(instance, str) else instance


if __name__ == "__main__":
    server = Server(NAME)
    server.load()
    kserve.ModelServer().start([server])
