"""Fitting a model: steps of Adam over the training texts, until the validation texts gain nothing more."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..handlers.text import Ids, TextEncoder
from ..progress import Progress, Say, silent
from .compose import PooledModel, TextModel, build
from .dropping import drop_words
from .embeddings import DynamicDimOptions, Table, TableOptions
from .lessons import Lesson
from .pretrained import fill_table, open_vectors
from .recipes import Recipe, TrainingOptions
from .run import Run
from .splits import Splits

# Texts of similar length share a batch within so many batches.
_SORTED_TOGETHER = 32


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it went.

    losses: of the validation texts, by epoch. best_epoch: whose weights the model has, from 1; 0 is the start.
    """

    model: TextModel
    losses: list[float]
    best_epoch: int
    seconds: float


def fit(
    recipe: Recipe,
    parts: Splits,
    labels: Sequence[str],
    encoder: TextEncoder,
    *,
    seed: int,
    start: Run | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> Fit:
    """Fit a fresh model, or a copy of `start`'s, on parts.train; keep the epoch with the lowest validation loss.

    Adam: Kingma, Ba: Adam: A Method for Stochastic Optimization, 2014, arXiv:1412.6980. Same seed, same machine: the
    same weights. Every random draw comes from two generators of its own, so that the
    caller's state neither matters nor changes. Raises InputError for a loss that is no longer a number.
    """
    began = time.monotonic()
    generator = np.random.default_rng(seed)
    values = 0 if parts.train.images is None else parts.train.images.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if start is not None:
            model = copy.deepcopy(start.model)
        else:
            model = build(recipe, encoder.spec, labels=len(labels), image_values=values)
            _take_vectors(recipe, model, encoder, generator, say)
        with _one_thread():
            losses, best = _lower_losses(
                recipe, model, parts, labels, encoder, generator, progress, start is not None
            )
    if start is not None and losses and not best:
        say(f"none of {len(losses)} epochs lowered the validation loss; the weights are those it started from")
    model.eval()
    return Fit(model, losses, best, time.monotonic() - began)


def _lower_losses(
    recipe: Recipe,
    model: TextModel,
    parts: Splits,
    labels: Sequence[str],
    encoder: TextEncoder,
    generator: np.random.Generator,
    progress: Progress,
    further: bool,
) -> tuple[list[float], int]:
    """Train `model` in place; the validation losses, and the number of the epoch whose weights it has now.

    `further`: the model has been trained before, and must gain by an epoch for that to count; else it stays, as 0.
    """
    if not recipe.learns:
        return [], 0
    options = recipe.training
    lesson, held = (Lesson(recipe, encoder, part, labels) for part in (parts.train, parts.validation))
    lesson.weigh()
    held.weigh(lesson)
    optimizers = _optimizers(model, options.learning_rate)
    drop = partial(drop_words, share=options.word_dropout, generator=generator)
    losses: list[float] = []
    least = _held_loss(model, held) if further else math.inf
    best, best_state = 0, copy.deepcopy(model.state_dict())
    for epoch in range(1, options.epochs + 1):
        model.train()
        batches = _batches(lesson, options, generator, in_order=not isinstance(model, PooledModel))
        for step, rows in enumerate(batches):
            loss = lesson.loss(model, rows, drop)
            model.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if options.clip:
                nn.utils.clip_grad_norm_(model.parameters(), options.clip)
            for optimizer in optimizers:
                optimizer.step()
            if step % 16 == 0:
                done = (epoch - 1) * len(batches) + step
                progress(done, options.epochs * len(batches), f"epoch {epoch}, loss {loss.item():.3f}")
        losses.append(_held_loss(model, held))
        if not math.isfinite(losses[-1]):
            raise InputError(
                f"The validation loss of epoch {epoch} is {losses[-1]}: training diverged. Set a learning_rate "
                f"below {options.learning_rate:g} or a clip in [training]."
            )
        if losses[-1] <= least:
            least, best, best_state = losses[-1], epoch, copy.deepcopy(model.state_dict())
        elif epoch - best >= options.patience:
            break
    progress(1, 1, f"best epoch {best} of {len(losses)}")
    model.load_state_dict(best_state)
    return losses, best


def _optimizers(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Adam, and for tables with sparse gradients the lazy form of it that they need."""
    tables = [module for module in model.modules() if isinstance(module, Table) and module.sparse]
    sparse = [parameter for table in tables for parameter in table.parameters(recurse=False)]
    apart = {id(parameter) for parameter in sparse}
    dense = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    optimizers: list[torch.optim.Optimizer] = []
    if dense:
        optimizers.append(torch.optim.Adam(dense, lr=rate, fused=True))
    if sparse:
        optimizers.append(torch.optim.SparseAdam(sparse, lr=rate))
    return optimizers


def _batches(
    lesson: Lesson, options: TrainingOptions, generator: np.random.Generator, *, in_order: bool
) -> list[Ids]:
    """The rows of every step of an epoch, drawn anew.

    Where padding costs (`in_order`: the encoder reads word after word), texts of similar length share a batch.
    """
    order = generator.permutation(len(lesson))
    size = options.batch_size
    if not in_order:
        return [order[first : first + size] for first in range(0, len(order), size)]
    batches: list[Ids] = []
    for first in range(0, len(order), size * _SORTED_TOGETHER):
        chunk = order[first : first + size * _SORTED_TOGETHER]
        chunk = chunk[np.argsort(lesson.lengths[chunk], kind="stable")]
        batches += [chunk[start : start + size] for start in range(0, len(chunk), size)]
    return [batches[position] for position in generator.permutation(len(batches))]


def _held_loss(model: TextModel, held: Lesson) -> float:
    model.eval()
    total = 0.0
    order = np.argsort(held.lengths, kind="stable")
    with torch.inference_mode():
        for first in range(0, len(held), 256):
            rows = order[first : first + 256]
            total += held.loss(model, rows).item() * len(rows)
    return total / len(held)


def _take_vectors(
    recipe: Recipe, model: TextModel, encoder: TextEncoder, generator: np.random.Generator, say: Say
) -> None:
    """Start the table from the recipe's pretrained vectors, if it names any."""
    options = recipe.embedding
    if isinstance(options, TableOptions | DynamicDimOptions) and options.vectors is not None:
        assert isinstance(model.embedding, Table)
        vectors = open_vectors(options.vectors)
        say(str(fill_table(model.embedding, encoder.vocabulary, vectors, generator, options.missing)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """A step takes milliseconds: more threads gain little, and wait for one another where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
