"""How sure a metric is: 95 % intervals by drawing the texts anew, always the same draws.

B. Efron (1979), Bootstrap methods: another look at the jackknife, The Annals of Statistics 7(1), 1–26. Texts are
drawn with replacement, and with a text all that belongs to it: its decisions on every label, the answers to its noisy
copies. What is searched (all pairs, all images) stays as it is, and so does the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.load import Dataset, label_sets
from ..handlers.text.encoder import Ids
from .metrics import AT, carried, ranks, wilson
from .tasks import Outputs, group_ids

Values = npt.NDArray[np.float64]

DRAWS = 1000
_BLOCK = 1 << 22  # counts held at a time: 32 MiB


def resampled(values: Values, counts: Ids | None = None) -> Values:
    """The means of `values` (float64 [texts, m]) over texts drawn anew, float64 [DRAWS, m].

    With `counts` (int64 [rows]) a row of `values` stands for so many texts. Raises ValueError if there are none.
    """
    texts = len(values) if counts is None else int(counts.sum())
    if not texts:
        raise ValueError("no texts to draw from")
    generator = np.random.default_rng(0)
    return np.concatenate([drawn @ values for drawn in _drawn(generator, len(values), texts, counts)]) / texts


def _drawn(generator: np.random.Generator, rows: int, texts: int, counts: Ids | None) -> Iterator[Values]:
    """How often each row is drawn, a block of draws at a time: float64 [draws, rows]."""
    size = max(1, _BLOCK // rows)
    for first in range(0, DRAWS, size):
        draws = min(size, DRAWS - first)
        if counts is not None:
            yield generator.multinomial(texts, counts / texts, draws).astype(np.float64)
            continue
        places = generator.integers(0, rows, (draws, texts)) + rows * np.arange(draws)[:, None]
        yield np.bincount(places.ravel(), minlength=draws * rows).reshape(draws, rows).astype(np.float64)


def ends(values: Values) -> list[float]:
    """The middle 95 % of resampled `values` [draws], as [low, high]."""
    return [float(end) for end in np.percentile(values, (2.5, 97.5))]


def headline(task: str, part: Dataset, outputs: Outputs, labels: Sequence[str], threshold: float = 0.5) -> Values:
    """What each text adds to the task's own metric, float64 [texts, m]; `headline_of` makes it of the means."""
    if task == "classify":
        place = {label: index for index, label in enumerate(labels)}
        truth = np.array([place[label] for label in part.labels])
        return np.where(outputs.argmax(axis=1) == truth, 1.0, 0.0)[:, None]
    if task == "multilabel":
        held, answered = carried(label_sets(part.labels), labels), outputs >= threshold
        return np.stack([(held & answered).sum(axis=1), (held * 1.0 + answered).sum(axis=1)], axis=1)
    return (target_ranks(task, part, outputs) <= 1)[:, None].astype(np.float64)


def headline_of(task: str, means: Values) -> Values:
    """The task's own metric, float64 […], from means of what `headline` gives, float64 […, m]."""
    return _f1(means[..., 0], means[..., 1]) if task == "multilabel" else means[..., 0]


def add_intervals(
    task: str,
    part: Dataset,
    outputs: Outputs,
    labels: Sequence[str],
    found: dict[str, Any],
    threshold: float = 0.5,
) -> dict[str, Any]:
    """`found`, as `tasks.judge` gives it, with `NAME_interval` [low, high] after every metric.

    Wilson's for the share of texts that are all right, otherwise drawn anew.
    """
    if task == "vector":
        return _with(found, _of_ranks(target_ranks(task, part, outputs)))
    if task == "joint":
        back = _of_ranks(target_ranks(task, part, outputs, back=True))
        both = found | {"image_to_text": _with(found["image_to_text"], back)}
        return _with(both, _of_ranks(target_ranks(task, part, outputs)))
    right = round(found["accuracy"] * found["count"])
    intervals = {"accuracy": list(wilson(right, found["count"]))}
    if task == "classify":
        drawn = _of_cells(np.array(found["confusion"], np.int64))
    else:
        held, answered = carried(label_sets(part.labels), labels), outputs >= threshold
        drawn = resampled(np.hstack([held & answered, held * 1.0 + answered]))
    hits, sums = np.hsplit(drawn, 2)
    if task == "multilabel":
        intervals["micro_f1"] = ends(_f1(hits.sum(axis=1), sums.sum(axis=1)))
    intervals["macro_f1"] = ends(_f1(hits, sums).mean(axis=1))
    return _with(found, intervals)


def target_ranks(task: str, part: Dataset, outputs: Outputs, *, back: bool = False) -> Values:
    """The rank of each text's first right pair or image, float64 [texts]; with `back` of each image's text."""
    groups, (texts, others) = group_ids(task, part), (outputs[: len(part)], outputs[len(part) :])
    return ranks(others, texts, groups, groups) if back else ranks(texts, others, groups, groups)


def _of_cells(confusion: Ids) -> Values:
    """The means of each label's hits, and of its answers and support together, float64 [DRAWS, 2 * labels].

    Texts of one cell of the confusion matrix are alike, so the cells are drawn.
    """
    truth, answer = np.nonzero(confusion)
    every, size = np.arange(len(truth)), len(confusion)
    parts = np.zeros((len(truth), 2 * size))
    parts[every[truth == answer], truth[truth == answer]] = 1.0
    np.add.at(parts, (every, size + truth), 1.0)
    np.add.at(parts, (every, size + answer), 1.0)
    return resampled(parts, confusion[truth, answer])


def _of_ranks(found: Values) -> dict[str, list[float]]:
    drawn = resampled(np.stack([*((found <= k) * 1.0 for k in AT), 1 / found], axis=1))
    names = [*(f"recall_at_{k}" for k in AT), "mean_reciprocal_rank"]
    return {name: ends(drawn[:, place]) for place, name in enumerate(names)}


def _f1(hits: Values, sums: Values) -> Values:
    """Twice `hits` by `sums`, the answers and the support together; 0.0 where nothing can be divided."""
    return np.divide(2 * hits, sums, out=np.zeros_like(hits), where=sums > 0)


def _with(found: dict[str, Any], intervals: dict[str, list[float]]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    for name, value in found.items():
        more[name] = value
        if name in intervals:
            more[f"{name}_interval"] = intervals[name]
    return more
