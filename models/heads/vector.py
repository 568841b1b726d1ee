"""The vector head: a unit vector for a text, so that a dot product is a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ...storage.validation import raise_any
from .base import Head, HeadOptions
from .losses import contrastive_loss


@dataclass(frozen=True)
class VectorOptions(HeadOptions):
    """Options of the head `vector`."""

    NAME: ClassVar[str] = "vector"

    size: int = 0
    """Dimensions of the answer; 0: those of the encoder's vector, which is then the answer."""
    dropout: float = 0.0
    """Share of that vector's components that a training step drops."""
    objective: str = "contrastive"
    """"contrastive" learns from pairs of texts; "pooled" trains nothing and averages pretrained word vectors."""
    temperature: float = 0.05
    """Divisor of the cosines in the contrastive loss."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        problems: list[str] = []
        if self.size < 0 or not 0 <= self.dropout < 1 or not 0 < self.temperature < math.inf:
            problems.append(
                f"head: size={self.size} must be at least 0, dropout={self.dropout} at least 0 and below 1, "
                f"temperature={self.temperature} above 0."
            )
        if self.objective not in ("contrastive", "pooled"):
            problems.append(f'head: objective is "{self.objective}", known are "contrastive" and "pooled".')
        if self.objective == "pooled" and self.size:
            problems.append(f'head: objective "pooled" learns no projection; size={self.size} must be 0.')
        raise_any(problems)

    @property
    def task(self) -> str:
        """What the model answers: "vector"."""
        return "vector"

    @property
    def learns(self) -> bool:
        """Whether there is anything to train: pooled word vectors are taken as they are given."""
        return self.objective != "pooled"

    def build(self, width: int, labels: int, image_values: int) -> Vector:
        """Return a new head of text vectors of `width`."""
        return Vector(width, self)


class Vector(Head):
    """Project (or not) and normalise to length one; where there is nothing to normalise, zeros.

    Contrastive learning of text vectors from pairs: Henderson et al.: Efficient Natural Language Response
    Suggestion for Smart Reply, 2017, arXiv:1705.00652; Gao, Yao, Chen: SimCSE: Simple Contrastive Learning of
    Sentence Embeddings, 2021, arXiv:2104.08821.
    """

    def __init__(self, width: int, options: VectorOptions) -> None:
        """From vectors of `width` to unit vectors of `options.size`, or of `width` if that is 0."""
        super().__init__()
        self.size = options.size or width
        self.temperature = options.temperature
        self.dropout = nn.Dropout(options.dropout)
        # Without a bias an empty text stays at zero, equally far from everything.
        self.project = nn.Linear(width, options.size, bias=False) if options.size else nn.Identity()

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, width] → unit vectors float32 [batch, size]."""
        return F.normalize(self.project(self.dropout(vectors)), dim=1)

    def answer(self, outputs: Tensor) -> Tensor:
        """Return the vectors as they are."""
        return outputs

    def loss(self, outputs: Tensor, truth: Tensor, others: Tensor | None, weights: Tensor | None) -> Tensor:
        """Return the contrastive loss with the `others`; truth is the group of each row, int64 [batch]."""
        assert others is not None
        return contrastive_loss(outputs, others, truth, self.temperature)
