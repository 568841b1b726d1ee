"""A table whose words learn how many dimensions they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...handlers.text.spec import TextSpec
from ...storage.validation import raise_any
from .base import Embedding, EmbeddingOptions, check_dim, chosen
from .table import Table, TableOptions, check_missing, check_out_of_range


@dataclass(frozen=True)
class DynamicDimOptions(EmbeddingOptions):
    """Options of the embedding `dynamic_dim`."""

    NAME: ClassVar[str] = "dynamic_dim"

    dim: int | None = None
    """Dimensions of the widest vector; None: chosen by the size of the data."""
    ramp: int = 8
    """Dimensions over which a word's vector fades out."""
    penalty: float = 0.1
    """Weight in the loss of the mean share of dimensions that are used."""
    spread: float = 0.05
    """Words start with uniform numbers within ±spread."""
    sparse: bool | str = "auto"
    """As for the table."""
    out_of_range: str = "error"
    """For an index beyond the table: "error", or "unk" to read it as UNK."""
    vectors: str | None = None
    """Name of the pretrained vectors to start from."""
    missing: str = "uniform"
    """As for the table."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        problems: list[str] = []
        check_dim(self.dim, self.spread)
        if self.ramp < 1:
            problems.append(f"embedding: ramp={self.ramp} must be at least 1 dimension.")
        if not 0 <= self.penalty < math.inf:
            problems.append(f"embedding: penalty={self.penalty} must be 0 or a number above.")
        check_out_of_range(self.out_of_range)
        check_missing(self.missing)
        raise_any(problems)

    def build(self, spec: TextSpec) -> DynamicDim:
        """Return a new embedding for the ids of `spec`."""
        return DynamicDim(spec.rows, spec.words, self)


class DynamicDim(Table):
    """Every word has one learned size beyond which its dimensions fade out along a ramp.

    The soft mask is that of Sukhbaatar, Grave, Bojanowski, Joulin: Adaptive Attention Span in Transformers, 2019,
    arXiv:1905.07799; low dimensions come to matter most, as in Rippel, Gelbart, Adams: Learning Ordered
    Representations with Nested Dropout, 2014, arXiv:1402.0915. Once trained it is a plain table: `settled()`.
    """

    def __init__(self, rows: int, words: int, options: DynamicDimOptions) -> None:
        """As a Table; all dimensions but the ramp's start switched on. Raises ValueError if dim is not chosen."""
        dim = chosen(options.dim)
        super().__init__(
            rows,
            words,
            TableOptions(dim, options.spread, sparse=options.sparse, out_of_range=options.out_of_range),
        )
        self.ramp = options.ramp
        self.penalty_weight = options.penalty
        # Through a sigmoid a size never leaves its range, so that its gradient never dies there.
        self.size = nn.Parameter(torch.full((rows, 1), math.log(dim / options.ramp)))
        self.position = nn.Buffer(torch.arange(dim, dtype=torch.float32), persistent=False)

    def gates(self, ids: Tensor) -> Tensor:
        """Return how far each dimension is switched on: int64 [batch, length] → float32 [batch, length, dim] of 0 to
        1.

        Raises as `rows_of`.
        """
        return self._switched(F.embedding(self.rows_of(ids), self.size, padding_idx=0, sparse=self.sparse))

    def _switched(self, size: Tensor) -> Tensor:
        """Sizes [..., 1] → gates [..., dim]."""
        reach = size.sigmoid() * (self.dim + self.ramp)
        return ((reach - self.position) / self.ramp).clamp(0, 1)

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]. Raises as `rows_of`."""
        return F.embedding(self.rows_of(ids), self.weight, padding_idx=0, sparse=self.sparse) * self.gates(ids)

    def pooled(self, ids: Tensor) -> Tensor:
        """Return the sum of a text's vectors: int64 [batch, length] → float32 [batch, dim]. Raises as `rows_of`."""
        return self.vectors(ids).sum(dim=1)

    def pooled_cells(self, cells: Tensor, counts: Tensor) -> Tensor:
        """Do the same as `pooled`, of ids without padding: int64 [cells] and int64 [batch]. Raises as `rows_of`."""
        return Embedding.pooled_cells(self, cells, counts)

    def penalty(self, ids: Tensor) -> Tensor:
        """Return what the trainer adds to its loss: the share, weighted as the options say; float32 scalar."""
        return self.share(ids) * self.penalty_weight

    def share(self, ids: Tensor) -> Tensor:
        """Return the mean share of dimensions that the tokens of `ids` use: float32 scalar, 0 if there are none."""
        present = self.mask(ids)
        share = self.gates(ids).mean(dim=-1) * present
        return share.sum() / present.sum().clamp(min=1)

    def effective_dims(self) -> Tensor:
        """Return how many dimensions each row uses, partly used ones in part: float32 [rows], PAD 0."""
        used = self._switched(self.size.detach()).sum(dim=1)
        used[0] = 0
        return used

    def settled(self) -> Tensor:
        """Return what is exported: each row with its dimensions switched off, float32 [rows, dim]."""
        return self.weight.detach() * self._switched(self.size.detach())
