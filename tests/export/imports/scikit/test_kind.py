"""Pipelines of scikit-learn come in with the labels that they gave; what a run cannot have is refused by its name."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

import lexport
from lexport.api.archive import Archive
from lexport.client.answers import Answer, Prediction
from lexport.errors import InputError
from lexport.export.imports.bags.tokenizers import WORD
from lexport.export.imports.importing import import_run
from lexport.export.imports.scikit.kind import computing
from lexport.export.imports.scikit.steps import Step, class_name, linear_pipeline
from lexport.models.predict import text_outputs
from lexport.models.run import Run

from ....refusals import refused

WORDS = (
    "the a of film plot actors good Good great bad awful dull warm naïve CAFÉ straße 映画 москва 42 x y_z don't "
    "well-known e-mail 3.5 ... ! ? éclair — “quoted” I it is was not very never"
).split()


def texts(count: int, seed: int) -> list[str]:
    """Different texts; some words come several times."""
    draw = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        words = draw.choices(WORDS, k=draw.randint(1, 30))
        found[" ".join(one + draw.choice(["", "", ".", ",", "2"]) for one in words)] = None
    return [*found]


def labelled(count: int, labels: int) -> tuple[list[str], list[str]]:
    """Texts with labels that their words say, mostly."""
    draw = random.Random(7)
    rows = texts(count, seed=1)
    scores = [sum(len(word) * (-1) ** number for number, word in enumerate(text.split())) for text in rows]
    return rows, [f"label {(score // 7 + (draw.random() < 0.1)) % labels}" for score in scores]


def labels_of(answers: Sequence[Answer]) -> list[str]:
    """The labels of a classifier's answers."""
    return [answer.label for answer in answers if isinstance(answer, Prediction)]


def bring(pipeline: Any, folder: Path, rows: list[str] | None = None) -> Run:
    """The run made of a pipeline."""
    data = folder / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": one}) + "\n" for one in rows or texts(200, seed=2)), encoding="utf-8")
    return import_run(pipeline, folder / "run", str(data))


def check(run: Run, pipeline: Any, rows: list[str]) -> None:
    """Fail unless the run gives every text the label that scikit-learn gives it."""
    found = text_outputs(run.model, run.encoder, rows)
    assert [run.labels[row] for row in found.argmax(axis=1)] == list(map(str, pipeline.predict(rows)))


CLASSIFIERS = [
    LogisticRegression(C=5),
    LinearSVC(),
    SGDClassifier(random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    RidgeClassifier(),
    MultinomialNB(),
    ComplementNB(),
]


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=str)
def test_a_thousand_texts_get_the_same_labels(classifier: Any, labels: int, tmp_path: Path) -> None:
    pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), classifier)
    pipeline.fit(*labelled(400, labels))
    run = bring(pipeline, tmp_path)
    check(run, pipeline, texts(1000, seed=3))
    assert run.info.imported["proof"]["same"] == 200
    if hasattr(pipeline, "predict_proba") and not isinstance(classifier, SGDClassifier):
        rows = texts(100, seed=4)
        np.testing.assert_allclose(
            text_outputs(run.model, run.encoder, rows), pipeline.predict_proba(rows), atol=2e-5
        )


VECTORIZERS = [
    TfidfVectorizer(),
    TfidfVectorizer(lowercase=False, ngram_range=(1, 3), max_features=200),
    TfidfVectorizer(ngram_range=(2, 2)),
    TfidfVectorizer(norm=None, smooth_idf=False),
    TfidfVectorizer(use_idf=False, sublinear_tf=True),
    TfidfVectorizer(binary=True, stop_words="english"),
    TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", stop_words=["the", "film"]),
    TfidfVectorizer(token_pattern=r"\S+", max_df=0.5),
    CountVectorizer(),
    CountVectorizer(binary=True, ngram_range=(1, 2)),
    CountVectorizer(dtype=bool),
    TfidfVectorizer(ngram_range=(2, 2), vocabulary=["film", "film is", "the film", "good", "ba\rd", "a\ud800"]),
    Pipeline([("counts", CountVectorizer(ngram_range=(1, 2))), ("tfidf", TfidfTransformer(sublinear_tf=True))]),
]


