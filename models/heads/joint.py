"""The joint head: texts and images as unit vectors in one space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from .base import HeadOptions
from .vector import Vector, VectorOptions


@dataclass(frozen=True)
class JointOptions(HeadOptions):
    """Options of the head `joint`."""

    NAME: ClassVar[str] = "joint"

    size: int = 32
    """Dimensions of the common space."""
    hidden: int = 128
    """Width of the hidden layer of the image tower."""
    dropout: float = 0.0
    """Share of components that a training step drops, in both towers."""
    temperature: float = 0.1
    """Divisor of the cosines in the contrastive loss."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        if self.size < 1 or self.hidden < 1 or not 0 <= self.dropout < 1 or not 0 < self.temperature < math.inf:
            raise ValueError(
                f"head: size={self.size} and hidden={self.hidden} must be at least 1, dropout={self.dropout} at "
                f"least 0 and below 1, temperature={self.temperature} above 0."
            )

    @property
    def task(self) -> str:
        """What the model answers: "joint"."""
        return "joint"

    def build(self, width: int, labels: int, image_values: int) -> Joint:
        """Return a new head of text vectors of `width`."""
        return Joint(width, self, image_values)


class ImageTower(nn.Module):
    """The image's side: two layers from flattened pixels to the common space."""

    def __init__(self, values: int, options: JointOptions) -> None:
        """From images of `values` numbers to unit vectors of `options.size`."""
        super().__init__()
        self.values = values
        self.hidden = nn.Linear(values, options.hidden)
        self.dropout = nn.Dropout(options.dropout)
        self.project = nn.Linear(options.hidden, options.size, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """float32 [batch, values] → unit vectors float32 [batch, size]."""
        return F.normalize(self.project(self.dropout(self.hidden(images).relu())), dim=1)


class Joint(Vector):
    """The text's side, a projection into the common space; the image's side lies in `image`.

    Two towers and a symmetric contrastive loss: Radford et al.: Learning Transferable Visual Models From Natural
    Language Supervision, 2021, arXiv:2103.00020.
    """

    def __init__(self, width: int, options: JointOptions, image_values: int) -> None:
        """From text vectors of `width` and images of `image_values` numbers to unit vectors of `options.size`."""
        super().__init__(
            width, VectorOptions(size=options.size, dropout=options.dropout, temperature=options.temperature)
        )
        self.image = ImageTower(image_values, options)
