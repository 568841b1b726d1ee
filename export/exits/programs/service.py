"""A service for BentoML: bentoml serve service:Service, in this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bentoml
from lexport_model import ArchivedModel

FOLDER = Path(__file__).resolve().parent / "model"
NAME = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))["name"]


@bentoml.service(name=NAME.lower().replace(".", "-"), workers=1)
class Service:
    """Answers batches of requests with an archive's model."""

    def __init__(self) -> None:
        """Open the archive."""
        self._model = ArchivedModel(FOLDER)

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10000)
    async def predict(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return an answer to each request, such as {"text": "…"}; to one that is refused, {"error": …}."""
        return [answer for _, answer in self._model.answer(requests)]
