"""How good answers are: accuracy, F1, the confusion matrix, and how sure one can be of the accuracy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .openers import listed

_Z95 = NormalDist().inv_cdf(0.975)  # 1.96: the normal quantile of a two-sided 95 % interval


def score(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Compare `predicted` with `truth`, both over the model's `labels`.

    Returns what JSON can hold, all shares from 0 to 1: `accuracy`; `macro_f1`, the mean F1 of all `labels`,
    also of those that never occur; `per_class` {label: {precision, recall, f1, support}}, 0.0 where nothing
    can be divided; `confusion`, a list of rows, rows the truth and columns the predictions in the order of
    `labels`; `count`. Raises InputError if `truth` has a label that the model does not know, ValueError if
    there are no texts, the lengths differ or a prediction is not one of `labels`.
    """
    place = {label: index for index, label in enumerate(labels)}
    if not truth or len(place) != len(labels):
        raise ValueError("at least one text and distinct labels are needed")
    foreign = Counter(label for label in truth if label not in place)
    if foreign:
        raise InputError(
            f"{foreign.total():,} of {len(truth):,} texts have a label that the model does not know: "
            f"{listed(sorted(foreign))}. Its labels are: {listed(labels)}. Rename or remove these rows."
        )
    if not place.keys() >= set(predicted):
        raise ValueError("a prediction is not one of the labels")
    confusion: npt.NDArray[np.int64] = np.zeros((len(labels), len(labels)), dtype=np.int64)
    pairs = np.array([(place[t], place[p]) for t, p in zip(truth, predicted, strict=True)])
    np.add.at(confusion, (pairs[:, 0], pairs[:, 1]), 1)
    hits = confusion.diagonal()
    support, answers = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _shares(hits, answers), _shares(hits, support)
    f1 = _shares(2 * hits, support + answers)
    return {
        "accuracy": float(hits.sum() / len(truth)),
        "macro_f1": float(f1.mean()),
        "per_class": {
            label: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(support[index]),
            }
            for label, index in place.items()
        },
        "confusion": confusion.tolist(),
        "count": len(truth),
    }


def _shares(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The quotients `part / whole`, 0.0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % score interval (low, high) of a share, such as of an accuracy of `successes` out of `n` texts.

    Sound near 0 and 1 and for few texts, where the usual mean ± 1.96 standard errors is not. E. B. Wilson
    (1927), Probable inference, the law of succession, and statistical inference, Journal of the American
    Statistical Association 22(158), 209–212. Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}: 0 <= successes <= n and n > 0 were expected")
    share, square = successes / n, _Z95**2
    centre = share + square / (2 * n)
    reach = _Z95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    low = 0.0 if successes == 0 else (centre - reach) / scale
    high = 1.0 if successes == n else (centre + reach) / scale
    return low, high
