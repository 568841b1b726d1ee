"""What recipes are compared with is what scikit-learn finds for the same texts."""

from __future__ import annotations

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lexport.benchmarks import baselines
from lexport.data.load import load
from lexport.data.splits import Splits, split


@pytest.fixture(scope="module")
def parts() -> Splits:
    rows = load("bbc-news")
    return split(rows.take(list(range(0, len(rows.texts), 40)), rows.name))


@pytest.fixture(autouse=True)
def strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them; each is fitted on every choice of n-grams."""
    monkeypatch.setattr("lexport.benchmarks.baselines.STRENGTHS", (1.0, 10.0))


def test_a_regression_in_the_span_of_few_texts_answers_as_that_of_all_features(
    parts: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lexport.benchmarks.baselines._LEAST_SPANNED", 5)
    found = baselines.of_words(parts)
    strength = float(found.settings.rpartition("C=")[2])
    direct = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=strength, max_iter=10_000, tol=1e-7)
    ).fit(parts.train.texts, parts.train.labels)
    texts = [*parts.validation.texts, *parts.test.texts]
    assert list(found.judges[0](texts)) == list(direct.predict(texts))
    assert "kernelpca" in str(found.judges[0].__self__).lower()  # type: ignore[attr-defined]


def test_of_more_texts_or_fewer_labels_the_features_themselves_are_learned(
    parts: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_labels = baselines.of_words(parts)
    monkeypatch.setattr("lexport.benchmarks.baselines._LEAST_SPANNED", 5)
    spanned = baselines.of_words(parts)
    monkeypatch.setattr("lexport.benchmarks.baselines._MOST_SPANNED", 0)
    many_texts = baselines.of_words(parts)
    for direct in (few_labels, many_texts):
        assert "kernelpca" not in str(direct.judges[0].__self__).lower()  # type: ignore[attr-defined]
        assert direct.settings == spanned.settings
        assert (direct.right(parts.test) == spanned.right(parts.test)).all()
