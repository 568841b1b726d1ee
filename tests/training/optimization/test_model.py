"""How weights move: optimizers, the embedding's own rate, freezing, schedules, clipping, lower precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lexport.data.load import load
from lexport.data.splits import Splits, split
from lexport.errors import InputError
from lexport.models import recipes
from lexport.models.compose import TextModel, build
from lexport.models.recipes import Recipe
from lexport.models.vocabulary import build_encoder
from lexport.training.fit import Fit, fit
from lexport.training.optimization.model import ModelOptimizer

from ...refusals import refused

CPU = torch.device("cpu")
NGRAMS = "[text]\nngrams = 2\nbuckets = 256\n[embedding]\ndim = 8\n"


def of(training: str, parts: str = NGRAMS, **embedding: Any) -> Recipe:
    return recipes.parse("mine", f"{parts}\n[training]\n{training}").changed("embedding", **embedding)


@pytest.fixture(scope="module")
def parts(tiny_csv: Path) -> Splits:
    return split(load(str(tiny_csv)))


def fitted(recipe: Recipe, parts: Splits) -> Fit:
    return fit(recipe, parts, parts.train.classes, build_encoder(parts.train.texts, recipe.text), seed=0)


def fresh(recipe: Recipe, parts: Splits) -> TextModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(recipe, build_encoder(parts.train.texts, recipe.text).spec, labels=3)


def stepped(recipe: Recipe, parts: Splits, epoch: int = 1, done: float = 0.0) -> tuple[TextModel, TextModel]:
    """A model before and after one step on fixed texts, without any dropout."""
    before, model = fresh(recipe, parts), fresh(recipe, parts)
    optimizer = ModelOptimizer(model, recipe.training, CPU)
    optimizer.start_epoch(epoch)
    ids = torch.tensor([[2, 3, 4, 0], [5, 2, 0, 0], [6, 7, 2, 3]])
    optimizer.backward(F.cross_entropy(model.eval()(ids), torch.tensor([0, 1, 2])))
    optimizer.step(done)
    return before, model


def moved(pair: tuple[TextModel, TextModel], part: str) -> torch.Tensor:
    before, after = (dict(model.named_parameters()) for model in pair)
    return torch.cat([(after[name] - before[name]).flatten() for name in before if name.startswith(part)]).detach()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adam", 0.02), ("adamw", 0.02), ("adagrad", 0.2), ("rowwise", 0.02), ("sgd", 2.0)]
)
def test_every_optimizer_learns_with_dense_and_with_sparse_tables(
    parts: Splits, optimizer: str, rate: float, sparse: bool
) -> None:
    recipe = of(f'epochs = 6\noptimizer = "{optimizer}"\nlearning_rate = {rate}', sparse=sparse)
    assert min(fitted(recipe, parts).losses) < 0.8 * np.log(3)


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
def test_sparse_gradients_change_nothing_but_the_work_where_the_optimizer_has_no_memory_of_time(
    parts: Splits, optimizer: str
) -> None:
    dense, sparse = (
        fitted(of(f'epochs = 2\noptimizer = "{optimizer}"\nlearning_rate = 0.1', sparse=sparse), parts).model
        for sparse in (False, True)
    )
    for one, other in zip(dense.parameters(), sparse.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_embeddings_rate_is_a_multiple_of_the_others(parts: Splits, sparse: bool) -> None:
    plain, faster = (
        stepped(of(f'optimizer = "sgd"\nlearning_rate = 0.5\nembedding_rate = {rate}', sparse=sparse), parts)
        for rate in (1.0, 10.0)
    )
    torch.testing.assert_close(moved(faster, "embedding"), 10 * moved(plain, "embedding"), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(moved(faster, "head"), moved(plain, "head"))


@pytest.mark.parametrize("sparse", [False, True])
def test_an_embedding_is_frozen_for_the_first_epochs_and_released_at_its_own_rate(
    parts: Splits, sparse: bool
) -> None:
    def recipe(frozen: int) -> Recipe:
        options = f'optimizer = "sgd"\nlearning_rate = 0.5\nfrozen_epochs = {frozen}\nreleased_rate = 0.25'
        return of(options, sparse=sparse)

    for epoch in (1, 2):
        frozen = stepped(recipe(2), parts, epoch)
        assert not moved(frozen, "embedding").any()
        assert moved(frozen, "head").any()
    free, released = stepped(recipe(0), parts), stepped(recipe(2), parts, epoch=3)
    torch.testing.assert_close(moved(released, "embedding"), moved(free, "embedding") / 4, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(moved(released, "head"), moved(free, "head"))


def test_a_frozen_embedding_ends_as_it_began_and_the_head_learns(parts: Splits) -> None:
    recipe = of("epochs = 3\nfrozen_epochs = 3\nlearning_rate = 0.02", "[embedding]\ndim = 32\nspread = 1.0")
    result = fitted(recipe, parts)
    assert torch.equal(result.model.embedding.get_parameter("weight"), _start(recipe, parts))
    assert result.losses[-1] < result.losses[0]


def _start(recipe: Recipe, parts: Splits) -> torch.Tensor:
    return fresh(recipe, parts).embedding.get_parameter("weight")


def test_a_linear_schedule_ends_at_nothing(parts: Splits) -> None:
    recipe = of('optimizer = "sgd"\nlearning_rate = 0.5\nschedule = "linear"')
    first, half = stepped(recipe, parts), stepped(recipe, parts, done=0.5)
    torch.testing.assert_close(moved(half, ""), moved(first, "") / 2, rtol=1e-3, atol=1e-6)
    assert not moved(stepped(recipe, parts, done=1.0), "").any()


def test_weight_decay_spares_the_embedding(parts: Splits) -> None:
    plain, decayed = (
        stepped(of(f'optimizer = "adamw"\nlearning_rate = 0.1\nweight_decay = {decay}'), parts)
        for decay in (0.0, 0.5)
    )
    assert torch.equal(moved(plain, "embedding"), moved(decayed, "embedding"))
    assert not torch.equal(moved(plain, "head"), moved(decayed, "head"))


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_clipped_together_to_the_norm_asked_for(parts: Splits, sparse: bool) -> None:
    options = 'optimizer = "sgd"\nlearning_rate = 1.0\nclip = '
    free, clipped = (stepped(of(f"{options}{limit}", sparse=sparse), parts) for limit in (100.0, 0.01))
    assert moved(free, "").norm() > 0.05
    torch.testing.assert_close(moved(clipped, "").norm(), torch.tensor(0.01), rtol=1e-3, atol=0)
    torch.testing.assert_close(moved(clipped, "") / 0.01, F.normalize(moved(free, ""), dim=0), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("sparse", [False, True])
def test_lower_precision_learns_as_well_and_keeps_its_weights_in_fp32(
    parts: Splits, precision: str, sparse: bool
) -> None:
    options = "epochs = 4\nlearning_rate = 0.02\nprecision = "
    exact, lower = (fitted(of(f'{options}"{name}"', sparse=sparse), parts) for name in ("fp32", precision))
    assert all(parameter.dtype == torch.float32 for parameter in lower.model.parameters())
    assert lower.losses != exact.losses
    assert lower.losses == pytest.approx(exact.losses, abs=0.03)


def test_a_gradient_beyond_fp16_is_skipped_not_taken(parts: Splits) -> None:
    recipe = of('optimizer = "sgd"\nlearning_rate = 0.1\nprecision = "fp16"')
    before, model = fresh(recipe, parts), fresh(recipe, parts)
    optimizer = ModelOptimizer(model, recipe.training, CPU)
    optimizer.start_epoch(1)
    optimizer.backward(model(torch.tensor([[2, 3]])).sum() * 1e36)
    optimizer.step(0.0)
    assert not moved((before, model), "").any()


@pytest.mark.parametrize(
    ("training", "values"),
    [
        ('optimizer = "lion"', ["optimizer", '"lion"', "adam, adamw, adagrad, rowwise, sgd, newton"]),
        ('schedule = "cosine"', ["schedule", '"cosine"', "constant, linear"]),
        ('precision = "int8"', ["precision", '"int8"', "fp32, bf16, fp16"]),
        ("embedding_rate = 0", ["embedding_rate=0.0", "above 0", "frozen_epochs = epochs"]),
        ("released_rate = -1.0", ["released_rate=-1.0", "above 0"]),
        ("frozen_epochs = -1", ["frozen_epochs=-1", "at least 0"]),
        ("weight_decay = 0.1", ["weight_decay=0.1", '"adamw"', '"adam"']),
    ],
)
def test_options_that_train_nothing_are_refused(training: str, values: list[str]) -> None:
    with refused(InputError, "LX-RECIPE-010", "mine", "training", *values):
        of(training)
