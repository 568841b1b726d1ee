"""Vanishing gradients of the embedding: told where they vanish, in real models, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from lexport.data.load import load
from lexport.data.splits import Splits, split
from lexport.evaluation.diagnostics.advice import Advice
from lexport.evaluation.diagnostics.vanishing import GradientMonitor
from lexport.models import recipes
from lexport.models.compose import build
from lexport.models.recipes import Recipe
from lexport.models.recipes.settings import with_settings
from lexport.models.vocabulary import build_encoder
from lexport.training.objective import Objective
from lexport.training.optimization.model import ModelOptimizer
from lexport.training.optimization.steps import choose_steps


@pytest.fixture(scope="module")
def parts() -> Splits:
    return split(load("rotten-tomatoes"))


def watched(recipe: Recipe, parts: Splits, steps: int = 12) -> Advice | None:
    """What is said after some steps, all of them observed."""
    train = parts.train.take(range(0, len(parts.train), 20), "few")
    encoder = build_encoder(train.texts, recipe.text, inputs=recipe.inputs)
    watch = GradientMonitor()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(recipe, encoder.spec, labels=2)
        objective = Objective(recipe, encoder, train, train.classes)
        recipe, _ = choose_steps(recipe, objective.lengths)
        optimizer = ModelOptimizer(model, recipe.training, torch.device("cpu"))
        optimizer.start_epoch(1)
        for step in range(steps):
            rows = torch.arange(step * 32, step * 32 + 32).remainder(len(train)).numpy()
            optimizer.backward(objective.loss(model, rows))
            watch.observe(*optimizer.norms())
            optimizer.step(0.0)
    return watch.warning(recipe)


def of(model: str, dim: int = 16) -> Recipe:
    buckets = {"buckets": 1024} if model == "hashed" else {}
    return recipes.load(model).changed("embedding", dim=dim, **buckets)


@pytest.mark.parametrize("model", ["bag", "cnn", "lstm", "transformer", "char", "hashed"])
def test_shipped_recipes_let_their_words_learn(model: str, parts: Splits) -> None:
    assert watched(of(model), parts) is None


@pytest.mark.parametrize(
    ("recipe", "lower"),
    [
        (of("lstm").changed("encoder", layers=8), ["encoder.layers=2"]),
        (of("cnn").changed("embedding", spread=100.0), ["embedding.spread=0.05"]),
        (of("transformer").changed("embedding", spread=200.0), ["embedding.spread=0.05"]),
    ],
    ids=["an LSTM of eight layers", "a CNN on huge vectors", "a transformer on huge vectors"],
)
def test_encoders_that_pass_no_gradient_on_are_told(recipe: Recipe, lower: list[str], parts: Splits) -> None:
    found = watched(recipe, parts)
    assert found is not None
    assert found.warning.startswith("embedding gradients vanish: in 12 of 12 observed steps")
    advised = [value for _, value in found.options]
    assert advised == lower
    assert watched(with_settings(recipe, lower), parts) is None


def test_where_nothing_is_high_nothing_is_advised() -> None:
    watch = GradientMonitor()
    for _ in range(8):
        watch.observe(1e-6, 1.0)
    assert watch.warning(of("lstm")) is None


def observed(*norms: tuple[float, float]) -> Advice | None:
    watch = GradientMonitor()
    for one in norms:
        watch.observe(*one)
    return watch.warning(of("lstm").changed("encoder", layers=8))


def test_half_of_the_steps_are_not_most() -> None:
    assert observed(*[(1.0, 1.0), (1e-6, 1.0)] * 4) is None
    assert observed(*[(1.0, 1.0), (1e-6, 1.0)] * 4, (0.0, 1.0)) is not None


def test_few_steps_say_nothing() -> None:
    assert observed((0.0, 1.0), (0.0, 1.0)) is None
    assert observed() is None


def test_without_other_parameters_gradients_are_measured_by_themselves() -> None:
    assert observed(*[(0.5, 0.0)] * 4) is None
    assert observed(*[(1e-7, 0.0)] * 4) is not None


def test_small_gradients_everywhere_are_a_model_that_has_learned() -> None:
    assert observed(*[(1e-9, 1e-9)] * 4) is None
