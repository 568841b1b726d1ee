"""Fitting a model: steps over the training texts, until the validation texts gain nothing more."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.pretrained import open_vectors
from ..data.splits import Splits
from ..errors import InputError
from ..evaluation.diagnostics.advice import Advice
from ..evaluation.diagnostics.vanishing import GradientWatch
from ..evaluation.diagnostics.warnings import LookedUp
from ..handlers.text.encoder import Ids, TextEncoder
from ..models.compose import PooledModel, TextModel, build
from ..models.embeddings import DynamicDimOptions, Table, TableOptions
from ..models.recipes import Recipe, TrainingOptions
from ..models.run import Run
from ..storage.progress import Progress, Say, silent
from .averaging import Averaged
from .checkpoint import Checkpoint, Checkpoints
from .device import Machine
from .distributed import Team
from .objective import Drop, Lesson
from .optimizer import Optimization
from .pretrained import fill_table

# Texts of similar length share a batch within so many batches.
_SORTED_TOGETHER = 32
# Steps between two looks at the clock, the loss and the checkpoint.
_STRIDE = 16


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it went.

    losses: of the validation texts, by epoch. best_epoch: whose weights the model has, from 1; 0 is the start.
    advice: what is to be warned of.
    """

    model: TextModel
    losses: list[float]
    best_epoch: int
    seconds: float
    advice: Advice | None = None


