"""Where in its text a token stands, for encoders that cannot tell by themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Positions(nn.Module):
    """One learned vector a position, added to the token's own.

    Gehring, Auli, Grangier, Yarats, Dauphin: Convolutional Sequence to Sequence Learning, 2017, arXiv:1705.03122.
    """

    def __init__(self, max_tokens: int, dim: int) -> None:
        """For texts of up to `max_tokens` columns and vectors of width `dim`. Raises ValueError below 1."""
        super().__init__()
        if max_tokens < 1 or dim < 1:
            raise ValueError(f"positions: max_tokens={max_tokens} and dim={dim} must be at least 1.")
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(max_tokens, dim), std=0.02))

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, length, dim] → the same with positions added, at PAD too.

        Raises ValueError for a text longer than there are positions.
        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(vectors.size(1))
        return vectors + self.weight[: vectors.size(1)]

    def _check(self, length: int) -> None:
        if not torch.compiler.is_exporting() and length > self.weight.size(0):
            raise ValueError(
                f"A text of {length:,} columns is longer than the {self.weight.size(0):,} positions there are: "
                f"cut it, or build with more."
            )
