"""The bag: a text is what its tokens' vectors come to together, whatever their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ...handlers.text.spec import TextSpec
from .base import Encoder, EncoderOptions


@dataclass(frozen=True)
class BagOptions(EncoderOptions):
    """Options of the encoder `bag`."""

    NAME: ClassVar[str] = "bag"
    IN_ORDER: ClassVar[bool] = False

    mode: str = "mean"
    """How token vectors become one: their "mean", "sum", the largest value of each component ("max"), or "sqrtn": the
    sum divided by the square root of the number of tokens (after the combiner of that name in TensorFlow's embedding
    look-ups)."""

    def __post_init__(self) -> None:
        """Refuse a mode that is not there."""
        if self.mode not in ("mean", "sum", "max", "sqrtn"):
            raise ValueError(f'encoder bag: mode={self.mode!r} is not known; choose "mean", "sum", "max" or "sqrtn".')

    @property
    def pools(self) -> bool:
        """Whether a text's vector is made of the sum of its token vectors: in all modes but "max"."""
        return self.mode != "max"

    def build(self, dim: int, spec: TextSpec) -> Bag:
        """Return a new encoder of token vectors of width `dim`."""
        return Bag(dim, self)


class Bag(Encoder):
    """The mean, (scaled) sum or maximum over a text's tokens and n-grams; zeros for an empty text.

    The mean is fastText's text encoder: Joulin, Grave, Bojanowski, Mikolov: Bag of Tricks for Efficient Text
    Classification, 2016, arXiv:1607.01759.
    """

    def __init__(self, dim: int, options: BagOptions | None = None) -> None:
        """`dim`: width of a token's vector, and of the text's."""
        super().__init__(dim)
        self.mode = (options or BagOptions()).mode

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim], mask bool [batch, length] → float32 [batch, dim]."""
        if self.mode == "max":
            highest = vectors.masked_fill(~mask.unsqueeze(2), float("-inf")).amax(dim=1)
            return highest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
        summed = vectors.masked_fill(~mask.unsqueeze(2), 0.0).sum(dim=1)
        return self.average(summed, mask.sum(dim=1))

    def average(self, summed: Tensor, count: Tensor) -> Tensor:
        """Sums float32 [batch, dim] and token counts int64 [batch] → float32 [batch, dim], the bag by mode.

        For all that an embedding can pool without forming the vectors; not for a maximum.
        """
        if self.mode == "sum":
            return summed
        tokens = count.clamp(min=1).unsqueeze(1).to(summed.dtype)
        return summed / (tokens.sqrt() if self.mode == "sqrtn" else tokens)
