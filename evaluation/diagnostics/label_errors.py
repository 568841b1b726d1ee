"""Labels that are likely wrong, by confident learning.

A classifier that has not seen a text says how probable each label is for it. Where another label is as probable as
it usually is for the texts that have it, the text counts as one of that label. So it is estimated how many texts of
each label are others, and as many are suspected, those first whose label is least probable beside the best other one
(Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, Journal of Artificial
Intelligence Research 70, 2021). Where a text may have several labels each is judged as one of two, given or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

_EVEN = 0.5
"""The score of a label that is as probable as the best other one."""
_LEAST = 1e-9
"""The least probability, of which there is a logarithm."""
LEAST_SURE = 50
"""Texts that a share of disagreements is counted in at least."""
FEWEST = 10
"""Texts that a label needs to be judged: of fewer a classifier learns too little to doubt them."""


@dataclass(frozen=True)
class Suspects:
    """How likely the label of each text is wrong."""

    score: Scores
    """How well the given label fits, from 0 to 1, float64 [texts]; NaN where it is not judged."""
    suspected: Flags
    """Whether another label is suggested, bool [texts]."""
    suggested: Numbers
    """The suggested label, int64 [texts]; the given one where none is suggested."""

    def order(self) -> Numbers:
        """Return the rows that are judged, from the likeliest error on, int64 [judged]."""
        order = np.argsort(self.score, kind="stable")  # NaN comes last
        found: Numbers = order[: int(np.isfinite(self.score).sum())]
        return found


def combined(members: Sequence[Probabilities], *, several: bool = False) -> Scores:
    """Return the probabilities of several classifiers as those of one, float64 [texts, labels].

    members: of each [texts, labels]. Their logits are brought to the spread of the first one's and averaged, so that
    one that is always sure does not outvote the others. several: whether a text may have several labels.
    """
    logits = [_logits(np.asarray(one, np.float64), several=several) for one in members]
    spreads = [float(np.nanstd(one)) or 1.0 for one in logits]
    mean = sum((one / spread for one, spread in zip(logits, spreads, strict=True)), np.zeros(())) * (
        spreads[0] / len(members)
    )
    if several:
        return np.asarray(1 / (1 + np.exp(-mean)))
    powers = np.exp(mean - mean.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _logits(probabilities: Scores, *, several: bool) -> Scores:
    kept = np.clip(probabilities, _LEAST, 1 - _LEAST)
    logs = np.log(kept)
    found: Scores = logs - np.log(1 - kept) if several else logs - logs.mean(axis=1, keepdims=True)
    return found


def suspects(given: Numbers, probabilities: Probabilities) -> Suspects:
    """Return which of the `given` labels, int64 [texts], are likely wrong.

    probabilities: of each label, [texts, labels], by a classifier that has not seen the text; NaN in the rows that
    none has judged. The score is the normalized margin: half of one plus what the given label has above the best
    other one. Of the texts of a label as many are suspected as are likely others, by the share among those that
    count as one of a label, and at most half. Labels with fewer than FEWEST judged texts are neither judged nor
    suggested.
    """
    values = np.asarray(probabilities, np.float64)
    texts, labels = values.shape
    rows = np.arange(texts)
    known = np.isfinite(values).all(axis=1)
    counts = np.bincount(given[known], minlength=labels)
    enough = counts >= FEWEST
    judged = known & enough[given]
    score = np.full(texts, np.nan)
    if enough.sum() < 2:
        return Suspects(score, np.zeros(texts, bool), given.copy())
    others = np.where(enough[None, :], values, -np.inf)
    others[rows, given] = -np.inf
    score[judged] = ((1 + values[rows, given] - others.max(axis=1)) / 2)[judged]
    # Of the labels that are as probable as they usually are where they are given, the most probable one.
    usual = np.array(
        [values[judged & (given == one), one].mean() if enough[one] else np.inf for one in range(labels)]
    )
    confident = np.where(values >= usual[None, :], values, -np.inf)
    counted = judged & np.isfinite(confident.max(axis=1))
    other = counted & (confident.argmax(axis=1) != given)
    suspected = np.zeros(texts, bool)
    for label in np.flatnonzero(enough).tolist():
        own = judged & (given == label)
        sure = int((own & counted).sum())
        wrong = round(int((own & other).sum()) / max(sure, 1) * int(own.sum()))
        doubtful = np.flatnonzero(own & (score < _EVEN))
        doubtful = doubtful[np.argsort(score[doubtful], kind="stable")]
        suspected[doubtful[: min(wrong, int(own.sum()) // 2)]] = True
    return Suspects(score, suspected, np.where(suspected, others.argmax(axis=1), given))


def suspects_of_decisions(given: Flags, probabilities: Probabilities) -> tuple[Scores, Flags]:
    """Return the same of texts that may have several labels: each label of each text is a decision.

    given: which labels a text has, bool [texts, labels]. Returns how well each decision fits, from 0 to 1, NaN where
    it is not judged, and which are suspected, both [texts, labels]. A label that fewer than FEWEST texts have, or
    lack, is not judged.
    """
    scores = np.full(given.shape, np.nan)
    suspected = np.zeros(given.shape, bool)
    for label in range(given.shape[1]):
        own = np.asarray(probabilities[:, label], np.float64)
        found = suspects(given[:, label].astype(np.int64), np.stack([1 - own, own], axis=1))
        suspected[:, label] = found.suspected
        scores[:, label] = found.score
    return scores, suspected


def disagreeing(agrees: Flags, confidence: Scores) -> tuple[int, int]:
    """Return how many of the texts that a classifier is surest of have another label than it says, and how many
    these texts are: a tenth of all, and at least LEAST_SURE.

    agrees: whether the given label is the most probable one, bool [texts]. confidence: of the classifier, [texts].
    A classifier makes the fewest errors where it is surest, while wrong labels are as frequent there as elsewhere.
    """
    surest = np.argsort(-confidence, kind="stable")[: max(len(confidence) // 10, LEAST_SURE)]
    return int((~agrees[surest]).sum()), len(surest)
