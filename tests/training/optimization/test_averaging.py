"""Averaging: what is judged and kept is the mean of the epochs' weights, and training goes on without it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lexport.data.load import load
from lexport.data.splits import Splits, split
from lexport.errors import InputError
from lexport.models import recipes
from lexport.models.compose import TextModel, build
from lexport.models.recipes import Recipe
from lexport.models.vocabulary import build_encoder
from lexport.training.fit import Fit, fit
from lexport.training.optimization.averaging import AveragedWeights

from ...refusals import refused

PLAIN = recipes.parse(
    "mine",
    "[text]\nngrams = 2\nbuckets = 64\n[embedding]\ndim = 4\nsparse = true\n[training]\n"
    'optimizer = "adagrad"\nlearning_rate = 0.05\npatience = 6\nepochs = 6',
)


@pytest.fixture(scope="module")
def parts(tiny_csv: Path) -> Splits:
    return split(load(str(tiny_csv)))


@pytest.fixture(scope="module")
def small(parts: Splits) -> TextModel:
    with torch.random.fork_rng():
        return build(PLAIN, build_encoder(parts.train.texts, PLAIN.text).spec, labels=3)


def fitted(recipe: Recipe, parts: Splits, **options: Any) -> Fit:
    encoder = build_encoder(parts.train.texts, recipe.text)
    return fit(recipe, parts, parts.train.classes, encoder, **({"seed": 0} | options))


def weights(model: TextModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def drift(model: TextModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator))


@given(share=st.floats(0.01, 0.99), epochs=st.integers(1, 12), seed=st.integers(0, 1000))
def test_each_epoch_counts_the_share_of_the_one_after_it(
    small: TextModel, share: float, epochs: int, seed: int
) -> None:
    model = copy.deepcopy(small)
    averaged = AveragedWeights(model, share)
    passed = []
    for epoch in range(1, epochs + 1):
        drift(model, seed + epoch)
        averaged.update(epoch)
        passed.append(weights(model))
    counts = [share ** (epochs - epoch) for epoch in range(1, epochs + 1)]
    for name, found in averaged.state().items():
        expected = sum(count * one[name].double() for count, one in zip(counts, passed, strict=True)) / sum(counts)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_an_average_is_worn_for_a_while_and_the_weights_return_to_the_bit(small: TextModel) -> None:
    model = copy.deepcopy(small)
    averaged = AveragedWeights(model, 0.5)
    averaged.update(1)
    first = weights(model)
    drift(model, 1)
    second, held = weights(model), dict(model.named_parameters())
    with averaged.applied():
        assert all(torch.equal(value, first[name]) for name, value in model.named_parameters())
    with pytest.raises(KeyError), averaged.applied():
        raise KeyError
    assert all(torch.equal(value, second[name]) for name, value in model.named_parameters())
    assert all(value is held[name] for name, value in model.named_parameters()), "an optimizer holds these"


def test_without_averaging_nothing_is_kept_and_the_weights_are_worn_as_they_are(small: TextModel) -> None:
    model = copy.deepcopy(small)
    averaged = AveragedWeights(model, 0.0)
    averaged.update(1)
    drift(model, 1)
    moved = weights(model)
    with averaged.applied():
        assert all(torch.equal(value, moved[name]) for name, value in model.named_parameters())
    assert averaged.state() == {}


def test_the_kept_model_is_the_average_of_the_unaveraged_trainings_epochs(parts: Splits) -> None:
    # With ever more epochs, the same training ends where each epoch of the longest did.
    ends = [fitted(PLAIN.changed("training", epochs=count), parts) for count in (1, 2, 3)]
    assert [one.best_epoch for one in ends] == [1, 2, 3], "each epoch was the best so far, so its weights are kept"
    averaged = fitted(PLAIN.changed("training", epochs=3, averaging=0.5), parts)
    assert averaged.best_epoch == 3
    for name, value in averaged.model.named_parameters():
        one, two, three = (end.model.get_parameter(name) for end in ends)
        torch.testing.assert_close(value, (one + 2 * two + 4 * three) / 7)


def test_the_validation_loss_is_that_of_the_average(parts: Splits) -> None:
    plain, averaged = (fitted(PLAIN.changed("training", averaging=share), parts) for share in (0.0, 0.8))
    assert averaged.losses[0] == plain.losses[0], "an average of one epoch is that epoch"
    assert all(a > b for a, b in zip(averaged.losses[1:], plain.losses[1:], strict=True)), "it trails behind"


@pytest.mark.parametrize("share", ["-0.1", "1.0", "nan", "inf"])
def test_a_share_that_makes_no_average_is_refused(share: str) -> None:
    with refused(InputError, "LX-RECIPE-010", "averaging=", "must be at least 0 and below 1"):
        recipes.parse("mine", f"[training]\naveraging = {share}")
