"""Who names no recipe gets the best of several, unless another option is for one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import lexport

from ..refusals import refused


def trained(tiny_csv: Path, out: Path, **options: Any) -> lexport.Run:
    return lexport.train(tiny_csv, out=out, epochs=1, **options)


def test_without_a_recipe_the_best_of_several_is_kept(tiny_csv: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = trained(tiny_csv, tmp_path / "run", budget=1e-9, say=said.append)
    assert [one["recipe"] for one in run.info.leaderboard] == ["linear"]
    assert any("not tried: bag, hashed, char-ngrams, cnn" in line for line in said)
    named = trained(tiny_csv, tmp_path / "named", recipe="auto", budget=1e-9)
    assert named.predict(["soup"]) == run.predict(["soup"])


@pytest.mark.parametrize(
    "options",
    [{"dim": 4}, {"min_count": 1}, {"max_vocabulary": 50}, {"settings": ["text.ngrams=1"]}],
    ids=lambda options: next(iter(options)),
)
def test_an_option_for_words_or_vectors_is_of_the_bag(
    tiny_csv: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    run = trained(tiny_csv, tmp_path / "run", **options)
    assert (run.recipe, run.info.leaderboard) == ("bag", [])


def test_a_budget_beside_them_is_refused(tiny_csv: Path, tmp_path: Path) -> None:
    with refused(lexport.InputError, "LX-API-015", "--budget 5"):
        trained(tiny_csv, tmp_path / "run", dim=4, budget=5)


def test_a_classifier_of_scikit_learn_may_choose_too() -> None:
    texts = [f"{word} {number}" for number in range(40) for word in ("good fun", "bad bore")]
    labels = np.array([1, 0] * 40)
    model = clone(lexport.TextClassifier("auto", budget=1e-9, epochs=1)).fit(texts, labels)
    assert model.run_.recipe == "linear"
    assert model.predict(["good fun", "bad bore"]).tolist() == [1, 0]
    assert lexport.TextClassifier().recipe == "bag"


def test_a_run_without_a_folder_is_called_like_its_data(tmp_path: Path) -> None:
    texts = [f"{word} {number}" for number in range(30) for word in ("good fun", "bad bore")]
    rows = [f"{text},{text.split()[0]}" for text in texts]
    (tmp_path / "my-reviews.v2.csv").write_text("\n".join(["text,label", *rows]))
    run = lexport.train(tmp_path / "my-reviews.v2.csv", recipe="bag", epochs=1, dim=4)
    assert run.folder.name == "my-reviews"
    memory = lexport.train(texts=texts, labels=[text.split()[0] for text in texts], recipe="bag", epochs=1, dim=4)
    assert memory.folder.name == "bag"
