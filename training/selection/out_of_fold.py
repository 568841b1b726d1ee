"""What a recipe says of texts that it was not trained on: each fold is judged by a model of the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ...data.dataset import Dataset
from ...data.folds import fold_parts
from ...data.splits import SplitOptions, split
from ...evaluation.diagnostics.tokenized import TokenizedSplits
from ...evaluation.tasks import TASKS
from ...models.predict import Outputs, outputs
from ...models.recipes import Recipe
from ...storage.progress import Progress, silent
from ..fit import Fit, fit
from ..prepare import new_encoder, split_texts
from ..train import FITTERS


def out_of_fold(
    dataset: Dataset,
    recipe: Recipe,
    labels: Sequence[str],
    *,
    folds: int = 5,
    seed: int = 0,
    fitter: Callable[..., Fit] | None = None,
    progress: Progress = silent,
) -> Outputs:
    """Return the scores of each label for every text, float32 [texts, labels], by a model that has not seen the text.

    `recipe` answers scores of labels; nothing is written. A row of NaN is a text that is in every fold's training
    part, which is the only one of its label. The strength of a recipe that is fitted exactly is chosen in the first
    fold. fitter: None for the recipe's own. Raises InputError for data that cannot be divided into so many folds.
    """
    task = TASKS[recipe.task]
    found = np.full((len(dataset), len(labels)), np.nan, np.float32)
    fitter = fitter or FITTERS.get(recipe.training.optimizer, fit)
    chosen: Fit | None = None
    for number, parts in enumerate(fold_parts(dataset, folds, SplitOptions(), task.label_sets)):
        progress(number, folds, f"labels: fold {number + 1} of {folds} by {recipe.name}")
        divided = split(dataclasses.replace(dataset, parts=parts), task.label_sets)
        corpus = split_texts(recipe, divided.train)
        own, encoder = new_encoder(recipe, corpus, len(divided.train), len(labels), silent)
        tokens = TokenizedSplits.of(encoder, divided, corpus)
        fitted = fitter(own, divided, labels, encoder, seed=seed, tokens=tokens, chosen=chosen)
        chosen = fitted if "strength" in fitted.details and fitted.best_epoch else None
        rows = [row for row, part in enumerate(parts) if part == "test"]
        found[rows] = outputs(fitted.model, encoder, divided.test, (tokens.test, None))
    progress(folds, folds, f"labels: {folds} folds by {recipe.name}")
    return found
