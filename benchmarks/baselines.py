"""What recipes are compared with: linear models of TF-IDF, of words and of characters, and fastText."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from sklearn.decomposition import KernelPCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from lexport.benchmarks import fasttext
from lexport.benchmarks.figures import Values, say
from lexport.data.dataset import Dataset
from lexport.data.splits import Splits
from lexport.handlers.text.encoder import TextEncoder, TextSpec

Judge = Callable[[Sequence[str]], Sequence[str]]
"""From texts to the label of each."""

WORDS, CHARACTERS, FASTTEXT = "TF-IDF + LR, words", "TF-IDF + LR, characters", "fastText"
BOTH = "TF-IDF + LR, words and characters"
SVM, BAYES = "TF-IDF + linear SVM, words", "complement naive Bayes, words"
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # C of the logistic regression
MARGINS = (0.03, 0.1, 0.3, 1.0, 3.0)  # C of the linear SVM
SMOOTHING = (0.03, 0.1, 0.3, 1.0, 3.0)  # alpha of naive Bayes
LENGTHS = ((1, 2), (1, 3), (1, 4))  # of the n-grams of characters
MOST_CHARACTERS = 3_000_000  # of the training texts, above which n-grams of them take too many minutes
_MOST_SPANNED, _LEAST_SPANNED = 4_000, 10  # training texts, whose products with each other are held, and labels
RATES, EPOCHS = (0.1, 0.3, 1.0), (5, 25, 50)  # of fastText, beside its dim = 16 and pairs of words


@dataclass(frozen=True)
class Baseline:
    """A baseline by the settings that did best on validation. judges: one for every seed, or one for all.

    seconds: of one fit.
    """

    name: str
    settings: str
    judges: list[Judge]
    seconds: float

    def right(self, part: Dataset) -> Values:
        """1.0 where a text is judged right, else 0.0: [judges, texts]."""
        return np.stack([right(judge, part.texts, part.labels) for judge in self.judges])


def right(judge: Judge, texts: Sequence[str], truth: Sequence[str]) -> Values:
    """1.0 where a text is judged right, else 0.0: [texts]."""
    return np.array([a == b for a, b in zip(judge(texts), truth, strict=True)], np.float64)


def points(share: float) -> str:
    """A difference of accuracies in points, signed."""
    return f"{100 * share:+.2f}".replace("-", "−")


def of_words(parts: Splits) -> Baseline:
    """TF-IDF over words and pairs of words with logistic regression, its strength chosen on validation."""
    return _regression(WORDS, parts, [("words 1-2", TfidfVectorizer(ngram_range=(1, 2)))])


def of_margins(parts: Splits) -> Baseline:
    """TF-IDF over words and pairs of words with a linear SVM."""
    reads = [("words 1-2", TfidfVectorizer(ngram_range=(1, 2)))]
    return _chosen(SVM, parts, reads, "C", MARGINS, lambda strength: LinearSVC(C=strength))


def of_bayes(parts: Splits) -> Baseline:
    """TF-IDF over words and pairs of words with complement naive Bayes."""
    reads = [("words 1-2", TfidfVectorizer(ngram_range=(1, 2)))]
    return _chosen(BAYES, parts, reads, "alpha", SMOOTHING, lambda strength: ComplementNB(alpha=strength))


def of_characters(parts: Splits) -> Baseline:
    """TF-IDF over n-grams of characters with logistic regression, lengths and strength chosen on validation."""
    choices = [
        (f"characters {low}-{high}", TfidfVectorizer(analyzer="char", ngram_range=(low, high)))
        for low, high in LENGTHS
    ]
    return _regression(CHARACTERS, parts, choices)


def of_both(parts: Splits) -> Baseline:
    """TF-IDF over words and pairs of words, and over n-grams of 2 to 5 characters within words, side by side."""
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    union = make_union(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), characters)
    return _regression(BOTH, parts, [("words 1-2, characters 2-5", union)])


def _regression(name: str, parts: Splits, choices: Sequence[tuple[str, Any]]) -> Baseline:
    # Weights of the least penalty lie in the span of the training texts: coordinates in it have the same optimum as
    # the features, reached ten times as fast with few texts and many labels.
    if len(parts.train) <= _MOST_SPANNED and len(parts.train.classes) >= _LEAST_SPANNED:
        choices = [
            (reads, make_pipeline(vectorizer, KernelPCA(kernel="linear", remove_zero_eig=True)))
            for reads, vectorizer in choices
        ]
    return _chosen(
        name, parts, choices, "C", STRENGTHS, lambda strength: LogisticRegression(C=strength, max_iter=1000)
    )


def _chosen(
    name: str,
    parts: Splits,
    choices: Sequence[tuple[str, Any]],
    option: str,
    values: Sequence[float],
    make: Callable[[float], Any],
) -> Baseline:
    """Fit a model of each vectorizer and value of its option; the most accurate on validation is the baseline."""
    best, found = -1.0, None
    for reads, vectorizer in choices:
        began = time.perf_counter()
        rows = vectorizer.fit_transform(parts.train.texts)
        held = vectorizer.transform(parts.validation.texts)
        reading = time.perf_counter() - began
        for value in values:
            began = time.perf_counter()
            model = make(value).fit(rows, parts.train.labels)
            seconds = reading + time.perf_counter() - began
            accuracy = float(model.score(held, parts.validation.labels))
            if accuracy > best:
                settings = f"{reads}, {option}={value:g}"
                best, found = accuracy, Baseline(name, settings, [make_pipeline(vectorizer, model).predict], seconds)
    assert found is not None
    say(f"{name}: {found.settings}, validation {best:.2%}")
    return found


def of_fasttext(parts: Splits, seeds: Sequence[int], program: str | None = None) -> Baseline:
    """Train fastText on our tokens: rate and epochs chosen on validation with the first seed, then a fit a seed.

    Raises SystemProblem if there is no such program.
    """
    split = TextEncoder(TextSpec(words=2), []).tokens
    train = [split(text)[0] for text in parts.train.texts]

    def fit(settings: fasttext.Settings) -> tuple[Judge, float]:
        model = fasttext.train(train, parts.train.labels, settings, program)
        return lambda texts: model.predict([split(text)[0] for text in texts]), model.seconds

    def chosen_by(settings: fasttext.Settings) -> float:
        held = parts.validation
        return float(right(fit(settings)[0], held.texts, held.labels).mean())

    grid = [
        fasttext.Settings(dim=16, rate=rate, epochs=epochs, seed=seeds[0]) for rate, epochs in product(RATES, EPOCHS)
    ]
    accuracies = [chosen_by(settings) for settings in grid]
    best = grid[int(np.argmax(accuracies))]
    described = f"lr={best.rate:g}, {best.epochs} epochs"
    say(f"fastText: {described}, validation {max(accuracies):.2%}")
    fits = [fit(replace(best, seed=seed)) for seed in seeds]
    return Baseline(FASTTEXT, described, [judge for judge, _ in fits], float(np.mean([s for _, s in fits])))
