"""Encoders: from the vectors of a text's tokens to one vector of the text."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class BagOptions:
    """mode: how token vectors become one; "mean" over the tokens that are not PAD."""

    mode: str = "mean"

    def __post_init__(self) -> None:
        """Refuse a mode that is not there."""
        if self.mode != "mean":
            raise ValueError(f'encoder: mode is "{self.mode}", known is "mean".')


class Bag(nn.Module):
    """The mean over a text's tokens and n-grams; zeros for an empty text.

    fastText's text encoder: Joulin, Grave, Bojanowski, Mikolov: Bag of Tricks for Efficient Text
    Classification, 2016, arXiv:1607.01759.
    """

    def forward(self, summed: Tensor, count: Tensor) -> Tensor:
        """Sums float32 [batch, dim] and token counts int64 [batch] → means float32 [batch, dim]."""
        return summed / count.clamp(min=1).unsqueeze(1).to(summed.dtype)
