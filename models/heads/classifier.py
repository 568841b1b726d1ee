"""The classifier: one label of several (softmax), or any number of them (a sigmoid each)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .base import Head


@dataclass(frozen=True)
class ClassifierOptions:
    """dropout: share of the text vector's entries dropped in training. multi_label: any number of labels a text.

    class_weights: "none", or "balanced": rare labels weigh more, by the inverse of their share in training.
    label_smoothing: share of the truth spread over all labels (Szegedy et al.: Rethinking the Inception
    Architecture, 2015, arXiv:1512.00567). threshold: a multi-label answer names the labels from this score up.
    """

    NAME: ClassVar[str] = "classifier"

    dropout: float = 0.0
    multi_label: bool = False
    class_weights: str = "none"
    label_smoothing: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        if not 0 <= self.dropout < 1 or not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"head: dropout={self.dropout} and label_smoothing={self.label_smoothing} must be at least 0 and "
                "below 1."
            )
        if self.class_weights not in ("none", "balanced"):
            raise ValueError(f'head: class_weights is "{self.class_weights}", known are "none" and "balanced".')
        if not 0 < self.threshold < 1:
            raise ValueError(f"head: threshold={self.threshold} must lie between 0 and 1.")


class Classifier(Head):
    """One linear layer to a logit per label."""

    def __init__(self, width: int, labels: int, options: ClassifierOptions) -> None:
        """From vectors of `width` to `labels` logits."""
        super().__init__()
        self.multi_label = options.multi_label
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(width, labels)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, width] → logits float32 [batch, labels]."""
        logits: Tensor = self.linear(self.dropout(vectors))
        return logits

    def answer(self, outputs: Tensor) -> Tensor:
        """Logits → scores float32 [batch, labels]: rows that sum to one, or with multi_label scores each its own."""
        if self.multi_label:
            return outputs.sigmoid()
        return outputs.softmax(dim=1)
