"""The steps of a pipeline as plain values, and what of their settings a run can have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ....data.pretrained.base import LARGEST
from ....errors import InputError
from ....storage.compression import shown
from ..bags.tokenizers import SPACE, WORD

Array = npt.NDArray[np.float64]

# By the usual ways to write them; the flag changes nothing for text.
PATTERNS = {
    r"\b\w\w+\b": rf"{WORD}{{2,}}",
    r"\w\w+": rf"{WORD}{{2,}}",
    r"\b\w{2,}\b": rf"{WORD}{{2,}}",
    r"\w{2,}": rf"{WORD}{{2,}}",
    r"\b\w+\b": rf"{WORD}+",
    r"\w+": rf"{WORD}+",
    r"\S+": rf"[^{SPACE}]+",
    r"[^\s]+": rf"[^{SPACE}]+",
}
"""For token patterns of Python's re what finds the same tokens in a text spec, without `(?u)`."""
_TEXT = "feature_extraction.text."
_LOGISTIC = "linear_model.LogisticRegression"
# Whose answer is the class with the largest product of coefficients and features.
_LINEAR = {
    _LOGISTIC,
    "linear_model.SGDClassifier",
    "linear_model.RidgeClassifier",
    "linear_model.Perceptron",
    "linear_model.PassiveAggressiveClassifier",
    "svm.LinearSVC",
}
INNER = ("_tfidf", "_label_binarizer")
"""Attributes of steps that are objects, and which are read."""
_BAYES = {"naive_bayes.MultinomialNB", "naive_bayes.ComplementNB"}
# Settings with one value that is brought in, and how that is written.
_FIXED: dict[str, Any] = {
    "input": "content",
    "strip_accents": None,
    "preprocessor": None,
    "tokenizer": None,
    "analyzer": "word",
}


@dataclass(frozen=True)
class Step:
    """An object of scikit-learn as its attributes."""

    name: str
    """Its class, without the module's leading `sklearn` and private parts: "svm.LinearSVC"."""
    values: Mapping[str, Any]
    """Settings and what was fitted, by name; objects within it are Steps too."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.values.get(name, default)


@dataclass(frozen=True)
class LinearPipeline:
    """What a pipeline of words and a linear classifier comes down to."""

    words: dict[str, int]
    """The column of each word or n-gram."""
    importance: Array
    """The IDF of each column, 1 without; [columns]."""
    weight: Array
    """[labels, columns]."""
    bias: Array
    """[labels]."""
    labels: list[str]
    """In the order of the outputs."""
    pattern: str
    """The token pattern, as in Python's re."""
    tokens: str
    """What finds the same tokens in a text spec."""
    lowercase: bool
    """Whether texts are lower-cased."""
    ngrams: tuple[int, int]
    """The shortest and the longest n-gram."""
    counts: str
    """What a word counts: "plain", "sublinear" or "binary"."""
    norm: str
    """What a text is divided by: "l2" or "none"."""
    probable: bool
    """Whether softmax of the logits is what predict_proba returns; else it is of decision_function."""
    stop_words: frozenset[str] = frozenset()
    """Words that are left out of texts."""


def class_name(kind: str) -> str:
    """Return a class of scikit-learn, "sklearn.svm._classes.LinearSVC", by its public place: "svm.LinearSVC"."""
    parts = kind.split(".")
    return ".".join(part for part in parts if part != "sklearn" and not part.startswith("_"))


