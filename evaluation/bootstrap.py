"""Bootstrap confidence intervals of metrics, 95 %, with fixed random draws.

B. Efron (1979), Bootstrap methods: another look at the jackknife, The Annals of Statistics 7(1), 1–26. Texts are
resampled with replacement. Everything that belongs to a text is drawn with it: its decisions on every label, the
predictions for its noisy copies. The search targets (all pairs, all images) and the model do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..handlers.text.encoder import Ids
from .metrics import AT, Values

DRAWS = 1000
_BLOCK = 1 << 22  # counts truth at a time: 32 MiB


def bootstrap_means(values: Values, counts: Ids | None = None) -> Values:
    """Return the means of `values` (float64 [texts, m]) over resampled texts, float64 [DRAWS, m].

    With `counts` (int64 [rows]) each row of `values` stands for that many texts. Raises ValueError without texts.
    """
    texts = len(values) if counts is None else int(counts.sum())
    if not texts:
        raise ValueError("no texts to draw from")
    generator = np.random.default_rng(0)
    return np.concatenate([drawn @ values for drawn in _draw_counts(generator, len(values), texts, counts)]) / texts


def _draw_counts(generator: np.random.Generator, rows: int, texts: int, counts: Ids | None) -> Iterator[Values]:
    """Yield how often each row is drawn, one block of draws at a time: float64 [draws, rows]."""
    size = max(1, _BLOCK // rows)
    for first in range(0, DRAWS, size):
        draws = min(size, DRAWS - first)
        if counts is not None:
            yield generator.multinomial(texts, counts / texts, draws).astype(np.float64)
            continue
        places = generator.integers(0, rows, (draws, texts)) + rows * np.arange(draws)[:, None]
        yield np.bincount(places.ravel(), minlength=draws * rows).reshape(draws, rows).astype(np.float64)


def percentile_interval(values: Values) -> list[float]:
    """Return the middle 95 % of resampled `values` [draws], as [low, high]."""
    return [float(end) for end in np.percentile(values, (2.5, 97.5))]


def confusion_means(confusion: Ids) -> Values:
    """Return the means of each label's hits, and of its predictions plus support, float64 [DRAWS, 2 * labels].

    All texts of one cell of the confusion matrix are the same, so the cells are resampled.
    """
    truth, answer = np.nonzero(confusion)
    every, size = np.arange(len(truth)), len(confusion)
    parts = np.zeros((len(truth), 2 * size))
    parts[every[truth == answer], truth[truth == answer]] = 1.0
    np.add.at(parts, (every, size + truth), 1.0)
    np.add.at(parts, (every, size + answer), 1.0)
    return bootstrap_means(parts, confusion[truth, answer])


def rank_intervals(first: Values) -> dict[str, list[float]]:
    """Return the intervals of the metrics of `metrics.retrieval`, from the `first` correct ranks, float64 [texts]."""
    drawn = bootstrap_means(np.stack([*((first <= k) * 1.0 for k in AT), 1 / first], axis=1))
    names = [*(f"recall_at_{k}" for k in AT), "mean_reciprocal_rank"]
    return {name: percentile_interval(drawn[:, place]) for place, name in enumerate(names)}


def insert_intervals(metrics: dict[str, Any], intervals: dict[str, list[float]]) -> dict[str, Any]:
    """Return `metrics` with `NAME_interval` after every metric NAME that has one in `intervals`."""
    more: dict[str, Any] = {}
    for name, value in metrics.items():
        more[name] = value
        if name in intervals:
            more[f"{name}_interval"] = intervals[name]
    return more
