"""Label noise: an out-of-fold classifier predicts each text's label, and confident disagreement marks wrong labels.

The classifier is naive Bayes on the words of a text, trained on some folds of the training texts and applied to the
others (McCallum, Nigam: A Comparison of Event Models for Naive Bayes Text Classification, 1998). The idea to suspect
a label if a classifier is sure of another one is from Northcutt, Jiang, Chuang: Confident Learning: Estimating
Uncertainty in Dataset Labels, 2019, arXiv:1911.00068. To tell wrong labels from hard texts we use that a classifier
makes the fewest errors where it is most confident, while wrong labels are just as frequent there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...data.dataset import Dataset
from ...handlers.text.encoder import FIRST_WORD, Ids, TextSpec
from ...models.corpus import LookedUpTexts
from ...storage.compression import excerpt, shown
from ..metrics import wilson
from .advice import LEAVE_OUT, Advice
from .leakage import word_keys

Scores = npt.NDArray[np.float64]

_FOLDS = 4
# Limit for tokens × labels (about 0.5 s); with more, only every second, third … row is used.
_WORK = 1 << 24
# And for tokens, which are numbers of 8 bytes in several arrays.
_WORDS = 1 << 19
# Limit for word counts by label: 64 MiB. With more words several words share a count.
_COUNTS = 1 << 23
# Number of word counts if words are hashed and have no row.
_KEYS = 1 << 18
# Cohen's kappa of a good classifier, and of a fair one. A fair one is used only for two labels of similar frequency,
# with a chance agreement up to the third number: with more labels, or a rare one, its most confident predictions are
# often wrong.
_GOOD, _FAIR, _EVEN = 0.7, 0.2, 0.6
# The most confident tenth of the predictions of one label, and at least this many texts; up to half if it is good.
_TENTH, _LEAST = 10, 100
# Limits for the share of the most confident texts with another label: the lower end of its interval must be above the
# first, and the share above the second times the share among all texts. Clean labels measure up to 0.09, and 0.43 of
# it; a fifth swapped 0.2 or more, and mostly 0.6 to 1.
_MIN_SHARE, _MIN_RELATIVE = 0.1, 0.55


@dataclass(frozen=True)
class _Words:
    """The words of texts as numbers."""

    row: Ids
    """int64 [tokens], the text of each word."""
    key: Ids
    """int64 [tokens], the number of each word."""
    lengths: Ids
    """int64 [texts], words of each text."""

    @classmethod
    def of(cls, keys: Ids, lengths: Ids) -> _Words:
        return cls(np.repeat(np.arange(len(lengths)), lengths), keys, lengths)

    def count(self, truth: Ids, shape: tuple[int, int], chosen: npt.NDArray[np.bool_]) -> Scores:
        """Return how often each word occurs with each label in the `chosen` texts: [words, labels]."""
        there = chosen[self.row]
        places = self.key[there] * shape[1] + truth[self.row[there]]
        return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    def score(self, counts: Scores, texts: Scores, chosen: npt.NDArray[np.bool_]) -> Scores:
        """Return the log-likelihood of each label for the `chosen` texts: [chosen, labels]."""
        there = chosen[self.row]
        row, key = self.row[there], self.key[there]
        smooth = (counts + 1) / (counts.sum(axis=0) + np.count_nonzero(counts.any(axis=1)) + 1)
        found = np.empty((len(chosen), counts.shape[1]))
        for label, column in enumerate(np.log(smooth).T):
            prior = np.log((texts[label] + 1) / (texts.sum() + len(texts)))
            found[:, label] = prior + np.bincount(row, column[key], minlength=len(chosen))
        return found[chosen]


@dataclass(frozen=True)
class _OutOfFold:
    """Out-of-fold predictions for the training and validation texts, in this order."""

    rows: list[Ids]
    """The rows of each part that were used."""
    scores: Scores
    """Log-likelihoods float64 [texts, labels]."""
    truth: Ids
    """int64 [texts]."""
    lengths: Ids
    """Number of words, int64 [texts]."""

    @classmethod
    def of(
        cls,
        spec: TextSpec,
        labels: Sequence[str],
        parts: Sequence[Dataset],
        tokens: Sequence[LookedUpTexts],
        step: int,
    ) -> _OutOfFold:
        place = {label: index for index, label in enumerate(labels)}
        truths = [np.array([place[label] for label in part.labels], np.int64) for part in parts]
        rows = [np.arange(0, len(truth), step) for truth in truths]
        truths = [truth[own] for truth, own in zip(truths, rows, strict=True)]
        size = max(min(_COUNTS // len(labels), _KEYS if spec.words <= FIRST_WORD else spec.words), 1)
        words = []
        for part, own in zip(tokens, rows, strict=True):
            taken = part.take(own)
            words.append(_Words.of(word_keys(spec, taken) % size, taken.lengths))
        scores = _out_of_fold_scores(words, truths, (size, len(labels)))
        return cls(
            rows, np.concatenate(scores), np.concatenate(truths), np.concatenate([one.lengths for one in words])
        )


def swapped_labels(
    spec: TextSpec, labels: Sequence[str], parts: Sequence[Dataset], tokens: Sequence[LookedUpTexts]
) -> Advice | None:
    """Return a warning if in training and validation texts, `parts`, many rows of one label have another label.

    `tokens` are the same texts looked up. If there are many texts, only every second, third … is used.
    """
    words = sum(int(part.lengths.sum()) for part in tokens)
    step = 1 + max(words * len(labels) // _WORK, words // _WORDS)
    predicted = _OutOfFold.of(spec, labels, parts, tokens, step)
    suspicious = _suspicious(predicted.scores, predicted.truth, predicted.lengths)
    if suspicious is None:
        return None
    texts = [part.texts[row] for part, own in zip(parts, predicted.rows, strict=True) for row in own.tolist()]
    return _message(
        labels, predicted.truth, predicted.scores.argmax(axis=1), texts, suspicious.surest, suspicious.considered
    )


def suspicious_rows(
    spec: TextSpec, labels: Sequence[str], parts: Sequence[Dataset], tokens: Sequence[LookedUpTexts]
) -> list[list[int]]:
    """Return the rows of training and validation, `parts`, whose label is suspicious, if labels look swapped.

    A row is suspicious if its prediction is a label that looks swapped, with more confidence than half of the
    predictions of that label, and its own label is another one. If a label would lose more than half of its rows,
    none of them is suspicious.
    """
    predicted = _OutOfFold.of(spec, labels, parts, tokens, 1)
    suspicious = _suspicious(predicted.scores, predicted.truth, predicted.lengths)
    if suspicious is None:
        return [[] for _ in parts]
    sure, given = _confidence(predicted.scores, predicted.lengths), predicted.scores.argmax(axis=1)
    out = np.zeros(len(given), bool)
    for label in suspicious.labels:
        rows = given == label
        out |= rows & (predicted.truth != label) & (sure >= np.median(sure[rows]))
    for label in range(len(labels)):
        own = predicted.truth == label
        if 2 * out[own].sum() > own.sum():
            out &= ~own
    first = len(parts[0])
    return [np.flatnonzero(one).tolist() for one in (out[:first], out[first:])]


def _out_of_fold_scores(words: Sequence[_Words], truths: Sequence[Ids], shape: tuple[int, int]) -> list[Scores]:
    """Return scores for each part's texts: for the first part out of fold, for the others from all of the first."""
    first, truth = words[0], truths[0]
    fold = np.arange(len(truth)) % _FOLDS
    folds = [first.count(truth, shape, fold == one) for one in range(_FOLDS)]
    texts = [np.bincount(truth[fold == one], minlength=shape[1]).astype(np.float64) for one in range(_FOLDS)]
    every, of_all = sum(folds, np.zeros(shape)), sum(texts, np.zeros(shape[1]))
    inside: Scores = np.empty((len(truth), shape[1]))
    for one in range(_FOLDS):
        inside[fold == one] = first.score(every - folds[one], of_all - texts[one], fold == one)
    return [inside, *(part.score(every, of_all, np.ones(len(part.lengths), bool)) for part in words[1:])]


