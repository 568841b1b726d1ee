"""Recipes: shipped ones load, mistakes in one are named."""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources

import pytest

from lexport.errors import InputError
from lexport.models import recipes

BAG = (resources.files("lexport.models.recipes") / "bag.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_loads_and_says_when_to_use_it(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert len(recipe.when) > 20
    assert recipes.restore(asdict(recipe)) == recipe


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "table"', 'name = "tabel"', "embedding 'tabel' is not known; there is 'table'"),
        ("dim = 16", "dims = 16", r"\[embedding\]: unknown options: dims; known are: dim"),
        ("dim = 16", "dim = 0", "dim=0 must be at least 1"),
        ('mode = "mean"', 'mode = "median"', 'mode is "median", known is "mean"'),
        ("epochs = 30", "epochs = 0", "epochs=0"),
        ("dropout = 0.5", "dropout = 1.5", r"dropout=1\.5 must be"),
        ("word_dropout = 0", "word_dropout = 1", "word_dropout=1"),
        ("min_count = 2", "min_count = 0", "min_count=0 must be at least 1"),
        ("[training]", "[trainnig]", "unknown sections: trainnig"),
        ("[training]", "[training", "not valid TOML"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, reason: str) -> None:
    assert old in BAG
    with pytest.raises(InputError, match=reason):
        recipes.parse("mine", BAG.replace(old, new))


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no recipe 'bog'; --model takes one of: bag"):
        recipes.load("bog")


def test_options_replace_one_section_and_none_leaves_it() -> None:
    recipe = recipes.load("bag")
    assert recipe.changed("embedding", dim=None) == recipe
    assert recipe.changed("embedding", dim=7).embedding.dim == 7
    with pytest.raises(InputError, match="min_count=0"):
        recipe.changed("text", min_count=0)
