"""Naive Bayes, counted by hand, as a model of the recipe `linear`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lexport.data.load import load
from lexport.data.splits import split
from lexport.evaluation.diagnostics.tokenized import TokenizedSplits
from lexport.models import recipes
from lexport.models.predict import outputs
from lexport.storage.progress import silent
from lexport.training.linear import fit_bayes
from lexport.training.linear.features import Counts, Scales, Weighing
from lexport.training.prepare import new_encoder, split_texts


@pytest.mark.parametrize("labels", [2, 3])
def test_the_scores_are_those_of_the_shares_of_weighted_counts(tiny_csv: Path, labels: int) -> None:
    every = load(str(tiny_csv))
    classes = every.classes[:labels]
    dataset = every.take([row for row, label in enumerate(every.labels) if label in classes][:120], "few")
    parts = split(dataset)
    recipe = recipes.load("linear")
    recipe = replace(recipe, text=replace(recipe.text, subwords=None, ngrams=1))
    recipe, encoder = new_encoder(recipe, split_texts(recipe, parts.train), len(parts.train), labels, silent)
    tokens = TokenizedSplits.of(encoder, parts)
    fitted = fit_bayes(recipe, parts, classes, encoder, tokens=tokens)
    found = outputs(fitted.model, encoder, parts.test)

    counts = Counts.of(encoder, tokens.train.take(np.arange(len(parts.train))))
    scales = Scales.of(counts, encoder, 0.5, Weighing(0.5), 1 << 20)
    factor = dict(zip(scales.rows.tolist(), scales.factors[:, 0].tolist(), strict=True))

    def features(text: str) -> np.ndarray:
        row = np.zeros(encoder.spec.rows)
        words = encoder.look_up([text]).indices.tolist()
        for word in words:
            row[word] += factor.get(word, 0.0) / max(len(words), 1) ** 0.5
        return row

    train = np.array([features(text) for text in parts.train.texts])
    truth = np.array([classes.index(label) for label in parts.train.labels])
    sums = np.array([train[truth == label].sum(axis=0) for label in range(labels)])[:, scales.rows] + 1
    logs = np.log(sums / sums.sum(axis=1, keepdims=True))
    priors = np.log((np.bincount(truth, minlength=labels) + 1) / (len(truth) + labels))
    test = np.array([features(text) for text in parts.test.texts])[:, scales.rows]
    logits = test @ logs.T + priors
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert found == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-4)
