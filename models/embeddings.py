"""Embeddings: from indices to vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# PAD is index 0; where TorchScript must compile it, the literal is written, since it takes no global.
PAD = 0


@dataclass(frozen=True)
class TableOptions:
    """dim: width of a vector. spread: words start uniform within ±spread."""

    dim: int = 64
    spread: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what no table can be."""
        if self.dim < 1 or self.spread <= 0:
            raise ValueError(f"embedding: dim={self.dim} must be at least 1 and spread={self.spread} above 0.")


class Pooling(nn.Module):
    """An embedding that can sum a text's vectors without forming them: a table, or an exported form of one."""

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length], PAD on the right → float32 [batch, dim]."""
        raise NotImplementedError


class Table(Pooling):
    """One learned vector a row; row 0 is PAD, stays zero and gets no gradient.

    n-gram rows (from `words` on) start at zero: an n-gram that training never met adds nothing to a text.
    """

    def __init__(self, rows: int, words: int, options: TableOptions) -> None:
        """`rows` vectors in all, the first `words` of them for PAD, UNK and the vocabulary."""
        super().__init__()
        weight = torch.empty(rows, options.dim)
        nn.init.uniform_(weight, -options.spread, options.spread)
        weight[PAD] = 0
        weight[words:] = 0
        self.weight = nn.Parameter(weight)

    @classmethod
    def holding(cls, weight: Tensor) -> Table:
        """A table of these very rows, float32 [rows, dim], without a copy."""
        table = cls(1, 1, TableOptions(weight.size(1)))
        table.weight = nn.Parameter(weight, requires_grad=False)
        return table

    def pooled(self, ids: Tensor) -> Tensor:
        """The sum of a text's vectors without forming them: int64 [batch, length] → float32 [batch, dim]."""
        return F.embedding_bag(ids, self.weight, mode="sum", padding_idx=0)
