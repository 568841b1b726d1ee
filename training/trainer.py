"""The trainer: steps over the training texts, with early stopping by the validation loss."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..evaluation.diagnostics.vanishing import GradientMonitor
from ..handlers.text.encoder import Ids
from ..models.compose import PooledModel, TextModel
from ..models.recipes import Recipe, TrainingOptions
from ..storage.progress import Progress, Say
from .checkpoint import Checkpoint, Checkpoints
from .device import Device
from .distributed import ProcessGroup
from .objective import Dropout, Objective
from .optimization.averaging import AveragedWeights
from .optimization.model import ModelOptimizer

# Texts of similar length share a batch; they are sorted within this many batches.
_SORTED_TOGETHER = 32
# Steps between two progress reports and checks for a due checkpoint.
_CHECK_EVERY = 16


class Trainer:
    """One training: the state that changes from step to step. A checkpoint holds all of it."""

    def __init__(
        self,
        recipe: Recipe,
        model: TextModel,
        seed: int,
        device: Device,
        group: ProcessGroup,
        *,
        further: bool,
        epochs: int | None = None,
    ) -> None:
        """`further`: the model was trained before; an epoch counts only if it improves on that model.

        `epochs`: how many are trained, of which the last is kept; None: as the validation loss says.
        """
        self._options = recipe.training
        self._fixed = epochs
        self._model, self._device, self._group, self._further = model, device, group, further
        self._optimizer = ModelOptimizer(model, recipe.training, device.torch_device)
        self._order_generator = np.random.default_rng(seed)
        # Each process drops different words and activations.
        self._dropout_generator = np.random.default_rng([seed, group.rank])
        if not group.is_main:
            torch.manual_seed(seed + group.rank)
        self.losses: list[float] = []
        self.training_losses: list[float] = []
        self.scores: list[float] = []
        self._total, self._seen = torch.zeros((), device=device.torch_device), 0
        self.best_epoch, self._lowest_loss = 0, math.inf
        self._best_state: dict[str, Tensor] = {}
        if further:
            self._keep_weights()
        self._averaged = AveragedWeights(model, recipe.training.averaging)
        self._epoch, self._step = 1, 0
        self.gradient_monitor = GradientMonitor()
        self.seconds_before = 0.0
        self._began = time.monotonic()

    def run(
        self,
        objective: Objective,
        validation: Objective,
        checkpoints: Checkpoints | None,
        say: Say,
        progress: Progress,
    ) -> None:
        """Train the model in place, from the last checkpoint if there is one; at the end it has the best weights."""
        options, model = self._options, self._model
        objective.set_class_weights(model)
        in_order = not isinstance(model, PooledModel)
        if not self._resume(checkpoints, say) and self._further:
            self._lowest_loss, _ = self._judge(validation)
        while self._goes_on():
            self._optimizer.start_epoch(self._epoch)
            model.train()
            before = self._order_generator.bit_generator.state
            batches = _batches(objective, options, self._order_generator, in_order=in_order)
            while self._step < len(batches):
                self._step += 1
                loss = self._take_step(objective, batches[self._step - 1], len(batches))
                if self._step % _CHECK_EVERY == 1:
                    if self._epoch > options.frozen_epochs:
                        self.gradient_monitor.observe(*self._optimizer.norms())
                    done = (self._epoch - 1) * len(batches) + self._step
                    progress(done, options.epochs * len(batches), f"epoch {self._epoch}, loss {loss.item():.3f}")
                    self._save_checkpoint(checkpoints, before)
            self._validate(validation)
            self._epoch, self._step = self._epoch + 1, 0
            self._save_checkpoint(checkpoints, self._order_generator.bit_generator.state)
        progress(1, 1, f"best epoch {self.best_epoch} of {len(self.losses)}")
        model.load_state_dict(self._best_state)

    def _goes_on(self) -> bool:
        if self._fixed is not None:
            return self._epoch <= self._fixed
        options = self._options
        return self._epoch <= options.epochs and self._epoch - self.best_epoch <= options.patience

    def _take_step(self, objective: Objective, rows: Ids, steps: int) -> Tensor:
        """Take one step on a batch. Return the loss on this process's shard of it."""
        shard = self._group.shard(rows)
        drop = Dropout(self._options.word_dropout, self._options.ngram_dropout, self._dropout_generator)
        with self._optimizer.autocast():
            # A process with an empty shard takes part with one text of weight 0.
            loss = objective.loss(self._model, shard if len(shard) else rows[:1], drop)
        self._optimizer.backward(loss * (len(shard) / len(rows)) if self._group.size > 1 else loss)
        if self._group.size > 1:
            self._optimizer.materialize_grads()
            self._group.sum_gradients(self._optimizer.parameters)
        self._optimizer.step((self._epoch - 1 + (self._step - 1) / steps) / self._options.epochs)
        self._total += loss.detach() * len(shard)
        self._seen += len(rows)
        return loss.detach()

    def _validate(self, validation: Objective) -> None:
        """Compute the validation loss after an epoch, and keep the weights if it is the lowest so far.

        If the recipe averages weights, the average is what is validated and kept.
        """
        self.training_losses.append(round(self._group.sum(self._total.item()) / max(1, self._seen), _DIGITS))
        self._total, self._seen = torch.zeros_like(self._total), 0
        self._averaged.update(self._epoch)
        with self._averaged.applied():
            loss, score = self._judge(validation)
            self.losses.append(loss)
            if score is not None:
                self.scores.append(round(score, _DIGITS))
            if self.losses[-1] <= self._lowest_loss or self._fixed is not None:
                self._lowest_loss, self.best_epoch = self.losses[-1], self._epoch
                self._keep_weights()
        if not math.isfinite(self.losses[-1]):
            raise InputError(
                f"The validation loss of epoch {self._epoch} is {self.losses[-1]}: training diverged. Set a "
                f"learning_rate below {self._options.rate:g} or a clip in [training].",
                code="LX-TRAIN-027",
            )

    def _keep_weights(self) -> None:
        """Copy the weights as the best so far, over those kept before."""
        for name, value in self._model.state_dict().items():
            if name in self._best_state:
                self._best_state[name].copy_(value)
            else:
                self._best_state[name] = value.clone()

    def _judge(self, validation: Objective) -> tuple[float, float | None]:
        """Return the loss on the validation texts, and the score of a head that has one for each text."""
        self._model.eval()
        total, hits, of = 0.0, 0.0, 0.0
        order = np.argsort(validation.lengths, kind="stable")
        with torch.inference_mode():
            for first in range(0, len(validation), 256):
                rows = self._group.shard(order[first : first + 256])
                if len(rows):
                    loss, counted = validation.judge(self._model, rows)
                    total += loss.item() * len(rows)
                    hits, of = hits + counted[0], of + counted[1]
        hits, of = self._group.sum(hits), self._group.sum(of)
        return self._group.sum(total) / len(validation), hits / of if of else None

    def _save_checkpoint(self, checkpoints: Checkpoints | None, order: Any) -> None:
        """Write a checkpoint if one is due; `order`: the generator state from which the epoch's order was drawn."""
        if checkpoints is None or not self._group.broadcast_flag(checkpoints.due()):
            return
        total = self._group.sum(self._total.item())
        states = self._group.gather(_packed_state(self._dropout_generator) + self._device.random_state())
        if not self._group.is_main:
            return
        tensors, numbers = self._optimizer.state()
        tensors_by_name = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        tensors_by_name |= {f"best.{name}": value for name, value in self._best_state.items()}
        tensors_by_name |= {f"optimizer.{name}": value for name, value in tensors.items()}
        tensors_by_name |= {f"average.{name}": value for name, value in self._averaged.state().items()}
        tensors_by_name["random"] = torch.tensor([list(state) for state in states], dtype=torch.uint8)
        values = {
            "optimizer": numbers,
            "order": order,
            "epoch": self._epoch,
            "step": self._step,
            "losses": self.losses,
            "training_losses": self.training_losses,
            "scores": self.scores,
            "total": total,
            "seen": self._seen,
            "best": self.best_epoch,
            "least": self._lowest_loss,
            "seconds": self.seconds_before + time.monotonic() - self._began,
        }
        checkpoints.write(Checkpoint(tensors_by_name, values))

    def _resume(self, checkpoints: Checkpoints | None, say: Say) -> bool:
        """Restore the last checkpoint. Return whether there was one."""
        self._group.wait()
        checkpoint = checkpoints.read() if checkpoints is not None else None
        if checkpoint is None:
            return False
        values = checkpoint.values
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "average": {}}
        state = checkpoint.tensors.pop("random")[self._group.rank].numpy().tobytes()
        for name, tensor in checkpoint.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self._model.load_state_dict(parts["model"])
        self._best_state = {name: value.to(self._device.torch_device) for name, value in parts["best"].items()}
        self._optimizer.load(parts["optimizer"], values["optimizer"])
        self._averaged.load(parts["average"])
        self._order_generator.bit_generator.state = values["order"]
        self._dropout_generator.bit_generator.state = json.loads(state[:_STATE_BYTES])
        self._device.set_random_state(state[_STATE_BYTES:])
        self._epoch, self._step = values["epoch"], values["step"]
        self.losses, self.best_epoch, self._lowest_loss = values["losses"], values["best"], values["least"]
        self.training_losses, self.scores = values["training_losses"], values["scores"]
        if self._group.is_main:  # it has what all processes summed up
            self._total.fill_(values["total"])
        self._seen = values["seen"]
        self.seconds_before = values["seconds"]
        say(f"resuming in epoch {self._epoch} after {self._step} steps and {self.seconds_before:.0f} s")
        return True


_DIGITS = 6  # of a loss or score that is shown; sums of several processes differ behind them
# A generator's state is padded to this many bytes, so that it has the same length in every process.
_STATE_BYTES = 512


def _packed_state(generator: np.random.Generator) -> bytes:
    return json.dumps(generator.bit_generator.state).encode().ljust(_STATE_BYTES)


def _batches(
    objective: Objective, options: TrainingOptions, generator: np.random.Generator, *, in_order: bool
) -> list[Ids]:
    """Return the rows of every step of an epoch, in a new random order.

    If padding costs time (`in_order`: the encoder reads word after word), texts of similar length share a batch.
    """
    order = generator.permutation(len(objective))
    size = options.texts_per_step
    if not in_order:
        return [order[first : first + size] for first in range(0, len(order), size)]
    batches: list[Ids] = []
    for first in range(0, len(order), size * _SORTED_TOGETHER):
        chunk = order[first : first + size * _SORTED_TOGETHER]
        chunk = chunk[np.argsort(objective.lengths[chunk], kind="stable")]
        batches += [chunk[start : start + size] for start in range(0, len(chunk), size)]
    return [batches[position] for position in generator.permutation(len(batches))]