@pytest.mark.parametrize("vectorizer", VECTORIZERS, ids=lambda one: re.sub(r"\s+", " ", str(one)))
def test_settings_of_words(vectorizer: Any, tmp_path: Path) -> None:
    parts = [part for _, part in vectorizer.steps] if isinstance(vectorizer, Pipeline) else [vectorizer]
    pipeline = make_pipeline(*parts, LogisticRegression())
    pipeline.fit(*labelled(300, 3))
    check(bring(pipeline, tmp_path), pipeline, ["", "映画", *texts(500, seed=5)])


def test_what_is_computed_of_the_values_is_what_scikit_learn_answers() -> None:
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, stop_words=None), LogisticRegression()
    )
    pipeline.fit(*labelled(300, 3))
    steps = []
    for _, one in pipeline.steps:
        values = dict(vars(one))
        if "_tfidf" in values:
            values["_tfidf"] = Step("feature_extraction.text.TfidfTransformer", vars(values["_tfidf"]))
        steps.append(Step(class_name(f"{type(one).__module__}.{type(one).__qualname__}"), values))
    rows = ["", *texts(200, seed=6)]
    found = computing(linear_pipeline(steps, "a pipeline"))(rows)
    np.testing.assert_allclose(found, pipeline.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("setting", [{"multi_class": "ovr"}, {"solver": "liblinear"}])
def test_probabilities_of_one_label_against_all_are_not_claimed(setting: dict[str, str]) -> None:
    """Earlier versions of scikit-learn have them: they are no softmax, and the labels are the same."""
    for labels, probable in ((2, True), (3, False)):
        pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(*labelled(60, labels))
        vectorizer, classifier = (dict(vars(one)) for _, one in pipeline.steps)
        vectorizer["_tfidf"] = Step("feature_extraction.text.TfidfTransformer", vars(vectorizer["_tfidf"]))
        steps = [
            Step("feature_extraction.text.TfidfVectorizer", vectorizer),
            Step("linear_model.LogisticRegression", classifier | setting),
        ]
        assert linear_pipeline(steps, "a pipeline").probable is probable


def test_probabilities_of_two_labels_by_a_softmax_are_of_both_signs() -> None:
    """Of multi_class="multinomial", which earlier versions of scikit-learn have."""
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(*labelled(60, 2))
    vectorizer, classifier = (dict(vars(one)) for _, one in pipeline.steps)
    vectorizer["_tfidf"] = Step("feature_extraction.text.TfidfTransformer", vars(vectorizer["_tfidf"]))
    steps = [
        Step("feature_extraction.text.TfidfVectorizer", vectorizer),
        Step("linear_model.LogisticRegression", classifier | {"multi_class": "multinomial"}),
    ]
    rows = texts(20, seed=6)
    along = pipeline.decision_function(rows)
    expected = 1 / (1 + np.exp(-2 * along))
    np.testing.assert_allclose(computing(linear_pipeline(steps, "a pipeline"))(rows)[:, 1], expected, atol=1e-6)


def test_letters_are_those_of_pythons_re() -> None:
    # What one of the two tables of Unicode does not know yet is left out.
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    unknown = set(regex.findall(r"[\p{Cn}\p{Cs}]", every))
    differing = set(re.findall(r"\w", every)) ^ set(regex.findall(WORD, every))
    assert {one for one in differing - unknown if one.isprintable()} == set()


@pytest.mark.long
def test_the_archive_answers_as_the_pipeline(tmp_path: Path) -> None:
    pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=5))
    pipeline.fit(*labelled(400, 3))
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": one}) + "\n" for one in texts(120, seed=2)), encoding="utf-8")
    rows = texts(300, seed=8)
    expected = list(map(str, pipeline.predict(rows)))
    for variant in ("onnx-fp32", "torchscript-fp32"):
        out = tmp_path / f"{variant}-1.0.mar"
        archive = lexport.import_model(pipeline, texts=str(data), out=out, variant=variant)
        assert isinstance(archive, Archive)
        assert labels_of(lexport.load(archive.path).predict(rows)) == expected


