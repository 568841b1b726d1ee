"""Fit a model by steps: what a training begins with, and what it leaves."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..data.pretrained import open_vectors
from ..data.splits import Splits
from ..evaluation.diagnostics.advice import Advice
from ..evaluation.diagnostics.tokenized import TokenizedSplits
from ..handlers.text.encoder import TextEncoder
from ..models.compose import TextModel, build
from ..models.embeddings import Table
from ..models.recipes import Recipe
from ..models.run import Run
from ..storage.progress import Progress, Say, silent
from .checkpoint import Checkpoints
from .device import Device
from .distributed import ProcessGroup
from .objective import Objective
from .optimization.steps import choose_steps
from .pretrained import fill_table
from .trainer import Trainer


@dataclass(frozen=True)
class Fit:
    """A trained model and the course of its training."""

    model: TextModel
    losses: list[float]
    """Validation loss of each epoch."""
    best_epoch: int
    """The epoch whose weights the model has, from 1; 0: those before training."""
    seconds: float
    """Duration, with that before a resumed checkpoint."""
    advice: Advice | None = None
    """A warning about the gradients, if there is one."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else the run keeps of its training, as JSON can hold it."""


def fit(
    recipe: Recipe,
    parts: Splits,
    labels: Sequence[str],
    encoder: TextEncoder,
    *,
    seed: int,
    start: Run | None = None,
    device: Device = Device(),  # noqa: B008  (it is immutable)
    group: ProcessGroup = ProcessGroup(),  # noqa: B008  (likewise)
    checkpoints: Checkpoints | None = None,
    tokens: TokenizedSplits | None = None,
    chosen: Fit | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> Fit:
    """Train a new model, or a copy of `start`'s, on parts.train. Keep the epoch with the lowest validation loss.

    What is learned of parts.train are its `targets`, if it has some; the validation loss is that of the labels.
    With `chosen`, a fit of the recipe on other texts, as many epochs as its best are trained, and the last is kept.
    `tokens`: the texts of `parts`, if `encoder` has already looked them up. The same seed, device and group give the
    same weights, also when training resumes from one of `checkpoints`. All random numbers come from separate
    generators, so the caller's random state has no influence and does not change. Raises InputError if the validation
    loss is not finite.
    """
    began = time.monotonic()
    values = 0 if parts.train.images is None else parts.train.images.shape[1]
    with device.activated():
        torch.manual_seed(seed)
        if start is not None:
            model = copy.deepcopy(start.model)
        else:
            model = build(recipe, encoder.spec, labels=len(labels), image_values=values)
            _load_pretrained(recipe, model, encoder, np.random.default_rng(seed), say)
        losses, best, before, advice = [], 0, 0.0, None
        curves: dict[str, list[float]] = {}
        if recipe.learns:
            known = tokens or TokenizedSplits.of(encoder, parts)
            recipe, _ = choose_steps(recipe, known.train.lengths)
            model.to(device.torch_device)
            group.broadcast_weights(model)
            trainer = Trainer(
                recipe,
                model,
                seed,
                device,
                group,
                further=start is not None,
                epochs=None if chosen is None else chosen.best_epoch,
            )
            objective = Objective(
                recipe,
                encoder,
                parts.train,
                labels,
                known.train,
                known.pairs,
                device.torch_device,
                targets=parts.train.targets,
            )
            validation = Objective(
                recipe,
                encoder,
                parts.validation,
                labels,
                known.validation,
                known.validation_pairs,
                device.torch_device,
            )
            trainer.run(objective, validation, checkpoints, say, progress)
            losses, best, before = trainer.losses, trainer.best_epoch, trainer.seconds_before
            curves = {"training_losses": trainer.training_losses, "validation_scores": trainer.scores}
            advice = trainer.gradient_monitor.warning(recipe)
            model.cpu()
    if start is not None and losses and not best:
        say(f"none of {len(losses)} epochs lowered the validation loss; the weights are those from before training")
    model.eval()
    return Fit(model, losses, best, before + time.monotonic() - began, advice, curves)


def _load_pretrained(
    recipe: Recipe, model: TextModel, encoder: TextEncoder, generator: np.random.Generator, say: Say
) -> None:
    """Set the table to the recipe's pretrained vectors, if it names any."""
    source = getattr(recipe.embedding, "vectors", None)
    if source is not None:
        assert isinstance(model.embedding, Table)
        missing: str = getattr(recipe.embedding, "missing", "uniform")
        say(str(fill_table(model.embedding, encoder.vocabulary, open_vectors(source), generator, missing)))
