"""Fit a model on all texts, once the choices are made on validation and the model is judged on test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..data.dataset import Dataset, joined
from ..data.splits import Splits
from ..evaluation.tasks import Task
from ..handlers.text.encoder import TextEncoder
from ..models.predict import LookedUp, outputs
from ..models.recipes import Recipe
from ..models.run import Run
from ..storage.progress import silent
from .fit import Fit
from .prepare import new_encoder, split_texts


class FinalFit(NamedTuple):
    """A model that was fitted on all texts."""

    recipe: Recipe
    encoder: TextEncoder
    fit: Fit
    texts: int
    """How many texts it was fitted on."""


def fit_on_all(
    recipe: Recipe,
    parts: Splits,
    labels: list[str],
    chosen: Fit,
    start: Run | None,
    fit: Callable[..., Fit],
) -> FinalFit:
    """Fit a model on the texts of all `parts`, with the epochs or the strength that `chosen` found best.

    The vocabulary is that of all texts, or that of `start`, which is trained further. `fit` is `trainer.fit` with all
    that stays as it was.
    """
    whole = joined({"train": parts.train, "validation": parts.validation, "test": parts.test})
    if start is None:
        recipe, encoder = new_encoder(recipe, split_texts(recipe, whole), len(whole), len(labels), silent)
    else:
        encoder = start.encoder
    every = Splits(whole, parts.validation, parts.test)
    return FinalFit(recipe, encoder, fit(recipe, every, labels, encoder, chosen=chosen), len(whole))


def judge(
    task: Task,
    chosen: Fit,
    encoder: TextEncoder,
    held_out: dict[str, Dataset],
    looked_up: dict[str, LookedUp],
) -> dict[str, dict[str, Any]]:
    """Return the metrics of the `chosen` model on each part of `held_out`, which it was not trained on."""
    return {
        part: task.metrics(dataset, outputs(chosen.model, encoder, dataset, looked_up[part]))
        for part, dataset in held_out.items()
    }
