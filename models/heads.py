"""Heads: from a text's vector to what the model answers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class ClassifierOptions:
    """dropout: share of the text vector's entries dropped in training."""

    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a dropout that is no share."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"head: dropout={self.dropout} must be at least 0 and below 1.")


class Classifier(nn.Module):
    """One linear layer to a logit per label."""

    def __init__(self, dim: int, labels: int, options: ClassifierOptions) -> None:
        """From vectors of `dim` to `labels` logits."""
        super().__init__()
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(dim, labels)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, dim] → logits float32 [batch, labels]."""
        logits: Tensor = self.linear(self.dropout(vectors))
        return logits
