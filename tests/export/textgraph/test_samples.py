"""Every text of every sample set, through the graph and through the Python text code: the same ids and counts."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from lexport.data.load import Columns, Dataset, load
from lexport.data.samples import SAMPLES
from lexport.models.recipes import load as load_recipe
from lexport.models.vocabulary import build_encoder

from .graphs import Front

# Recipes whose text options and layouts differ.
RECIPES = ["bag", "hashed", "char-ngrams", "char", "multilingual", "transformer"]
BATCH = 32


@cache
def sample(name: str) -> Dataset:
    return load(name, Columns())


def check(name: str, recipe_name: str, every: int) -> None:
    recipe, data = load_recipe(recipe_name), sample(name)
    texts, languages = data.texts[::every], data.languages and data.languages[::every]
    if recipe.inputs != "languages":
        languages = None
    elif languages is None:
        languages = ["en"] * len(texts)
    encoder = build_encoder(texts[::2], recipe.text, inputs=recipe.inputs, languages=languages and languages[::2])
    front = Front(encoder)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        asked = [texts[place] for place in batch]
        own = languages and [languages[place] for place in batch]
        tokens = encoder.look_up(asked, own)
        expected = encoder.assemble(tokens)
        ids, *counts = front.run(["ids", "tokens", "unknown", "truncated"], asked, own)
        for found, looked_up in zip(counts, (tokens.lengths, tokens.unknown, tokens.truncated), strict=True):
            np.testing.assert_array_equal(found, looked_up)
        there, wanted = (one.reshape(*one.shape[:2], -1).any(axis=2) for one in (ids, expected))
        np.testing.assert_array_equal(there.sum(axis=1), wanted.sum(axis=1))
        np.testing.assert_array_equal(ids[there], expected[wanted])


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", SAMPLES)
def test_some_texts_become_the_same_ids(name: str, recipe: str) -> None:
    check(name, recipe, every=40)


@pytest.mark.long
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", SAMPLES)
def test_all_texts_become_the_same_ids(name: str, recipe: str) -> None:
    check(name, recipe, every=1)
