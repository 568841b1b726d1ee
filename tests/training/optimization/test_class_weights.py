"""Labels are weighed where they are unbalanced, unless the recipe says how much each counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lexport.data.load import load, of_texts
from lexport.models import recipes
from lexport.models.heads import ClassifierOptions, LinearOptions
from lexport.models.predict import text_outputs
from lexport.training.optimization.class_weights import explain_weights
from lexport.training.train import train


@pytest.mark.parametrize(("rare", "weighting"), [(11, "none"), (10, "root"), (1, "root"), (0, "root")])
def test_ten_times_the_texts_of_the_rarest_label_are_unbalanced(rare: int, weighting: str) -> None:
    assert ClassifierOptions().weighting([100, rare, 40]) == weighting
    assert ClassifierOptions(multi_label=True).weighting([100, rare, 40]) == "none"
    for name in ("none", "root", "balanced"):
        assert ClassifierOptions(class_weights=name).weighting([100, rare, 40]) == name
        assert LinearOptions(class_weights=name).weighting([100, rare, 40]) == name
    assert LinearOptions().weighting([100, rare, 40]) == ("none" if rare == 11 else "balanced")


@pytest.mark.parametrize(
    ("name", "inverse"),
    [("linear", "the inverse counts"), ("bag", "the root of the inverse counts")],
)
def test_rare_labels_are_found_more_often_and_the_reason_is_said(name: str, inverse: str, tmp_path: Path) -> None:
    rows = load("bbc-news")
    texts = [" ".join(text.split()[:20]) for text in rows.texts]
    chosen = [row for row, label in enumerate(rows.labels) if label == "sports" or row % 12 == 0]
    others = [row for row in range(len(texts)) if row not in set(chosen)]
    data = of_texts([texts[row] for row in chosen], [rows.labels[row] for row in chosen])
    found, said = {}, {}
    for weights in ("none", "auto"):
        recipe = recipes.load(name).changed("head", class_weights=weights)
        lines: list[str] = []
        run = train(data, tmp_path / weights, recipe=recipe, say=lines.append)
        answers = text_outputs(run.model, run.encoder, [texts[row] for row in others]).argmax(axis=1)
        truth = [rows.labels[row] for row in others]
        found[weights] = f1_score(truth, [run.labels[answer] for answer in answers], average="macro")
        said[weights] = [line for line in lines if line.startswith(f"class weights by {inverse}")]
    assert found["auto"] > found["none"] + 0.03
    assert said["none"] == []
    [line] = said["auto"]
    assert line.endswith("training texts; --set head.class_weights=none leaves them out")


def test_the_texts_of_a_label_are_counted_by_what_a_teacher_says_of_them() -> None:
    data = of_texts(["one", "two"] * 10, ["a", "b"] * 10)
    sure = np.tile(np.array([[0.95, 0.05]], np.float32), (20, 1))
    line = explain_weights(recipes.load("bag"), ["a", "b"], replace(data, targets=sure))
    assert "for labels of 1 to 19 training texts" in line
    assert explain_weights(recipes.load("bag"), ["a", "b"], replace(data, targets=np.full_like(sure, 0.5))) == ""


def test_several_labels_a_text_are_not_weighed_unasked() -> None:
    data = of_texts(["one", "two"] * 20, [["a"]] * 39 + [["a", "b"]], multi_label=True)
    recipe = recipes.load("bag").changed("head", multi_label=True)
    assert explain_weights(recipe, ["a", "b"], data) == ""


@pytest.mark.parametrize("name", ["vectors", "bag"])
def test_nothing_is_said_where_nothing_is_weighed(name: str) -> None:
    data = of_texts(["one", "two"] * 10, ["a", "b"] * 10)
    assert explain_weights(recipes.load(name), ["a", "b"], data) == ""
