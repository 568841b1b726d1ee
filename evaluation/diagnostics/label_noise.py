"""Labels that look swapped: a quick judge learns each text's label from all other texts and says where it differs.

The judge is naive Bayes on the words of a text, fitted on parts of the training texts and asked about the others
(McCallum, Nigam: A Comparison of Event Models for Naive Bayes Text Classification, 1998). That a label is doubted
where such a judge is sure of another is the idea of Northcutt, Jiang, Chuang: Confident Learning: Estimating
Uncertainty in Dataset Labels, 2019, arXiv:1911.00068. What tells wrong labels from hard texts is here that a judge
errs least where it is surest, unless the labels are wrong: those it cannot foresee, however sure it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...data.dataset import Dataset
from ...handlers.text.encoder import FIRST_WORD, Ids, TextSpec, Tokens
from ...storage.compression import shown
from ..metrics import wilson
from .advice import LEAVE_OUT, Advice
from .leakage import word_keys

Scores = npt.NDArray[np.float64]

_FOLDS = 4
# Products of tokens and labels looked at (some 0.5 s); of more rows every second, third … is taken.
_WORK = 1 << 24
# Counts of words by label held at a time: 64 MiB. Of more words several share a count.
_COUNTS = 1 << 23
# Counts for words that have no row, and so no number that is small.
_KEYS = 1 << 18
# Cohen's kappa of a good judge; of a fair one, which is heard only on two labels of similar frequency, where chance
# agrees on no more than the third number: of more labels, or a rare one, its surest answers are often wrong.
_GOOD, _FAIR, _EVEN = 0.7, 0.2, 0.6
# The surest tenth of what a judge gives one label, and at least so many texts: of a good judge up to half.
_TENTH, _LEAST = 10, 100
# What share of the surest texts has another label: surely more than the first, and than so much of the share among
# all texts. Clean labels measure up to 0.09, and 0.43 of it; a fifth swapped 0.2 or more, and mostly 0.6 to 1.
_DOUBTED, _FLAT = 0.1, 0.55


@dataclass(frozen=True)
class _Words:
    """Words of texts by number: row, key: int64 [tokens], the text a word is of and what it is. lengths: [texts]."""

    row: Ids
    key: Ids
    lengths: Ids

    @classmethod
    def of(cls, keys: Ids, lengths: Ids) -> _Words:
        return cls(np.repeat(np.arange(len(lengths)), lengths), keys, lengths)

    def count(self, truth: Ids, shape: tuple[int, int], chosen: npt.NDArray[np.bool_]) -> Scores:
        """How often each word occurs under each label in the `chosen` texts: [words, labels]."""
        there = chosen[self.row]
        places = self.key[there] * shape[1] + truth[self.row[there]]
        return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    def score(self, counts: Scores, texts: Scores, chosen: npt.NDArray[np.bool_]) -> Scores:
        """Log-likelihood of each label for the `chosen` texts, by `counts` and `texts` of each: [chosen, labels]."""
        there = chosen[self.row]
        row, key = self.row[there], self.key[there]
        smooth = (counts + 1) / (counts.sum(axis=0) + np.count_nonzero(counts.any(axis=1)) + 1)
        found = np.empty((len(chosen), counts.shape[1]))
        for label, column in enumerate(np.log(smooth).T):
            prior = np.log((texts[label] + 1) / (texts.sum() + len(texts)))
            found[:, label] = prior + np.bincount(row, column[key], minlength=len(chosen))
        return found[chosen]


@dataclass(frozen=True)
class _Judged:
    """What the judge says of the training and validation texts, one after the other; rows: which of each part.

    scores: log-likelihoods float64 [texts, labels]; truth, lengths: int64 [texts].
    """

    rows: list[Ids]
    scores: Scores
    truth: Ids
    lengths: Ids

    @classmethod
    def of(
        cls, spec: TextSpec, labels: Sequence[str], parts: Sequence[Dataset], tokens: Sequence[Tokens], step: int
    ) -> _Judged:
        place = {label: index for index, label in enumerate(labels)}
        truths = [np.array([place[label] for label in part.labels], np.int64) for part in parts]
        rows = [np.arange(0, len(truth), step) for truth in truths]
        truths = [truth[own] for truth, own in zip(truths, rows, strict=True)]
        size = max(min(_COUNTS // len(labels), _KEYS if spec.words <= FIRST_WORD else spec.words), 1)
        words = []
        for part, own in zip(tokens, rows, strict=True):
            taken = part if step == 1 else part.take(own)
            words.append(_Words.of(word_keys(spec, taken) % size, taken.lengths))
        scores = _judge(words, truths, (size, len(labels)))
        return cls(
            rows, np.concatenate(scores), np.concatenate(truths), np.concatenate([one.lengths for one in words])
        )


def swapped_labels(
    spec: TextSpec, labels: Sequence[str], parts: Sequence[Dataset], tokens: Sequence[Tokens]
) -> Advice | None:
    """A warning if in training and validation texts, `parts`, a share of one label's rows carry another.

    `tokens` are the same looked up. Of many texts every second, third … is judged.
    """
    step = 1 + sum(int(part.lengths.sum()) for part in tokens) * len(labels) // _WORK
    judged = _Judged.of(spec, labels, parts, tokens, step)
    doubted = _doubted(judged.scores, judged.truth, judged.lengths)
    if doubted is None:
        return None
    texts = [part.texts[row] for part, own in zip(parts, judged.rows, strict=True) for row in own.tolist()]
    return _told(labels, judged.truth, judged.scores.argmax(axis=1), texts, doubted.surest, doubted.asked)


def doubted_rows(
    spec: TextSpec, labels: Sequence[str], parts: Sequence[Dataset], tokens: Sequence[Tokens]
) -> list[list[int]]:
    """The rows of training and validation, `parts`, whose label is doubted, where labels look swapped.

    They are the texts that are judged to have a label which looks swapped, more surely than half of those judged so,
    and carry another. Of a label that would lose more than half of its rows none is doubted.
    """
    judged = _Judged.of(spec, labels, parts, tokens, 1)
    doubted = _doubted(judged.scores, judged.truth, judged.lengths)
    if doubted is None:
        return [[] for _ in parts]
    sure, given = _sureness(judged.scores, judged.lengths), judged.scores.argmax(axis=1)
    out = np.zeros(len(given), bool)
    for label in doubted.labels:
        rows = given == label
        out |= rows & (judged.truth != label) & (sure >= np.median(sure[rows]))
    for label in range(len(labels)):
        own = judged.truth == label
        if 2 * out[own].sum() > own.sum():
            out &= ~own
    first = len(parts[0])
    return [np.flatnonzero(one).tolist() for one in (out[:first], out[first:])]


def _judge(words: Sequence[_Words], truths: Sequence[Ids], shape: tuple[int, int]) -> list[Scores]:
    """Scores of each part's texts: of the first by the other folds of it, of the others by all of the first."""
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
class _Doubted:
    """surest: the texts whose label is doubted, surest first, of `asked` that the judge was as sure of.

    labels: those they are judged to have.
    """

    surest: list[int]
    asked: int
    labels: list[int]


