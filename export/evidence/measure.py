"""Measure the quality, size and speed of a variant through the code that will serve it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.load import Dataset
from ...evaluation.bootstrap import bootstrap_means, percentile_interval
from ...evaluation.metrics import Outputs
from ...evaluation.model import OpenedModel
from ...evaluation.robustness import robustness
from ...evaluation.tasks import task_of_run
from ...handlers.model.distributions import Distributions
from ...handlers.model.predictor import Predictor
from ...handlers.text.batch import Batch

if TYPE_CHECKING:
    from ...models.run import Run  # which needs torch

BATCHES = (1, 8, 64)
_SECONDS_A_BATCH_SIZE = 0.1
_LEAST_RUNS = 15
_TURNS = 41
_DIFFERENT = 64  # batches are prepared at most
_SINGLE_TEXTS = 512
_RATES = (0.1, 0.3)
_NOISY = 200  # texts, and ten noisy copies of each
# Fields that only `lexport evaluate` reports.
_VERBOSE_FIELDS = ("per_class", "confusion", "count")


def predict_batched(predictor: Predictor, part: Dataset, seen: Distributions | None = None) -> Outputs:
    """Return a task's outputs for one part of the data, in batches of 64 as on a busy server.

    `seen` counts the texts, and those of pairs.
    """
    batches = [part.batch] if part.pairs is None else [part.batch, Batch(part.pairs, part.languages)]
    found = []
    for batch in batches:
        for piece in batch.pieces(64):
            counted, outputs = predictor.raw_outputs(piece)
            found.append(outputs)
            if seen is not None:
                seen.add(counted, outputs)
    if part.images is not None:
        found.append(predictor.image_outputs(part.images))
    return np.concatenate(found)


def counting(predictor: Predictor) -> Distributions:
    """Return what counts a variant's texts, as a worker does."""
    return Distributions(predictor.decoder, predictor.labels, predictor.model.threshold)


def quality(run: Run, part: Dataset, trained: Outputs, found: Outputs) -> dict[str, Any]:
    """Return the metrics of the outputs `found`, and their differences from the `trained` outputs.

    interval: the 95 % bootstrap interval of the metric that the gates read.
    """
    task = task_of_run(run)
    metrics, flipped = task.metrics(part, found), task.flips(found, trained)
    drawn = task.metric(bootstrap_means(task.terms(part, found)))
    return {
        "texts": len(part),
        **{name: value for name, value in metrics.items() if name not in _VERBOSE_FIELDS},
        "interval": percentile_interval(drawn),
        "flips": flipped,
        "flip_share": flipped / len(part),
        "largest_difference": float(np.abs(found - trained).max()),
    }


def batch_sensitivity(run: Run, predictor: Predictor, part: Dataset, together: Outputs) -> dict[str, Any]:
    """Compare the outputs of the first texts, each alone, with `together`, the outputs in batches of 64.

    texts: number of texts. largest_change: of a score or a vector's component. flips: `Task.flips_alone`.
    """
    count = min(len(part), _SINGLE_TEXTS)
    alone = np.concatenate([predictor.raw_outputs(one)[1] for one in part.batch[:count].pieces(1)])
    batched = together[:count]
    flipped = task_of_run(run).flips_alone(alone, batched)
    return {"texts": count, "largest_change": float(np.abs(alone - batched).max()), "flips": flipped}


def calibration_error(run: Run, part: Dataset, outputs: Outputs) -> float | None:
    """Return the expected calibration error; None for vectors."""
    found = task_of_run(run).calibration(part, outputs)
    return None if found is None else float(found["expected_calibration_error"])


def on_unknown_words(run: Run, predictor: Predictor, part: Dataset) -> dict[str, Any]:
    """Return `robustness` of the first texts."""
    few = part.take(range(min(len(part), _NOISY)), part.name)
    model = OpenedModel(lambda copy: predict_batched(predictor, copy), run.encoder)
    found = robustness(task_of_run(run), few, predict_batched(predictor, few), model, _RATES)
    return found | {"texts": len(few)}


def worst_texts(run: Run, part: Dataset, trained: Outputs, found: Outputs, most: int = 10) -> list[dict[str, Any]]:
    """Return the texts whose outputs differ most, flipped ones first, with both answers."""
    task = task_of_run(run)
    differences = task.distances(found, trained, len(part))
    flipped = task.changed(found, trained)
    order = np.lexsort((-differences, ~flipped))[:most]
    return [
        {
            "text": part.texts[row],
            "trained": task.describe(trained[row]),
            "variant": task.describe(found[row]),
            "difference": float(differences[row]),
        }
        for row in order.tolist()
    ]


def latency(predictor: Predictor, part: Dataset) -> dict[str, Any]:
    """Return milliseconds by batch size, from texts to answers and of the model alone."""
    results: dict[str, Any] = {}
    for size in BATCHES:
        firsts = islice(range(0, len(part) - size + 1, size), _DIFFERENT)
        rows = [list(range(first, first + size)) for first in firsts]
        rows = rows or [(list(range(len(part))) * size)[:size]]
        batches = [part.batch.take(own) for own in rows]
        calls = [predictor.engine_call(batch) for batch in batches]
        whole = _times([partial(predictor.predict, batch.texts, batch.languages) for batch in batches])
        model = _times(calls)
        results[str(size)] = {
            "median_ms": statistics.median(whole),
            "p5_ms": float(np.percentile(whole, 5)),
            "p95_ms": float(np.percentile(whole, 95)),
            "model_median_ms": statistics.median(model),
            "runs": len(whole),
        }
    return results


def speedup(predictor: Predictor, plain: Predictor, part: Dataset) -> float:
    """Return how many times faster than `plain` a variant answers 8 texts: the median ratio of alternating calls.

    The calls alternate, so that other load on the machine affects both.
    """
    size = min(8, len(part))
    ratios: list[float] = []
    for turn in range(_TURNS):
        first = turn * size % (len(part) - size + 1)
        batch = part.batch[first : first + size]
        took = []
        for one in (plain, predictor):
            one.predict(batch.texts, batch.languages)  # warm the caches for both
            started = time.perf_counter()
            one.predict(batch.texts, batch.languages)
            took.append(time.perf_counter() - started)
        ratios.append(took[0] / took[1])
    return statistics.median(ratios)


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
    """Return the bytes of a variant's model files, with the image tower; a vocabulary counts only for text-in."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.name.startswith(("model.", "image.")))
