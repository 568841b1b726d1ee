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
        """The name of what the model answers, one of `evaluation.tasks.TASKS`."""
        raise NotImplementedError

    @property
    def learns(self) -> bool:
        """Whether there is anything to train."""
        return True

    def width(self, labels: int) -> int | None:
        """Return the width of text vectors that the head needs for `labels` labels; None for any."""
        return None

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

    def loss(self, outputs: Tensor, truth: Tensor, others: Tensor | None, weights: Tensor | None) -> Tensor:
        """Return the loss of a batch, a scalar.

        outputs: those of `forward`. truth: the rows of `Task.truth`. others: the outputs of the second texts or the
        vectors of the images, where the data have some. weights: class weights float32 [labels], if there are any.
        """
        raise NotImplementedError

    def hits(self, outputs: Tensor, truth: Tensor) -> tuple[float, float]:
        """Return how many answers of a batch are right, and of how many; (0, 0) where a batch alone has no score.

        The sums of several batches make the score: accuracy, or micro-F1 of sets of labels.
        """
        return 0.0, 0.0

    def class_weights(self, truth: Tensor) -> Tensor | None:
        """Return class weights float32 [labels] for the training texts with this `truth`; None for none."""
        return None