class _Own(TfidfVectorizer):  # type: ignore[misc]
    """A subclass, which may do anything."""


@pytest.mark.parametrize(
    ("parts", "code", "values"),
    [
        ([TfidfVectorizer(analyzer="char_wb")], "LX-IMPORT-109", ["analyzer='char_wb'", "'word'"]),
        ([TfidfVectorizer(analyzer=str.split)], "LX-IMPORT-109", ["analyzer="]),
        ([TfidfVectorizer(tokenizer=str.split, token_pattern=None)], "LX-IMPORT-109", ["tokenizer="]),
        ([TfidfVectorizer(preprocessor=str.upper)], "LX-IMPORT-109", ["preprocessor="]),
        ([TfidfVectorizer(strip_accents="unicode")], "LX-IMPORT-109", ["strip_accents='unicode'"]),
        ([TfidfVectorizer(token_pattern=r"[a-z]+(?:'[a-z]+)?")], "LX-IMPORT-110", ["token_pattern"]),
        ([TfidfVectorizer(norm="l1")], "LX-IMPORT-106", ["l1"]),
        ([TfidfVectorizer(stop_words="english", ngram_range=(1, 2))], "LX-IMPORT-111", ["(1, 2)"]),
        ([TfidfVectorizer(stop_words="english", vocabulary=["film", "the"])], "LX-IMPORT-404", ["english"]),
        ([TfidfVectorizer(), TruncatedSVD(5)], "LX-IMPORT-105", ["decomposition.TruncatedSVD"]),
        ([HashingVectorizer(n_features=1000)], "LX-IMPORT-105", ["HashingVectorizer"]),
        ([_Own()], "LX-IMPORT-115", ["_Own"]),
    ],
    ids=str,
)
def test_what_a_run_cannot_have_is_named(parts: list[Any], code: str, values: list[str], tmp_path: Path) -> None:
    pipeline = make_pipeline(*parts, LogisticRegression())
    pipeline.fit(*labelled(60, 2))
    with refused(InputError, code, "Pipeline", *values):
        bring(pipeline, tmp_path)
    assert not (tmp_path / "run").exists()


def test_other_objects_are_refused(tmp_path: Path) -> None:
    rows, labels = labelled(60, 2)
    with refused(InputError, "LX-IMPORT-105", "Pipeline", "naive_bayes.BernoulliNB"):
        bring(make_pipeline(CountVectorizer(), BernoulliNB()).fit(rows, labels), tmp_path)
    several = np.array([[number % 2, number % 3 == 0] for number in range(len(rows))], int)
    with refused(InputError, "LX-IMPORT-900", "RidgeClassifier", "several labels"):
        bring(make_pipeline(TfidfVectorizer(), RidgeClassifier()).fit(rows, several), tmp_path)
    with refused(InputError, "LX-IMPORT-901", "'a\\ud800label 0'"):
        bring(make_pipeline(TfidfVectorizer(), LinearSVC()).fit(rows, [f"a\ud800{one}" for one in labels]), tmp_path)
    large = make_pipeline(TfidfVectorizer(), LinearSVC()).fit(rows, labels)
    large.steps[-1][1].coef_ *= 1e300
    with refused(InputError, "LX-IMPORT-108", "float32"):
        bring(large, tmp_path)
    assert not (tmp_path / "run").exists()
    with refused(InputError, "LX-IMPORT-112", "not fitted"):
        bring(make_pipeline(TfidfVectorizer(), LogisticRegression()), tmp_path)
    with refused(InputError, "LX-IMPORT-116", "LogisticRegression"):
        bring(LogisticRegression(), tmp_path)
