"""Predictors of every task: a function in the engine's place, the real text code around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lexport.handlers.engine.engines import Images, Scores
from lexport.handlers.model.predictor import IdsIn, ModelFile
from lexport.handlers.text.encoder import Ids, TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout

LABELS = ("sport", "kitchen", "weather")
WORDS = {"en": ["goal", "rain"], "de": ["tor", "regen", "brot"]}
PIXELS = 4


def engine(ids: Ids) -> Scores:
    """Three outputs of a text that depend on nothing but its numbers: their sum, their number, their largest."""
    flat = ids.reshape(len(ids), -1)
    sums = np.stack([flat.sum(axis=1), (flat > 0).sum(axis=1), flat.max(axis=1)], axis=1)
    found: Scores = (sums / (1 + sums)).astype(np.float32)
    return found


def tower(images: Images) -> Scores:
    found: Scores = images[:, :3] * np.float32(2)
    return found


def text_encoder(inputs: Layout = Layout.INDICES, **spec: Any) -> TextEncoder:
    if inputs == "languages":
        rows = {language: 1 + len(words) for language, words in WORDS.items()}
        spec |= {"words": 1 + sum(rows.values()), "languages": rows}
        return TextEncoder(TextSpec(inputs=inputs, **spec), [word for words in WORDS.values() for word in words])
    if inputs == "characters":
        return TextEncoder(
            TextSpec(words=2, inputs=inputs, word_length=8, characters=28), [], "abcdefghijklmnopqrstuvwxyz"
        )
    words = [] if inputs == "hashes" else WORDS["en"]
    return TextEncoder(TextSpec(words=2 + len(words), inputs=inputs, **spec), words)


def predictor(
    task: str = "classify",
    inputs: Layout = Layout.INDICES,
    labels: Sequence[str] = LABELS,
    precision: str = "fp32",
    parallel: bool = False,
    vector_bytes: int = 0,
    **spec: Any,
) -> IdsIn:
    joint = task == "joint"
    model = ModelFile(
        "topics",
        "1.0",
        f"onnx-{precision}",
        "onnx",
        precision,
        "model.onnx",
        parallel,
        task=task,
        image_file="image.onnx" if joint else None,
        image_values=PIXELS if joint else 0,
        vector_bytes=vector_bytes,
    )
    return IdsIn(model, text_encoder(inputs, **spec), labels, engine, tower if joint else None)
