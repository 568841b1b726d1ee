"""Every text is judged by a model that was not trained on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lexport.data.dataset import Dataset, dataset_of, label_names, label_sets
from lexport.data.load import load
from lexport.models import recipes
from lexport.training.linear import fit_bayes
from lexport.training.selection.out_of_fold import out_of_fold


@pytest.fixture
def topics(tiny_csv: Path) -> Dataset:
    return load(str(tiny_csv))


@pytest.mark.parametrize("judge", ["linear", "bayes", "bag"])
def test_scores_of_texts_that_a_model_has_not_seen_are_right(topics: Dataset, judge: str) -> None:
    recipe = recipes.load("bag" if judge == "bag" else "linear")
    recipe = recipe.changed("training", epochs=3) if judge == "bag" else recipe
    found = out_of_fold(topics, recipe, topics.classes, folds=3, fitter=fit_bayes if judge == "bayes" else None)
    assert found.shape == (len(topics), 3)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(topics)), abs=1e-5)
    truth = np.array([topics.classes.index(label) for label in topics.labels])
    assert (found.argmax(axis=1) == truth).mean() > 0.85


def test_no_model_has_seen_the_label_of_the_text_that_it_judges(topics: Dataset) -> None:
    """Each of these texts is a word of its own: a model that had learned it would be sure of its label."""
    recipe = recipes.load("linear").changed("head", strength=100.0)
    marked = replace(topics, texts=[*topics.texts])
    rows = list(range(0, 60, 3))
    for row in rows:
        marked.texts[row] = f"zz{row} zz{row} zz{row}"
    found = out_of_fold(marked, recipe, topics.classes, folds=3)
    own = [topics.classes.index(topics.labels[row]) for row in rows]
    assert found[rows, own].max() < 0.8
    assert found[rows, own].mean() == pytest.approx(1 / 3, abs=0.15)


def test_the_only_text_of_a_label_is_judged_by_nobody(topics: Dataset) -> None:
    rare = replace(topics, labels=["rare", *topics.labels[1:]])
    recipe = recipes.load("linear").changed("head", strength=10.0)
    found = out_of_fold(rare, recipe, label_names(label_sets(rare)), folds=3)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:]).all()


@pytest.mark.parametrize("judge", ["linear", "bayes"])
def test_texts_may_have_several_labels(topics: Dataset, judge: str) -> None:
    labels = [
        f"{label}|long" if len(text.split()) > 8 else label
        for text, label in zip(topics.texts, topics.labels, strict=True)
    ]
    several = dataset_of(topics.texts, labels, "several")
    names = label_names(label_sets(several))
    recipe = recipes.load("linear").changed("head", multi_label=True)
    found = out_of_fold(several, recipe, names, folds=3, fitter=fit_bayes if judge == "bayes" else None)
    topic = [names.index(label.partition("|")[0]) for label in labels]
    of_topics = [place for place, name in enumerate(names) if name != "long"]
    best = np.array(of_topics)[found[:, of_topics].argmax(axis=1)]
    assert (best == topic).mean() > 0.85
