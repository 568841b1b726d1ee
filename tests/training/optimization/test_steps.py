"""How large steps are: as ever for small data, larger for large data, and always as a recipe says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lexport.models import recipes
from lexport.models.recipes import Recipe
from lexport.models.recipes.settings import with_settings
from lexport.training.optimization import steps
from lexport.training.optimization.steps import choose_steps
from lexport.training.train import train


def chosen(texts: int, words: int = 20, recipe: Recipe | None = None) -> tuple[float | str, float | str]:
    found, _ = choose_steps(recipe or recipes.load("bag"), np.full(texts, words, np.int64))
    return found.training.batch_size, found.training.learning_rate


@pytest.mark.parametrize(
    ("texts", "words", "size", "rate"),
    [
        (1, 0, 64, 0.02),
        (32_767, 20, 64, 0.02),
        (32_768, 20, 128, 0.022),
        (46_340, 20, 128, 0.022),
        (46_341, 20, 256, 0.025),
        (65_536, 20, 512, 0.028),
        (160_000, 20, 2048, 0.036),
        (1_600_000, 20, 2048, 0.036),
        (50_000_000, 5, 2048, 0.036),
        (160_000, 1000, 64, 0.02),
        (160_000, 300, 128, 0.022),
    ],
)
def test_steps_hold_more_of_many_texts(texts: int, words: int, size: int, rate: float) -> None:
    assert chosen(texts, words) == (size, rate)


def test_what_a_recipe_or_the_user_says_is_kept() -> None:
    assert chosen(160_000, recipe=recipes.load("cnn")) == (64, 0.002)
    fixed = with_settings(recipes.load("bag"), ["training.batch_size=32", "training.learning_rate=0.1"])
    assert chosen(160_000, recipe=fixed) == (32, 0.1)
    assert chosen(160_000, recipe=recipes.load("bag").changed("training", learning_rate=0.1)) == (2048, 0.1)
    assert chosen(1_000, recipe=recipes.load("bag").changed("training", batch_size=512)) == (512, 0.028)


def test_only_other_than_usual_steps_have_a_reason() -> None:
    bag = recipes.load("bag")
    assert choose_steps(bag, np.full(1_000, 20))[1] == ""
    assert choose_steps(bag.changed("training", batch_size=512, learning_rate=0.1), np.full(99_999, 20))[1] == ""
    assert choose_steps(bag, np.full(160_000, 20))[1] == (
        "2,048 texts a step at a rate of 0.036, for 160,000 training texts; --set training.batch_size and "
        "training.learning_rate set others"
    )


def test_options_that_are_neither_numbers_nor_auto_are_refused() -> None:
    with pytest.raises(ValueError, match=r'batch_size is "many"; a number or "auto" was expected'):
        recipes.TrainingOptions(batch_size="many")
    with pytest.raises(ValueError, match="learning_rate is not chosen yet"):
        _ = recipes.TrainingOptions(learning_rate="auto").rate


def test_a_run_keeps_its_steps_and_why(tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.load("bag").changed("training", epochs=1)
    usual = train(str(tiny_csv), tmp_path / "usual", recipe=recipe)
    assert (usual.recipe.training.batch_size, usual.recipe.training.learning_rate) == (64, 0.02)
    assert "steps" not in usual.info.training
    monkeypatch.setattr(steps, "_SQUARE", 8)
    said: list[str] = []
    larger = train(str(tiny_csv), tmp_path / "larger", recipe=recipe, say=said.append)
    assert larger.recipe.training.texts_per_step > 64
    assert larger.info.training["steps"] in said
