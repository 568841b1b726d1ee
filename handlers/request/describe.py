"""Describe a model to a client: TorchServe's `GET /models/NAME?customized=true`."""

from __future__ import annotations

import json
from typing import Any

from ..model.predictor import Predictor

MOST_LABELS = 1_000
"""Labels that are named; of more only the number is given."""


def describe(predictor: Predictor) -> dict[str, Any]:
    """Return what a client needs to know of a model: what it takes, what it answers, its limits."""
    model, spec, labels = predictor.model, predictor.spec, predictor.labels
    described: dict[str, Any] = {
        "name": model.name,
        "version": model.version,
        "variant": model.variant,
        "task": model.task,
        "takes": ["text", "image"] if predictor.decoder.TAKES_IMAGES else ["text"],
        "max_tokens": spec.max_tokens,
        "languages": list(predictor.languages),
        "label_count": len(labels),
    }
    if labels and len(labels) <= MOST_LABELS:
        described["labels"] = list(labels)
    if predictor.decoder.TAKES_IMAGES:
        described["image_values"] = model.image_values
    return described


def render_description(predictor: Predictor) -> bytes:
    """Return the description as JSON in UTF-8."""
    return json.dumps(describe(predictor), ensure_ascii=False).encode()