def linear_pipeline(steps: list[Step], what: str) -> LinearPipeline:
    """Return what the steps come down to. Raises InputError that names what of them a run cannot have."""
    names = [step.name for step in steps]
    counting = names[:2] == [f"{_TEXT}CountVectorizer", f"{_TEXT}TfidfTransformer"]
    known = names[:1] in ([f"{_TEXT}TfidfVectorizer"], [f"{_TEXT}CountVectorizer"])
    if not known or len(steps) != 2 + counting or names[-1] not in _LINEAR | _BAYES:
        raise InputError(
            f"{what} has the steps {', '.join(map(shown, names)) or 'none'}; expected a TfidfVectorizer, or a "
            "CountVectorizer with or without a TfidfTransformer, and one of "
            f"{', '.join(sorted(name.rpartition('.')[2] for name in _LINEAR | _BAYES))}. Other steps cannot be "
            "brought in.",
            code="LX-IMPORT-105",
        )
    vectorizer, classifier = steps[0], steps[-1]
    scaling = steps[1] if counting else vectorizer.get("_tfidf")
    _check_settings(vectorizer, what)
    words = _words(vectorizer, what)
    sublinear = scaling is not None and scaling.get("sublinear_tf")
    norm = scaling.get("norm") if scaling is not None else None
    if norm not in (None, "l2"):
        raise InputError(
            f"{what} has norm={norm!r}; a run divides by the norm l2, or by none. Fit it with norm='l2'.",
            code="LX-IMPORT-106",
        )
    importance = np.ones(len(words))
    if scaling is not None and scaling.get("use_idf"):
        importance = _array(scaling, "idf_", what, 1)
    _check_classifier(classifier, what)
    weight, bias = _weights(classifier, what)
    labels = [str(one) for one in np.asarray(classifier.get("classes_", [])).tolist()]
    if len(bias) == 1 and len(labels) == 2:
        # Of multi_class="multinomial", of earlier versions, probabilities are the softmax of both signs.
        other = -1.0 if classifier.name == _LOGISTIC and classifier.get("multi_class") == "multinomial" else 0.0
        weight, bias = np.concatenate([other * weight, weight]), np.concatenate([other * bias, bias])
    fits = weight.shape == (len(labels), len(words)) and bias.shape == (len(labels),)
    if not fits or importance.shape != (len(words),) or len(set(labels)) < len(labels) or len(labels) < 2:
        raise InputError(
            f"{what} has {len(words):,} words, an IDF of {list(importance.shape)}, coefficients of "
            f"{list(weight.shape)} and the labels {', '.join(map(shown, labels[:5]))}, which do not fit one another. "
            "Fit all its steps together, with one label a text.",
            code="LX-IMPORT-107",
        )
    if not all((np.abs(one) <= LARGEST).all() for one in (importance, weight, bias)):
        raise InputError(
            f"{what} has coefficients that are not finite numbers, or beyond float32. Fit it again.",
            code="LX-IMPORT-108",
        )
    stop = vectorizer.get("stop_words")
    return LinearPipeline(
        words,
        importance,
        weight,
        bias,
        labels,
        pattern=str(vectorizer.get("token_pattern")),
        tokens=PATTERNS[_plain_pattern(vectorizer)],
        lowercase=bool(vectorizer.get("lowercase")),
        ngrams=(int(vectorizer.get("ngram_range")[0]), int(vectorizer.get("ngram_range")[1])),
        counts="binary" if _binary(vectorizer) else "sublinear" if sublinear else "plain",
        norm=norm or "none",
        probable=classifier.name in {_LOGISTIC, *_BAYES} and not _one_against_all(classifier, len(labels)),
        stop_words=frozenset(stop) if isinstance(stop, (list, tuple, set, frozenset)) else frozenset(),
    )


def _binary(vectorizer: Step) -> bool:
    """Return whether a word counts once: as a setting says, or because counts are kept as bool."""
    kind = vectorizer.get("dtype")
    name = kind.name if isinstance(kind, Step) else getattr(kind, "__name__", kind)
    return bool(vectorizer.get("binary")) or str(name).rpartition(".")[2] in ("bool", "bool_")


def _one_against_all(classifier: Step, labels: int) -> bool:
    """Return whether its probabilities are those of one label against all others, each scaled to a sum of 1."""
    binary = classifier.get("multi_class") in ("ovr", "warn") or classifier.get("solver") == "liblinear"
    return classifier.name == _LOGISTIC and binary and labels > 2


def _check_classifier(classifier: Step, what: str) -> None:
    """Raise InputError for a classifier that gives a text several labels."""
    name = classifier.name.rpartition(".")[2]
    binarizer = classifier.get("_label_binarizer")
    if isinstance(binarizer, Step) and str(binarizer.get("y_type_")).startswith("multilabel"):
        raise InputError(
            f"{what} has a {name} that gives a text several labels, of which a run would have one. Fit one that "
            "gives each text one label, or have a run learn its answers: lexport train DATA --teacher ANSWERS",
            code="LX-IMPORT-900",
        )


