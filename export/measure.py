"""What a variant's answers, size and speed are, measured through the code that will serve it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..handlers.predictor import Predictor
from ..models.data import Dataset
from ..models.run import Run
from ..models.tasks import Outputs, flips, judge

BATCHES = (1, 32)
_SECONDS_A_BATCH_SIZE = 0.3
_LEAST_RUNS = 30
_ASKED_ALONE = 512
# What the evidence leaves to `lexport evaluate`.
_LONG = ("per_class", "confusion", "count")


def served(predictor: Predictor, part: Dataset) -> Outputs:
    """A task's outputs for one part of the data as they are served, in batches of 64 as a full server makes them."""
    found = _in_batches(predictor, part.texts, part.languages)
    if part.pairs is not None:
        found += _in_batches(predictor, part.pairs, part.languages)
    if part.images is not None:
        found.append(predictor.image_outputs(part.images))
    return np.concatenate(found)


def _in_batches(predictor: Predictor, texts: Sequence[str], languages: Sequence[str] | None) -> list[Outputs]:
    return [
        predictor.answers_raw(
            texts[first : first + 64], None if languages is None else languages[first : first + 64]
        )[1]
        for first in range(0, len(texts), 64)
    ]


def quality(run: Run, part: Dataset, trained: Outputs, found: Outputs) -> dict[str, Any]:
    """The task's metrics of `found` and how far it is from the trained model's outputs for the same part."""
    task = run.recipe.task
    judged = judge(task, part, found, run.labels, run.threshold)
    flipped = flips(task, found, trained, run.threshold)
    return {
        "texts": len(part),
        **{name: value for name, value in judged.items() if name not in _LONG},
        "flips": flipped,
        "flip_share": flipped / len(part),
        "largest_difference": float(np.abs(found - trained).max()),
    }


def batch_sensitivity(run: Run, predictor: Predictor, part: Dataset, together: Outputs) -> dict[str, Any]:
    """How far the first texts' outputs, each asked alone, lie from `together`, theirs in batches of 64 (`served`).

    texts: how many were asked. largest_change: of a score or a vector's component. flips: `tasks.flips`, of vectors
    and joint models texts whose vector is nearest to another text's of those asked.
    """
    count = min(len(part), _ASKED_ALONE)
    languages = part.languages and part.languages[:count]
    alone = np.concatenate(
        [
            predictor.answers_raw([text], None if languages is None else [languages[place]])[1]
            for place, text in enumerate(part.texts[:count])
        ]
    )
    batched, task = together[:count], run.recipe.task
    if task in ("vector", "joint"):
        flipped = int((_nearest(alone) != _nearest(batched)).sum())
    else:
        flipped = flips(task, alone, batched, run.threshold)
    return {"texts": count, "largest_change": float(np.abs(alone - batched).max()), "flips": flipped}


def _nearest(vectors: Outputs) -> npt.NDArray[np.int64]:
    """Which of the others each vector is nearest to, int64 [texts]."""
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    nearest: npt.NDArray[np.int64] = likeness.argmax(axis=1)
    return nearest


def latency(predictor: Predictor, part: Dataset) -> dict[str, Any]:
    """Milliseconds by batch size on one thread: from texts to answers, and the model alone."""
    results: dict[str, Any] = {}
    for size in BATCHES:
        rows = [list(range(first, first + size)) for first in range(0, len(part) - size + 1, size)]
        rows = rows or [(list(range(len(part))) * size)[:size]]
        batches = [
            ([part.texts[row] for row in own], part.languages and [part.languages[row] for row in own])
            for own in rows
        ]
        calls = [predictor.engine_call(*batch) for batch in batches]
        whole = _times([partial(predictor.predict, *batch) for batch in batches])
        model = _times(calls)
        results[str(size)] = {
            "median_ms": statistics.median(whole),
            "p95_ms": float(np.percentile(whole, 95)),
            "model_median_ms": statistics.median(model),
            "runs": len(whole),
        }
    return results


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
    """Bytes of a variant's model files, an image tower's too; the vocabulary is none of them, but of text-in."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.name.startswith(("model.", "image.")))
