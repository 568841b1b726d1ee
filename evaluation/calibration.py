"""Calibration of scores: of the predictions with a score of 0.8, 80 % should be correct.

The expected calibration error: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), On Calibration of Modern Neural
Networks, arXiv:1706.04599. Instead of bins of equal width we use bins with
equally many scores, so that no bin is nearly empty: J. Nixon and others (2019), Measuring Calibration in Deep
Learning, arXiv:1904.01685. The Brier score: G. W. Brier (1950), Verification of forecasts expressed in terms of
probability, Monthly Weather Review 78(1), 1–3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..handlers.text.encoder import Ids
from .bootstrap import bootstrap_means, percentile_interval
from .metrics import Values, wilson

BINS = 15  # as Guo and others
_FEWEST = 20  # scores in a bin, if there are enough for two bins
_CHANCES = 2000
LEAST_SCORE = float(np.finfo(np.float32).eps)  # the logarithm of a score of 0 would be infinite


def calibration(
    of: str, scores: Values, right: npt.NDArray[np.bool_], squares: Values, logs: Values
) -> dict[str, Any]:
    """Return the calibration of scores, as JSON can hold it.

    of: "answers", one score a text, or "decisions", one for each label. scores: float64 [texts, decisions], and
    whether each was `right`. squares and logs, float64 [texts]: squared distances from the truth and negative log
    likelihoods (natural logarithm, scores not below LEAST_SCORE).

    Returns `expected_calibration_error`, the mean distance between score and share correct over the `bins`;
    `error_by_chance`, the error that perfectly calibrated scores would be expected to show on as many texts;
    `mean_score`, `share_right` and `excess`, their difference; `brier_score` and `negative_log_likelihood`, the means
    of squares and logs. All but the means and `error_by_chance` have a `NAME_interval`. `bins`: mean `score`, share
    `right` with `right_interval`, `count`, and the range of the scores, `low` to `high`.
    """
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
