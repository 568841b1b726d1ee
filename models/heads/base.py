"""What every head and its options have: raw outputs for the loss, and of these the answer that is served."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn


class HeadOptions:
    """Base of a head's options: a frozen dataclass, the section [head] of a recipe."""

    NAME: ClassVar[str]
    """The name in a recipe."""

    @property
    def task(self) -> str:
        """What the model answers: "classify", "multilabel", "vector" or "joint"."""
        raise NotImplementedError

    @property
    def learns(self) -> bool:
        """Whether there is anything to train."""
        return True

    def build(self, width: int, labels: int, image_values: int) -> Head:
        """Return a new head of text vectors of `width`, for `labels` labels or images of `image_values` numbers."""
        raise NotImplementedError


class Head(nn.Module):
    """Turns a text's vector into outputs. Training works on `forward`'s outputs, exports answer `answer`'s."""

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, width] → outputs float32 [batch, outputs]."""
        raise NotImplementedError

    def answer(self, outputs: Tensor) -> Tensor:
        """Outputs float32 [batch, outputs] → what is served, of the same shape."""
        raise NotImplementedError