def _check_settings(vectorizer: Step, what: str) -> None:
    """Raise InputError for a setting of the vectorizer that a run cannot have."""
    for name, value in _FIXED.items():
        found = vectorizer.get(name, value)
        if found != value:
            raise InputError(
                f"{what} has {name}={shown(repr(found))[:80]}; a run can only have {name}={value!r}. Fit it without, "
                "or prepare the texts before they reach the run.",
                code="LX-IMPORT-109",
            )
    pattern = _plain_pattern(vectorizer)
    if pattern not in PATTERNS:
        raise InputError(
            f"{what} has token_pattern={shown(repr(pattern))}, which may mean something else in a run; known are "
            f"{', '.join(PATTERNS)}, with or without (?u).",
            code="LX-IMPORT-110",
        )
    stop, ngrams = vectorizer.get("stop_words"), tuple(vectorizer.get("ngram_range", (1, 1)))
    if stop is not None and ngrams != (1, 1):
        raise InputError(
            f"{what} has stop words and ngram_range={ngrams}: it makes n-grams of words that are not side by side, "
            "and a run does not. Fit it without one of the two.",
            code="LX-IMPORT-111",
        )


def _plain_pattern(vectorizer: Step) -> str:
    return str(vectorizer.get("token_pattern")).replace("(?u)", "")


def _words(vectorizer: Step, what: str) -> dict[str, int]:
    """Return the column of each word. Raises InputError."""
    found = vectorizer.get("vocabulary_")
    fits = isinstance(found, Mapping) and all(isinstance(word, str) for word in found)
    columns = sorted(map(int, found.values())) if fits else []
    if not fits or columns != [*range(len(columns))] or not columns:
        raise InputError(
            f"{what} has no vocabulary of words with a column each; it is not fitted, or not on texts. Fit it first.",
            code="LX-IMPORT-112",
        )
    stop = vectorizer.get("stop_words")
    stopped = set(stop) & set(found) if isinstance(stop, (list, tuple, set, frozenset)) else set()
    if isinstance(stop, str) and vectorizer.get("vocabulary") is not None:
        raise InputError(
            f"{what} has stop_words={shown(stop)!r} and a vocabulary that was given, which may have such words; a "
            "run would count them. Fit it without one of the two.",
            code="LX-IMPORT-404",
        )
    if stopped:
        raise InputError(
            f"{what} has the stop word {shown(min(stopped))!r} in its vocabulary; a run would count it. Take it out "
            "of one of the two.",
            code="LX-IMPORT-113",
        )
    return {word: int(column) for word, column in found.items()}


def _weights(classifier: Step, what: str) -> tuple[Array, Array]:
    """Return coefficients [outputs, columns] and intercepts [outputs]. Raises InputError."""
    if classifier.name in _LINEAR:
        weight = np.atleast_2d(_array(classifier, "coef_", what, None))
        return weight, np.broadcast_to(_array(classifier, "intercept_", what, None), (len(weight),)).copy()
    weight = _array(classifier, "feature_log_prob_", what, 2)
    multinomial = classifier.name.endswith("MultinomialNB")
    return weight, _array(classifier, "class_log_prior_", what, 1) if multinomial else np.zeros(len(weight))


def _array(step: Step, name: str, what: str, axes: int | None) -> Array:
    found = step.get(name)
    if hasattr(found, "toarray"):
        found = found.toarray()  # coefficients of clf.sparsify()
    if isinstance(found, (float, int)):
        found = np.array([found])
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or (axes is not None and found.ndim != axes):
        raise InputError(
            f"{what} has no numbers {name} in {step.name.rpartition('.')[2]}; it is not fitted. Fit it first.",
            code="LX-IMPORT-114",
        )
    return found.astype(np.float64)


def tokens_of(pipeline: LinearPipeline, text: str) -> list[str]:
    """Return the words and n-grams that scikit-learn counts in a text."""
    words = re.findall(pipeline.pattern, text.lower() if pipeline.lowercase else text)
    words = [word for word in words if word not in pipeline.stop_words]
    shortest, longest = pipeline.ngrams
    return [
        " ".join(words[first : first + order])
        for order in range(shortest, longest + 1)
        for first in range(len(words) - order + 1)
    ]
