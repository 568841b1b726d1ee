"""The linear head: the components of a text's vector are the logits, but for a bias."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .classifier import LabelHead, LabelOptions


@dataclass(frozen=True)
class LinearOptions(LabelOptions):
    """Options of the head `linear`."""

    NAME: ClassVar[str] = "linear"
    # Its strength, chosen on held-out texts, keeps rare labels from being learned by heart.
    WEIGHTING: ClassVar[str] = "balanced"

    strength: float | str = "auto"
    """The weight of the loss against the L2 penalty of all weights, as scikit-learn's C; "auto": chosen on held-out
    texts. For optimizer = "newton"."""
    subword_weight: float | str = "auto"
    """What a subword counts beside a word or an n-gram; "auto": 0.5, unless 2, or 8 without IDF, has a clearly lower
    loss on held-out texts and folds of the training texts; 0.5 if those are too many for folds. For optimizer =
    "newton"."""
    subword_idf: bool | str = "auto"
    """Whether subwords of few texts count more than those of many, as words do; "auto": chosen with subword_weight,
    true if that is a number. For optimizer = "newton"."""

    def problems(self) -> list[str]:
        """Return what is wrong with the values, in sentences."""
        problems = super().problems()
        for name in ("strength", "subword_weight"):
            value = getattr(self, name)
            if value != "auto" and (isinstance(value, str) or not 0 < value < math.inf):
                problems.append(f'head: {name}={value!r} must be a number above 0, or "auto".')
        if self.subword_idf not in (True, False, "auto"):
            problems.append(f'head: subword_idf={self.subword_idf!r} must be true, false or "auto".')
        return problems

    def width(self, labels: int) -> int:
        """Return the number of labels: every one is a component of the vectors."""
        return labels

    def build(self, width: int, labels: int, image_values: int) -> Linear:
        """Return a new head of text vectors of `width`. Raises ValueError unless that is the number of labels."""
        if width != labels:
            raise ValueError(
                f"head: the head 'linear' needs vectors of one component for each of {labels} labels, not {width}; "
                "leave dim out."
            )
        return Linear(labels, self)


class Linear(LabelHead):
    """A bias for each label and nothing else: behind a bag the whole model is one linear layer over words."""

    def __init__(self, labels: int, options: LinearOptions) -> None:
        """From vectors of `labels` components to as many logits."""
        super().__init__(labels, options)
        self.bias = nn.Parameter(torch.zeros(labels))

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, labels] → logits float32 [batch, labels]."""
        return vectors + self.bias
