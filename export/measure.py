"""What a variant's answers, size and speed are, measured through the code that will serve it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..handlers.engines import Scores
from ..handlers.predictor import Predictor
from ..handlers.text import Ids
from ..models.data import Dataset
from ..models.metrics import score, wilson

BATCHES = (1, 32)
_SECONDS_A_BATCH_SIZE = 0.3
_LEAST_RUNS = 30


def answers(predictor: Predictor, texts: Sequence[str]) -> Scores:
    """The served scores of many texts, float32 [texts, labels], in batches of 64 as a full server makes them."""
    tables = []
    for first in range(0, len(texts), 64):
        batch = predictor.predict(texts[first : first + 64])
        tables.append([[answer["scores"][label] for label in predictor.labels] for answer in batch])
    return np.array([row for table in tables for row in table], np.float32)


def quality(predictor: Predictor, part: Dataset, trained: Scores, found: Scores) -> dict[str, Any]:
    """The task metric of `found` and how far it is from the trained model's scores on the same texts."""
    labels = predictor.labels
    predicted = [labels[top] for top in found.argmax(axis=1)]
    result = score(part.labels, predicted, labels)
    flips = int((found.argmax(axis=1) != trained.argmax(axis=1)).sum())
    low, high = wilson(sum(a == b for a, b in zip(part.labels, predicted, strict=True)), len(predicted))
    return {
        "texts": len(part.texts),
        "accuracy": result["accuracy"],
        "accuracy_interval": [low, high],
        "macro_f1": result["macro_f1"],
        "flips": flips,
        "flip_share": flips / len(part.texts),
        "largest_difference": float(np.abs(found - trained).max()),
    }


def latency(predictor: Predictor, texts: Sequence[str]) -> dict[str, Any]:
    """Milliseconds by batch size on one thread: from texts to answers, and the model alone."""
    results: dict[str, Any] = {}
    for size in BATCHES:
        batches = [list(texts[first : first + size]) for first in range(0, len(texts) - size + 1, size)]
        batches = batches or [(list(texts) * size)[:size]]
        indices = [predictor.encode(batch)[1] for batch in batches]
        whole = _times([partial(predictor.predict, batch) for batch in batches])
        model = _times([partial(_run_pieces, predictor, pieces) for pieces in indices])
        results[str(size)] = {
            "median_ms": statistics.median(whole),
            "p95_ms": float(np.percentile(whole, 95)),
            "model_median_ms": statistics.median(model),
            "runs": len(whole),
        }
    return results


def _run_pieces(predictor: Predictor, pieces: Sequence[tuple[Ids, Ids]]) -> None:
    for _, ids in pieces:
        predictor.scores(ids)


def _times(calls: Sequence[Callable[[], object]]) -> list[float]:
    for call in calls[:5]:
        call()
    times: list[float] = []
    deadline = time.perf_counter() + _SECONDS_A_BATCH_SIZE
    while len(times) < _LEAST_RUNS or time.perf_counter() < deadline:
        call = calls[len(times) % len(calls)]
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times


def size(folder: Path) -> int:
    """Bytes of a variant's model files; the vocabulary is none of them."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.name.startswith("model."))
