"""What every encoder and its options have."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from ...handlers.text.spec import TextSpec


class EncoderOptions:
    """Base of an encoder's options: a frozen dataclass, the section [encoder] of a recipe."""

    NAME: ClassVar[str]
    """The name in a recipe."""
    IN_ORDER: ClassVar[bool] = True
    """Whether the encoder reads words in order; then a text has no n-grams or subwords behind its words."""

    @property
    def pools(self) -> bool:
        """Whether the encoder needs only the sum of a text's vectors, and has `average(sums, counts)`."""
        return False

    def build(self, dim: int, spec: TextSpec) -> Encoder:
        """Return a new encoder of token vectors of width `dim`."""
        raise NotImplementedError


class Encoder(nn.Module):
    """From the vectors of a text's tokens to one vector of the text, of width `out`."""

    def __init__(self, out: int) -> None:
        """`out`: width of a text's vector."""
        super().__init__()
        self.out = out

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim], mask bool [batch, length] → float32 [batch, out].

        However far a batch is padded on the right, a text's vector is the same; an empty text has one too.
        """
        raise NotImplementedError
