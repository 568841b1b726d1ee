"""The classifier: one label of several (softmax), or any number of them (a sigmoid each)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ...storage.validation import raise_any
from .base import Head, HeadOptions
from .losses import balanced_weights, classification_loss

_AUTO = "auto"
_POWERS = {"none": 0.0, "root": 0.5, "balanced": 1.0}
# From here on weights raised macro-F1 and cost no accuracy (docs/experiments.md).
_UNBALANCED = 10


@dataclass(frozen=True)
class LabelOptions(HeadOptions):
    """What the options of all heads that answer labels have."""

    WEIGHTING: ClassVar[str] = "root"
    """What "auto" stands for where labels are unbalanced."""

    multi_label: bool = False
    """Whether a text may have any number of labels."""
    class_weights: str = "auto"
    """How much each label counts: "none": as much as the others; "balanced": by the inverse of its share of the
    training texts; "root": by the root of that; "auto": "root", of the head `linear` "balanced", where each text has
    one label and the most frequent one has ten times the texts of the rarest, else "none"."""
    label_smoothing: float = 0.0
    """Share of the target spread over all labels (Szegedy et al.: Rethinking the Inception Architecture for Computer
    Vision, 2015, arXiv:1512.00567)."""
    teacher_weight: float = 1.0
    """Share of the target that the probabilities of a teacher have, of a text that it knows; the label has the rest
    (Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015, arXiv:1503.02531)."""
    threshold: float = 0.5
    """Lowest score of a label that a multi-label answer names."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        raise_any(self.problems())

    def problems(self) -> list[str]:
        """Return what is wrong with the values, in sentences."""
        problems: list[str] = []
        if not 0 <= self.label_smoothing < 1:
            problems.append(f"head: label_smoothing={self.label_smoothing} must be at least 0 and below 1.")
        if self.class_weights not in (_AUTO, *_POWERS):
            known = ", ".join(f'"{name}"' for name in (_AUTO, *_POWERS))
            problems.append(f'head: class_weights is "{self.class_weights}", known are {known}.')
        if not 0 <= self.teacher_weight <= 1:
            problems.append(f"head: teacher_weight={self.teacher_weight} must be at least 0 and at most 1.")
        if not 0 < self.threshold < 1:
            problems.append(f"head: threshold={self.threshold} must lie between 0 and 1.")
        return problems

    def weighting(self, counts: Sequence[float]) -> str:
        """Return "none", "root" or "balanced", for labels with as many training texts each."""
        if self.class_weights != _AUTO:
            return self.class_weights
        unbalanced = not self.multi_label and max(counts) >= _UNBALANCED * max(min(counts), 1)
        return self.WEIGHTING if unbalanced else "none"

    @property
    def task(self) -> str:
        """What the model answers: "multilabel" or "classify"."""
        return "multilabel" if self.multi_label else "classify"


class LabelHead(Head):
    """Logits of labels: the scores that are served, the loss, and the class weights."""

    def __init__(self, labels: int, options: LabelOptions) -> None:
        """For `labels` labels."""
        super().__init__()
        self.labels = labels
        self.options = options
        self.multi_label = options.multi_label

    def answer(self, outputs: Tensor) -> Tensor:
        """Logits → scores float32 [batch, labels]: rows that sum to one, or with multi_label scores each its own."""
        if self.multi_label:
            return outputs.sigmoid()
        return outputs.softmax(dim=1)

    def loss(self, outputs: Tensor, truth: Tensor, others: Tensor | None, weights: Tensor | None) -> Tensor:
        """Return the cross-entropy; truth is int64 [batch], or probabilities float32 [batch, labels]."""
        smoothing = self.options.label_smoothing if self.training else 0.0
        return classification_loss(outputs, truth, self.multi_label, smoothing, weights)

    def hits(self, outputs: Tensor, truth: Tensor) -> tuple[float, float]:
        """Return the right answers and the texts; of sets twice the right labels, and all that are given or true."""
        if not self.multi_label:
            return float((outputs.argmax(dim=1) == truth).sum()), float(len(truth))
        given = outputs.sigmoid() >= self.options.threshold
        right = float((given & (truth > 0)).sum())
        return 2 * right, float(given.sum() + truth.sum())

    def class_weights(self, truth: Tensor) -> Tensor | None:
        """Return the weights that the options ask for, float32 [labels], or None."""
        counts = truth.sum(dim=0) if truth.dim() > 1 else truth.bincount(minlength=self.labels)
        power = _POWERS[self.options.weighting(counts.tolist())]
        if not power:
            return None
        if self.multi_label:
            return ((len(truth) - counts) / counts.clamp(min=1)) ** power
        return balanced_weights(counts, power)


@dataclass(frozen=True)
class ClassifierOptions(LabelOptions):
    """Options of the head `classifier`."""

    NAME: ClassVar[str] = "classifier"

    dropout: float = 0.0
    """Share of the text vector's components that a training step drops."""

    def problems(self) -> list[str]:
        """Return what is wrong with the values, in sentences."""
        wrong = not 0 <= self.dropout < 1
        return [f"head: dropout={self.dropout} must be at least 0 and below 1."] * wrong + super().problems()

    def build(self, width: int, labels: int, image_values: int) -> Classifier:
        """Return a new head of text vectors of `width`."""
        return Classifier(width, labels, self)


class Classifier(LabelHead):
    """One linear layer to a logit per label."""

    def __init__(self, width: int, labels: int, options: ClassifierOptions) -> None:
        """From vectors of `width` to `labels` logits."""
        super().__init__(labels, options)
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(width, labels)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, width] → logits float32 [batch, labels]."""
        logits: Tensor = self.linear(self.dropout(vectors))
        return logits