@dataclass(frozen=True)
class _Suspicious:
    """The texts with a suspicious label."""

    surest: list[int]
    """Rows of these texts, the most confident prediction first."""
    considered: int
    """Number of texts with predictions of this confidence."""
    labels: list[int]
    """The predicted labels."""


def _confidence(scores: Scores, lengths: Ids) -> Scores:
    """Return the confidence of each text's prediction, float64 [texts]."""
    highest = np.partition(scores, -2, axis=1)[:, -2:]
    # Divided by the root of the length, the standard deviation of a sum of that many independent terms.
    sure: Scores = (highest[:, 1] - highest[:, 0]) / np.sqrt(np.maximum(lengths, 1))
    return sure


def _suspicious(scores: Scores, truth: Ids, lengths: Ids) -> _Suspicious | None:
    """Return the texts whose label is suspicious; None if there are few."""
    predicted = scores.argmax(axis=1)
    kappa, chance = _kappa(predicted, truth)
    good = kappa >= _GOOD
    if not good and (kappa < _FAIR or chance > _EVEN or scores.shape[1] > 2):
        return None
    sure = _confidence(scores, lengths)
    found: list[int] = []
    labels: list[int] = []
    considered = 0
    for label in range(scores.shape[1]):
        rows = np.flatnonzero(predicted == label)
        rows = rows[np.argsort(-sure[rows], kind="stable")]
        surest = rows[: max(len(rows) // _TENTH, _LEAST)]
        if not len(rows) or len(surest) > len(rows) / (2 if good else _TENTH):
            continue
        wrong = surest[truth[surest] != label]
        low, share = wilson(len(wrong), len(surest))[0], len(wrong) / len(surest)
        if low > _MIN_SHARE and share > _MIN_RELATIVE * float((truth[rows] != label).mean()):
            found += wrong.tolist()
            labels.append(label)
            considered += len(surest)
    return _Suspicious(sorted(found, key=lambda row: (-sure[row], row)), considered, labels) if found else None


def _kappa(predicted: Ids, truth: Ids) -> tuple[float, float]:
    """Return Cohen's kappa of `predicted` and `truth`, and the agreement by chance."""
    size = 1 + int(max(predicted.max(), truth.max()))
    shares = np.array([np.bincount(one, minlength=size) for one in (predicted, truth)]) / len(truth)
    chance = float(shares.prod(axis=0).sum())
    agreed = float((predicted == truth).mean())
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0, chance


def _message(
    labels: Sequence[str],
    truth: Ids,
    predicted: Ids,
    texts: Sequence[str],
    suspicious: Sequence[int],
    considered: int,
) -> Advice:
    pairs = Counter((labels[truth[row]], labels[predicted[row]]) for row in suspicious)
    (given, likely), most = pairs.most_common(1)[0]
    examples = "; ".join(
        f'"{excerpt(texts[row])}" is labelled {_quoted(labels[truth[row]])}, likely {_quoted(labels[predicted[row]])}'
        for row in suspicious[:3]
    )
    return Advice(
        "LX-WARN-004",
        f"labels look swapped: of the {considered:,} texts with the clearest words, {len(suspicious):,} "
        f"({len(suspicious) / considered:.0%}) have another label, {most:,} of them {_quoted(given)} where "
        f"{_quoted(likely)} is likely. A model learns such errors. Correct the rows; left out of training they cost "
        f"less accuracy. For example {examples}.",
        ((LEAVE_OUT, "doubted"),),
        details={
            "suspicious": len(suspicious),
            "considered": considered,
            "most_frequent": most,
            "given": given,
            "likely": likely,
        },
    )


def _quoted(label: str) -> str:
    return f"'{shown(label)}'"
