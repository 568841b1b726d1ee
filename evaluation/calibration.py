"""Whether scores mean what they say: of the answers with a score of 0.8 four in five should be right.

The expected calibration error: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), On Calibration of Modern Neural
Networks, arXiv:1706.04599. Its bins of equal width are replaced by bins of equally many scores, of which none is
nearly empty: J. Nixon and others (2019), Measuring Calibration in Deep Learning, arXiv:1904.01685. The Brier score:
G. W. Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review 78(1), 1–3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.load import Dataset, label_sets
from ..handlers.text.encoder import Ids
from .bootstrap import Values, ends, resampled
from .metrics import carried, wilson
from .tasks import Outputs

BINS = 15  # as Guo and others
_FEWEST = 20  # scores in a bin, where there are enough for two
_CHANCES = 2000
_LEAST = float(np.finfo(np.float32).eps)  # a score of 0 for what was right would cost an infinite logarithm


def calibration(task: str, part: Dataset, outputs: Outputs, labels: Sequence[str]) -> dict[str, Any]:
    """How far the scores `outputs` of `part` can be trusted, for "classify" and "multilabel".

    "classify" looks at the score of each text's answer (`of` "answers"), "multilabel" at the score of every label for
    every text (`of` "decisions"). Returns what JSON can hold: `expected_calibration_error`, the mean distance between
    score and share right over the `bins`, and `error_by_chance`, what scores that mean exactly what they say would be
    expected to show on so many texts; `mean_score`, `share_right` and `excess`, their difference; `brier_score`, the
    squared distances from what was true, summed over the labels for "classify" and averaged for "multilabel";
    `negative_log_likelihood` (natural logarithm, scores not below 1.2e-7), averaged likewise. All these but the
    means and `error_by_chance` have a `NAME_interval`. `bins`: mean `score`, share `right` with `right_interval`,
    `count`, and the scores from `low` to `high`.
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
        return _found("answers", scores[every, answer][:, None], (answer == truth)[:, None], squares, logs)
    held, scores = carried(label_sets(part.labels), labels), outputs.astype(np.float64)
    squares = ((scores - held) ** 2).mean(axis=1)
    logs = -np.log(np.clip(np.where(held, scores, 1 - scores), _LEAST, 1.0)).mean(axis=1)
    return _found("decisions", scores, held, squares, logs)


def _found(of: str, scores: Values, right: npt.NDArray[np.bool_], squares: Values, logs: Values) -> dict[str, Any]:
    """`scores` and `right` [texts, decisions], the latter two [texts]."""
    texts, decisions = scores.shape
    numbers = equal_mass(scores.ravel())
    count = int(numbers.max()) + 1
    # What each text adds to the bins: the surplus of score over truth.
    gaps = np.zeros((texts, count))
    np.add.at(gaps, (np.repeat(np.arange(texts), decisions), numbers), (scores - right).ravel())
    drawn = resampled(np.column_stack([gaps, squares, logs])) / np.array([decisions] * count + [1, 1])
    error = float(np.abs(gaps.sum(axis=0)).sum() / scores.size)
    chance = _by_chance(scores.ravel(), numbers)
    return {
        "of": of,
        "expected_calibration_error": error,
        "expected_calibration_error_interval": _around(error, np.abs(drawn[:, :count]).sum(axis=1), chance),
        "error_by_chance": float(chance.mean()),
        "mean_score": float(scores.mean()),
        "share_right": float(right.mean()),
        "excess": float((scores - right).mean()),
        "excess_interval": ends(drawn[:, :count].sum(axis=1)),
        "brier_score": float(squares.mean()),
        "brier_score_interval": ends(drawn[:, count]),
        "negative_log_likelihood": float(logs.mean()),
        "negative_log_likelihood_interval": ends(drawn[:, count + 1]),
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
    """The bin of each of `scores` [n], from 0 to at most `most` - 1, int64 [n]: about equally many in each.

    Equal scores share a bin, so that the order of texts changes nothing; no bin is empty, and there are fewer where a
    bin would hold less than twenty.
    """
    count = max(1, min(most, len(scores) // _FEWEST))
    ordered = np.sort(scores)
    edges = ordered[[len(scores) * place // count for place in range(1, count)]]
    numbers: Ids = np.unique(np.searchsorted(edges, scores, side="right"), return_inverse=True)[1]
    return numbers


def _by_chance(scores: Values, numbers: Ids) -> Values:
    """The errors that exact scores would show, float64 [draws]: each bin off by a normal deviation."""
    spreads = np.sqrt(np.bincount(numbers, scores * (1 - scores)))
    drawn = np.random.default_rng(0).standard_normal((_CHANCES, len(spreads)))
    found: Values = np.abs(drawn * spreads).sum(axis=1) / len(scores)
    return found


def _around(error: float, drawn: Values, chance: Values) -> list[float]:
    """The interval of the true error. The error found lies above it, since noise in the bins never cancels.

    By about as much the errors `drawn` anew lie above the one found, so their upper end is mirrored to make the lower
    one; which is 0 where exact scores may well show such an error by chance.
    """
    low, middle, high = np.percentile(drawn, (2.5, 50, 97.5)).tolist()
    exact = error <= np.percentile(chance, 97.5)
    return [0.0 if exact else min(max(0.0, 2 * error - high), error), error + middle - low]
