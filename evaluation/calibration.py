"""Calibration of scores: of the predictions with a score of 0.8, 80 % should be correct.

The expected calibration error: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), On Calibration of Modern Neural
Networks, arXiv:1706.04599. Instead of bins of equal width we use bins with
equally many scores, so that no bin is nearly empty: J. Nixon and others (2019), Measuring Calibration in Deep
Learning, arXiv:1904.01685. The Brier score: G. W. Brier (1950), Verification of forecasts expressed in terms of
probability, Monthly Weather Review 78(1), 1–3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.load import Dataset, label_sets
from ..handlers.text.encoder import Ids
from .bootstrap import Values, bootstrap_means, percentile_interval
from .metrics import label_matrix, wilson
from .tasks import Outputs

BINS = 15  # as Guo and others
_FEWEST = 20  # scores in a bin, if there are enough for two bins
_CHANCES = 2000
_LEAST = float(np.finfo(np.float32).eps)  # the logarithm of a score of 0 would be infinite


def calibration(task: str, part: Dataset, outputs: Outputs, labels: Sequence[str]) -> dict[str, Any]:
    """Return the calibration of the scores `outputs` for `part`, for "classify" and "multilabel".

    "classify" uses the score of each text's predicted label (`of` "answers"), "multilabel" the score of every label
    for every text (`of` "decisions"). Returns what JSON can hold: `expected_calibration_error`, the mean distance
    between score and share correct over the `bins`; `error_by_chance`, the error that perfectly calibrated scores
    would be expected to show on as many texts; `mean_score`, `share_right` and `excess`, their difference;
    `brier_score`, the squared distances from the truth, summed over the labels for "classify" and averaged for
    "multilabel"; `negative_log_likelihood` (natural logarithm, scores not below 1.2e-7), averaged the same way. All
    but the means and `error_by_chance` have a `NAME_interval`. `bins`: mean `score`, share `right` with
    `right_interval`, `count`, and the range of the scores, `low` to `high`.
    """
    if task == "classify":
        place = {label: index for index, label in enumerate(labels)}
        truth = np.array([place[label] for label in part.labels])
        every, scores = np.arange(len(truth)), outputs.astype(np.float64)
        answer = scores.argmax(axis=1)
        aim = np.zeros_like(scores)
        aim[every, truth] = 1.0
        squares = ((scores - aim) ** 2).sum(axis=1)
        logs = -np.log(np.clip(scores[every, truth], _LEAST, 1.0))
        return _metrics("answers", scores[every, answer][:, None], (answer == truth)[:, None], squares, logs)
    truth, scores = label_matrix(label_sets(part.labels), labels), outputs.astype(np.float64)
    squares = ((scores - truth) ** 2).mean(axis=1)
    logs = -np.log(np.clip(np.where(truth, scores, 1 - scores), _LEAST, 1.0)).mean(axis=1)
    return _metrics("decisions", scores, truth, squares, logs)


def _metrics(of: str, scores: Values, right: npt.NDArray[np.bool_], squares: Values, logs: Values) -> dict[str, Any]:
    """Return the metrics. `scores` and `right`: [texts, decisions]. `squares` and `logs`: [texts]."""
    texts, decisions = scores.shape
    numbers = equal_mass(scores.ravel())
    count = int(numbers.max()) + 1
    # What each text adds to the bins: the surplus of score over truth.
    gaps = np.zeros((texts, count))
    np.add.at(gaps, (np.repeat(np.arange(texts), decisions), numbers), (scores - right).ravel())
    drawn = bootstrap_means(np.column_stack([gaps, squares, logs])) / np.array([decisions] * count + [1, 1])
    error = float(np.abs(gaps.sum(axis=0)).sum() / scores.size)
    chance = _by_chance(scores.ravel(), numbers)
    return {
        "of": of,
        "expected_calibration_error": error,
        "expected_calibration_error_interval": _interval(error, np.abs(drawn[:, :count]).sum(axis=1), chance),
        "error_by_chance": float(chance.mean()),
        "mean_score": float(scores.mean()),
        "share_right": float(right.mean()),
        "excess": float((scores - right).mean()),
        "excess_interval": percentile_interval(drawn[:, :count].sum(axis=1)),
        "brier_score": float(squares.mean()),
        "brier_score_interval": percentile_interval(drawn[:, count]),
        "negative_log_likelihood": float(logs.mean()),
        "negative_log_likelihood_interval": percentile_interval(drawn[:, count + 1]),
        "bins": [_bin(scores.ravel()[numbers == one], right.ravel()[numbers == one]) for one in range(count)],
    }


def _bin(scores: Values, right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "low": float(scores.min()),
        "high": float(scores.max()),
        "score": float(scores.mean()),
        "right": float(right.mean()),
        "right_interval": list(wilson(int(right.sum()), len(right))),
        "count": len(right),
    }


def equal_mass(scores: Values, most: int = BINS) -> Ids:
    """Return the bin of each of `scores` [n], from 0 to at most `most` - 1, int64 [n], with bins of equal mass.

    Equal scores share a bin, so the order of texts has no influence. No bin is empty. There are fewer bins if a bin
    would have less than twenty scores.
    """
    count = max(1, min(most, len(scores) // _FEWEST))
    ordered = np.sort(scores)
    edges = ordered[[len(scores) * place // count for place in range(1, count)]]
    numbers: Ids = np.unique(np.searchsorted(edges, scores, side="right"), return_inverse=True)[1]
    return numbers


def _by_chance(scores: Values, numbers: Ids) -> Values:
    """Return the errors that perfectly calibrated scores would show, float64 [draws], with normal noise per bin."""
    spreads = np.sqrt(np.bincount(numbers, scores * (1 - scores)))
    drawn = np.random.default_rng(0).standard_normal((_CHANCES, len(spreads)))
    found: Values = np.abs(drawn * spreads).sum(axis=1) / len(scores)
    return found


def _interval(error: float, drawn: Values, chance: Values) -> list[float]:
    """Return the interval of the true error. The measured error is too high: noise in the bins never cancels.

    The resampled errors `drawn` are above the measured one by about the same amount, so the lower end is the mirrored
    upper one. It is 0 if perfectly calibrated scores could show such an error by chance.
    """
    low, middle, high = np.percentile(drawn, (2.5, 50, 97.5)).tolist()
    exact = error <= np.percentile(chance, 97.5)
    return [0.0 if exact else min(max(0.0, 2 * error - high), error), error + middle - low]