def _sureness(scores: Scores, lengths: Ids) -> Scores:
    """How sure the judge is of each text, float64 [texts]."""
    highest = np.partition(scores, -2, axis=1)[:, -2:]
    # By the root of the length: the sum of as many independent terms is spread so much by chance.
    sure: Scores = (highest[:, 1] - highest[:, 0]) / np.sqrt(np.maximum(lengths, 1))
    return sure


def _doubted(scores: Scores, truth: Ids, lengths: Ids) -> _Doubted | None:
    """The texts whose label is doubted; None if few are."""
    judged = scores.argmax(axis=1)
    kappa, chance = _kappa(judged, truth)
    good = kappa >= _GOOD
    if not good and (kappa < _FAIR or chance > _EVEN or scores.shape[1] > 2):
        return None
    sure = _sureness(scores, lengths)
    found: list[int] = []
    labels: list[int] = []
    asked = 0
    for label in range(scores.shape[1]):
        rows = np.flatnonzero(judged == label)
        rows = rows[np.argsort(-sure[rows], kind="stable")]
        surest = rows[: max(len(rows) // _TENTH, _LEAST)]
        if not len(rows) or len(surest) > len(rows) / (2 if good else _TENTH):
            continue
        wrong = surest[truth[surest] != label]
        low, share = wilson(len(wrong), len(surest))[0], len(wrong) / len(surest)
        if low > _DOUBTED and share > _FLAT * float((truth[rows] != label).mean()):
            found += wrong.tolist()
            labels.append(label)
            asked += len(surest)
    return _Doubted(sorted(found, key=lambda row: (-sure[row], row)), asked, labels) if found else None


def _kappa(judged: Ids, truth: Ids) -> tuple[float, float]:
    """Cohen's kappa of `judged` and `truth`, and how often chance would have them agree."""
    size = 1 + int(max(judged.max(), truth.max()))
    shares = np.array([np.bincount(one, minlength=size) for one in (judged, truth)]) / len(truth)
    chance = float(shares.prod(axis=0).sum())
    agreed = float((judged == truth).mean())
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0, chance


def _told(
    labels: Sequence[str], truth: Ids, judged: Ids, texts: Sequence[str], doubted: Sequence[int], asked: int
) -> Advice:
    pairs = Counter((labels[truth[row]], labels[judged[row]]) for row in doubted)
    (given, likely), most = pairs.most_common(1)[0]
    examples = "; ".join(
        f'"{_cut(texts[row])}" is labelled {_quoted(labels[truth[row]])}, likely {_quoted(labels[judged[row]])}'
        for row in doubted[:3]
    )
    return Advice(
        f"labels look swapped: of the {asked:,} texts whose words say most clearly what they are, {len(doubted):,} "
        f"({len(doubted) / asked:.0%}) carry another label, {most:,} of them {_quoted(given)} where "
        f"{_quoted(likely)} is likely. A model learns such errors. Correct the rows; left out of training they cost "
        f"less accuracy. For example {examples}.",
        ((LEAVE_OUT, "doubted"),),
    )


def _quoted(label: str) -> str:
    return f"'{shown(label)}'"


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return shown(flat if len(flat) <= 60 else f"{flat[:57]}...")