def fit(
    recipe: Recipe,
    parts: Splits,
    labels: Sequence[str],
    encoder: TextEncoder,
    *,
    seed: int,
    start: Run | None = None,
    machine: Machine = Machine(),  # noqa: B008  (it is immutable)
    team: Team = Team(),  # noqa: B008  (likewise)
    checkpoints: Checkpoints | None = None,
    tokens: LookedUp | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> Fit:
    """Fit a fresh model, or a copy of `start`'s, on parts.train; keep the epoch with the lowest validation loss.

    `tokens`: the texts of `parts`, where `encoder` has looked them up already. Same seed, machine and team: the same
    weights, also if `checkpoints` has one of this training and it goes on from there. Every random draw comes from
    generators of its own, so that the caller's state neither matters nor changes. Raises InputError for a loss that
    is no longer a number.
    """
    began = time.monotonic()
    values = 0 if parts.train.images is None else parts.train.images.shape[1]
    with machine.working():
        torch.manual_seed(seed)
        if start is not None:
            model = copy.deepcopy(start.model)
        else:
            model = build(recipe, encoder.spec, labels=len(labels), image_values=values)
            _take_vectors(recipe, model, encoder, np.random.default_rng(seed), say)
        losses, best, before, advice = [], 0, 0.0, None
        if recipe.learns:
            model.to(machine.device)
            team.spread(model)
            course = _Course(recipe, model, seed, machine, team, further=start is not None)
            known = tokens or LookedUp.of(encoder, parts)
            lesson = Lesson(recipe, encoder, parts.train, labels, known.train, known.pairs, machine.device)
            held = Lesson(recipe, encoder, parts.validation, labels, known.validation, None, machine.device)
            course.run(lesson, held, checkpoints, say, progress)
            losses, best, before = course.losses, course.best, course.seconds_before
            advice = course.watch.warning(recipe)
            model.cpu()
    if start is not None and losses and not best:
        say(f"none of {len(losses)} epochs lowered the validation loss; the weights are those it started from")
    model.eval()
    return Fit(model, losses, best, before + time.monotonic() - began, advice)


class _Course:
    """One training: what moves from step to step, all of which a checkpoint holds."""

    def __init__(
        self, recipe: Recipe, model: TextModel, seed: int, machine: Machine, team: Team, *, further: bool
    ) -> None:
        """`further`: the model has been trained before, and must gain by an epoch for that to count."""
        self._options = recipe.training
        self._model, self._machine, self._team, self._further = model, machine, team, further
        self._optimization = Optimization(model, recipe.training, machine.device)
        self._order = np.random.default_rng(seed)
        # Each process drops other words, and other activations.
        self._drawing = np.random.default_rng([seed, team.rank])
        if not team.leads:
            torch.manual_seed(seed + team.rank)
        self.losses: list[float] = []
        self.best, self._least = 0, math.inf
        self._best_state = copy.deepcopy(model.state_dict())
        self._averaged = Averaged(model, recipe.training.averaging)
        self._epoch, self._step = 1, 0
        self.watch = GradientWatch()
        self.seconds_before = 0.0
        self._began = time.monotonic()

    def run(
        self, lesson: Lesson, held: Lesson, checkpoints: Checkpoints | None, say: Say, progress: Progress
    ) -> None:
        """Train the model in place, from the last checkpoint if there is one; it ends with its best weights."""
        options, model = self._options, self._model
        lesson.weigh()
        in_order = not isinstance(model, PooledModel)
        if not self._resumed(checkpoints, say) and self._further:
            self._least = self._held_loss(held)
        while self._epoch <= options.epochs and self._epoch - self.best <= options.patience:
            self._optimization.begin(self._epoch)
            model.train()
            before = self._order.bit_generator.state
            batches = _batches(lesson, options, self._order, in_order=in_order)
            while self._step < len(batches):
                self._step += 1
                loss = self._take_step(lesson, batches[self._step - 1], len(batches))
                if self._step % _STRIDE == 1:
                    if self._epoch > options.frozen_epochs:
                        self.watch.observe(*self._optimization.norms())
                    done = (self._epoch - 1) * len(batches) + self._step
                    progress(done, options.epochs * len(batches), f"epoch {self._epoch}, loss {loss.item():.3f}")
                    self._save(checkpoints, before)
            self._judge(held)
            self._epoch, self._step = self._epoch + 1, 0
            self._save(checkpoints, self._order.bit_generator.state)
        progress(1, 1, f"best epoch {self.best} of {len(self.losses)}")
        model.load_state_dict(self._best_state)

    def _take_step(self, lesson: Lesson, rows: Ids, steps: int) -> Tensor:
        """One step on a batch; its loss, of this process's part of it."""
        share = self._team.share(rows)
        drop = Drop(self._options.word_dropout, self._options.ngram_dropout, self._drawing)
        with self._optimization.precision():
            # A process without a text of its own takes part with one that counts for nothing.
            loss = lesson.loss(self._model, share if len(share) else rows[:1], drop)
        self._optimization.backward(loss * (len(share) / len(rows)) if self._team.size > 1 else loss)
        if self._team.size > 1:
            self._optimization.spell_out()
            self._team.sum_gradients(self._optimization.parameters)
        self._optimization.step((self._epoch - 1 + (self._step - 1) / steps) / self._options.epochs)
        return loss.detach()

    def _judge(self, held: Lesson) -> None:
        """Note the validation loss after an epoch, and keep its weights if it is the lowest so far.

        Where the recipe averages weights, the average is what is judged and kept.
        """
        self._averaged.take(self._epoch)
        with self._averaged.worn():
            self.losses.append(self._held_loss(held))
            if self.losses[-1] <= self._least:
                self._least, self.best = self.losses[-1], self._epoch
                self._best_state = copy.deepcopy(self._model.state_dict())
        if not math.isfinite(self.losses[-1]):
            raise InputError(
                f"The validation loss of epoch {self._epoch} is {self.losses[-1]}: training diverged. Set a "
                f"learning_rate below {self._options.learning_rate:g} or a clip in [training]."
            )

    def _held_loss(self, held: Lesson) -> float:
        self._model.eval()
        total = 0.0
        order = np.argsort(held.lengths, kind="stable")
        with torch.inference_mode():
            for first in range(0, len(held), 256):
                rows = self._team.share(order[first : first + 256])
                if len(rows):
                    total += held.loss(self._model, rows).item() * len(rows)
        return self._team.sum(total) / len(held)

    def _save(self, checkpoints: Checkpoints | None, order: Any) -> None:
        """Write a checkpoint if one is due; `order`: the state that the epoch's order is drawn from."""
        if checkpoints is None or not self._team.agreed(checkpoints.due()):
            return
        states = self._team.gather(_packed(self._drawing) + self._machine.random_state())
        if not self._team.leads:
            return
        tensors, numbers = self._optimization.state()
        kept = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        kept |= {f"best.{name}": value for name, value in self._best_state.items()}
        kept |= {f"optimizer.{name}": value for name, value in tensors.items()}
        kept |= {f"average.{name}": value for name, value in self._averaged.state().items()}
        kept["random"] = torch.tensor([list(state) for state in states], dtype=torch.uint8)
        values = {
            "optimizer": numbers,
            "order": order,
            "epoch": self._epoch,
            "step": self._step,
            "losses": self.losses,
            "best": self.best,
            "least": self._least,
            "seconds": self.seconds_before + time.monotonic() - self._began,
        }
        checkpoints.write(Checkpoint(kept, values))

    def _resumed(self, checkpoints: Checkpoints | None, say: Say) -> bool:
        """Go to where the checkpoint stands, if there is one."""
        self._team.wait()
        found = checkpoints.read() if checkpoints is not None else None
        if found is None:
            return False
        values = found.values
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "average": {}}
        state = found.tensors.pop("random")[self._team.rank].numpy().tobytes()
        for name, tensor in found.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self._model.load_state_dict(parts["model"])
        self._best_state = {name: value.to(self._machine.device) for name, value in parts["best"].items()}
        self._optimization.load(parts["optimizer"], values["optimizer"])
        self._averaged.load(parts["average"])
        self._order.bit_generator.state = values["order"]
        self._drawing.bit_generator.state = json.loads(state[:_PACKED])
        self._machine.set_random_state(state[_PACKED:])
        self._epoch, self._step = values["epoch"], values["step"]
        self.losses, self.best, self._least = values["losses"], values["best"], values["least"]
        self.seconds_before = values["seconds"]
        say(f"going on in epoch {self._epoch} after {self._step} steps and {self.seconds_before:.0f} s")
        return True


# Bytes that a generator's state is padded to, so that every process has equally many.
_PACKED = 512


def _packed(generator: np.random.Generator) -> bytes:
    return json.dumps(generator.bit_generator.state).encode().ljust(_PACKED)


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


def _take_vectors(
    recipe: Recipe, model: TextModel, encoder: TextEncoder, generator: np.random.Generator, say: Say
) -> None:
    """Start the table from the recipe's pretrained vectors, if it names any."""
    options = recipe.embedding
    if isinstance(options, TableOptions | DynamicDimOptions) and options.vectors is not None:
        assert isinstance(model.embedding, Table)
        vectors = open_vectors(options.vectors)
        say(str(fill_table(model.embedding, encoder.vocabulary, vectors, generator, options.missing)))
