"""What a linear recipe minimises: features and targets of the training texts, and what the strength is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...data.splits import Splits
from ...evaluation.diagnostics.tokenized import TokenizedSplits
from ...evaluation.tasks import task_of
from ...handlers.text.encoder import TextEncoder
from ...handlers.text.spec import UNK
from ...models.compose import TextModel
from ...models.embeddings import Table
from ...models.encoders import Bag
from ...models.heads import Linear, LinearOptions
from ...models.recipes import Recipe
from .features import Counts, Design, Merged, Scales, Weighing
from .newton import LogisticLoss, Weights

_FOLDS = 5
_FOLDED = 1 << 20
"""Up to this many weights the folds of a cross-validation judge too; beyond, the validation texts are enough."""
_MOST_WEIGHTS = 1 << 23
"""Of 8 bytes, in some nine copies; of more, the features that occur least are left out."""
_POWERS = {"sum": 0.0, "sqrtn": 0.5, "mean": 1.0}


@dataclass(frozen=True)
class Problem:
    """Features, targets and weights of the training texts, and those of the texts that judge."""

    scales: Scales
    """The features."""
    merged: Merged
    """Those that differ in the training texts; `weights` are theirs."""
    design: Design
    """Those of the training texts."""
    held: Design
    """The rows of all features in the validation texts."""
    truth: Tensor
    """Targets of the training texts, float64 [texts, outputs]. Of two labels that exclude each other one has an
    output, a sigmoid."""
    held_truth: Tensor
    """Those of the validation texts."""
    weights: Tensor
    """The weight of each loss, float64 [texts, 1 or outputs]."""
    softmax: bool
    """Whether the outputs compete."""
    halves: bool
    """Whether one output stands for two labels."""
    fold: npt.NDArray[np.int64]
    """The fold that each training text is held out in, int64 [texts]; −1: in none."""
    offset: Tensor
    """Logits of the training texts before the fit, float64 [texts, outputs]."""
    held_offset: Tensor
    """Those of the validation texts."""

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        parts: Splits,
        labels: Sequence[str],
        encoder: TextEncoder,
        tokens: TokenizedSplits,
        model: TextModel,
        weighing: Weighing,
    ) -> Problem:
        """Return the problem of fitting `model`, whose weights are kept and added to.

        `weighing`: what a subword counts beside a word.
        """
        assert isinstance(recipe.head, LinearOptions)
        assert isinstance(model.encoder, Bag)
        assert isinstance(model.head, Linear)
        multi, count = recipe.head.multi_label, len(labels)
        outputs = 1 if count == 2 and not multi else count
        power = _POWERS[model.encoder.mode]
        counts, held_counts = (
            Counts.of(encoder, one.take(np.arange(len(one.lengths)))) for one in (tokens.train, tokens.validation)
        )
        # A padding row stays zero; UNK can be one.
        without = UNK if getattr(recipe.embedding, "padding_idx", None) == UNK else None
        scales = Scales.of(counts, encoder, power, weighing, max(_MOST_WEIGHTS // outputs, 1), without)
        task = task_of(recipe.task, labels)
        places = [torch.from_numpy(task.truth(part)) for part in (parts.train, parts.validation)]
        truth, held_truth = (_targets(place, count, multi=multi) for place in places)
        taught = parts.train.targets
        learned = places[0] if taught is None else torch.from_numpy(taught)
        if taught is not None:
            truth = learned.to(torch.float64)[:, -outputs:]
        smoothing = recipe.head.label_smoothing
        small = len(scales.rows) * outputs <= _FOLDED
        merged = Merged.of(counts, scales)
        return cls(
            scales=scales,
            merged=merged,
            design=Design(counts, merged.scales, power),
            held=Design(held_counts, replace(scales, factors=torch.ones_like(scales.factors)), power),
            truth=truth * (1 - smoothing) + smoothing / (count if outputs > 1 and not multi else 2),
            held_truth=held_truth,
            weights=_loss_weights(model.head, learned, multi=multi),
            softmax=not multi and outputs > 1,
            halves=outputs < count,
            fold=_folds(places[0].numpy()) if small else np.full(len(truth), -1),
            offset=_logits(model, counts, power, outputs),
            held_offset=_logits(model, held_counts, power, outputs),
        )

    @property
    def folds(self) -> int:
        """The number of folds."""
        return int(self.fold.max(initial=-1)) + 1

    @property
    def judges(self) -> str:
        """The texts that judge, in words."""
        folds = f" and, in {self.folds} folds, {int((self.fold >= 0).sum()):,} training texts"
        return f"{len(self.held_truth):,} validation texts" + folds * (self.folds > 0)

    def zeros(self) -> Weights:
        """Return weights that change nothing."""
        return Weights.zeros(len(self.merged.scales.rows), self.truth.size(1))

    def loss(self, without: int | None = None) -> LogisticLoss:
        """Return the loss of the training texts, `without` those of one fold."""
        weights = self.weights
        if without is not None:
            weights = weights * torch.from_numpy(self.fold != without)[:, None]
        return LogisticLoss(self.truth, weights, self.softmax, self.offset)

    def held_loss(self, weights: Weights, folded: Sequence[Weights] = (), *, calibrated: bool = False) -> float:
        """Return the mean loss of the texts that judge.

        That is of the validation texts with `weights`, and of each fold with those of `folded` fitted without it.
        With `calibrated` all logits are multiplied by the factor that has the least: weak weights have a high loss
        however well they tell labels apart.
        """
        logits = [self.held_offset + self.held.forward(self.merged.rows_of(weights.weight)) + weights.bias]
        truth = [self.held_truth]
        for fold, own in enumerate(folded):
            rows = torch.from_numpy(np.flatnonzero(self.fold == fold))
            logits.append((self.offset + self.design.forward(own.weight) + own.bias)[rows])
            truth.append(self.truth[rows])
        every = torch.cat(truth)
        ones = torch.ones(len(every), 1, dtype=torch.float64)
        loss = LogisticLoss(every, ones, self.softmax, torch.zeros_like(every))
        found = (loss.calibrated if calibrated else loss.value)(torch.cat(logits))
        return found / (len(every) if self.softmax else every.numel())

    def by_label(self, values: Tensor) -> Tensor:
        """Return values of the outputs, float64 [n, outputs], as those of the labels, float64 [n, labels]."""
        return torch.cat([-values / 2, values / 2], dim=1) if self.halves else values


def _targets(places: Tensor, labels: int, *, multi: bool) -> Tensor:
    """Return float64 [texts, outputs] of `Task.truth`."""
    if multi:
        return places.to(torch.float64)
    found = torch.nn.functional.one_hot(places, labels).to(torch.float64)
    return found[:, 1:] if labels == 2 else found


def _loss_weights(head: Linear, truth: Tensor, *, multi: bool) -> Tensor:
    """Return the weight of each loss, float64 [texts, 1 or labels], from the class weights of the head.

    truth: of `Task.truth`, or probabilities float32 [texts, labels].
    """
    weights = head.class_weights(truth)
    if weights is None:
        return torch.ones(len(truth), 1, dtype=torch.float64)
    weights = weights.to(torch.float64)
    if multi:
        return 1 + (weights - 1) * truth
    return (truth.to(torch.float64) @ weights if truth.is_floating_point() else weights[truth])[:, None]


def _folds(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the fold of each text, the texts of a label spread over all; −1 for the only text of a label."""
    found = np.arange(len(places)) % _FOLDS
    if places.ndim > 1:  # several labels
        return found
    for label in np.unique(places).tolist():
        own = np.flatnonzero(places == label)
        found[own] = (np.arange(len(own)) + label) % _FOLDS if len(own) > 1 else -1
    return found


def _logits(model: TextModel, counts: Counts, power: float, outputs: int) -> Tensor:
    """Return the logits of a model that may be trained already, float64 [texts, outputs]."""
    assert isinstance(model.embedding, Table)
    assert isinstance(model.head, Linear)
    table, bias = model.embedding.weight.detach(), model.head.bias.detach().to(torch.float64)
    rows = np.flatnonzero(table.any(dim=1).numpy())
    design = Design(counts, Scales(rows, torch.ones(len(rows), 1, dtype=torch.float64)), power)
    logits = design.forward(table[torch.from_numpy(rows)].to(torch.float64)) + bias
    return logits[:, 1:] - logits[:, :1] if outputs < len(bias) else logits
