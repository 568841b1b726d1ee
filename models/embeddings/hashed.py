"""Hash embeddings: without a vocabulary, so unseen words have different vectors too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...handlers.text import hashing
from ...handlers.text.spec import Layout, TextSpec
from ...storage.validation import raise_any
from .base import Embedding, EmbeddingOptions, check_dim, check_range, chosen
from .buckets import check_buckets
from .table import Table, TableOptions


@dataclass(frozen=True)
class HashedOptions(EmbeddingOptions):
    """Options of the embedding `hashed`."""

    NAME: ClassVar[str] = "hashed"
    INPUTS: ClassVar[Layout] = Layout.HASHES

    buckets: int | str = "auto"
    """Rows of each hash function; "auto": chosen from the training texts."""
    hashes: int = 2
    """Number of hash functions."""
    combine: str = "sum"
    """"sum" adds a key's rows, "concat" concatenates them (dim is then divided among the functions)."""
    dim: int | None = None
    """Dimensions of a vector; None: chosen by the size of the data."""
    spread: float = 0.05
    """Rows start with uniform numbers within ±spread."""
    sparse: bool | str = "auto"
    """As for the table."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        problems: list[str] = []
        check_dim(self.dim, self.spread)
        check_buckets(self.buckets)
        fits = isinstance(self.buckets, str) or 1 <= self.buckets < hashing.PRIME
        if not fits or self.hashes < 1:
            problems.append(
                f"embedding: buckets={self.buckets} must be from 1 to {hashing.PRIME - 1} and hashes={self.hashes} "
                f"at least 1."
            )
        if self.combine not in ("sum", "concat"):
            problems.append(f'embedding: combine is "{self.combine}", known are "sum" and "concat".')
        if self.combine == "concat" and self.dim is not None and self.dim % self.hashes:
            problems.append(
                f"embedding: dim={self.dim} cannot be divided among hashes={self.hashes}; make it a multiple, or "
                f'combine by "sum".'
            )
        raise_any(problems)

    def build(self, spec: TextSpec) -> Hashed:
        """Return a new embedding for the ids of `spec`."""
        return Hashed(self)


class Hashed(Embedding):
    """Each of several hash functions gives a key one row of its own block; two keys rarely share them all.

    After Svenstrup, Hansen, Winther: Hash Embeddings for Efficient Word Representations, 2017, arXiv:1709.03933
    (without their weights of the rows), and Weinberger, Dasgupta, Attenberg, Langford, Smola: Feature Hashing for
    Large Scale Multitask Learning, 2009, arXiv:0902.2206. Every row starts at random.
    """

    def __init__(self, options: HashedOptions) -> None:
        """Make an embedding. Raises ValueError if dim or buckets are not chosen."""
        super().__init__(chosen(options.dim))
        if isinstance(options.buckets, str):
            raise ValueError("embedding: buckets are not chosen yet; give a number before building from the options.")
        self.buckets: int = options.buckets
        self.hashes, self.concat = options.hashes, options.combine == "concat"
        self.prime = hashing.PRIME
        width = self.dim // self.hashes if self.concat else self.dim
        rows = 1 + self.hashes * self.buckets
        self.table: Embedding = Table(rows, rows, TableOptions(width, options.spread, sparse=options.sparse))
        multiplier, increment = torch.tensor(hashing.multipliers(self.hashes)).unbind(dim=1)
        self.multiplier = nn.Buffer(multiplier.clone(), persistent=False)
        self.increment = nn.Buffer(increment.clone(), persistent=False)
        self.first = nn.Buffer(1 + torch.arange(self.hashes) * self.buckets, persistent=False)

    def rows_of(self, keys: Tensor) -> Tensor:
        """Map keys int64 [batch, length] → rows of the inner table, int64 [batch, length, hashes]; 0 at PAD.

        Raises TypeError for keys that are not integers, IndexError unless they are from 0 to 2**33 - 1.
        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            check_range(keys, hashing.KEYS, "key")
        keys = keys.unsqueeze(-1)
        hashed = (keys % self.prime * self.multiplier + self.increment) % self.prime
        return torch.where(keys == 0, torch.zeros_like(keys), hashed % self.buckets + self.first)

    def vectors(self, ids: Tensor) -> Tensor:
        """Map keys int64 [batch, length] → float32 [batch, length, dim]. Raises as `rows_of`."""
        found = self.table.vectors(self.rows_of(ids).flatten(1))
        if self.concat:
            return found.reshape(ids.size(0), ids.size(1), self.dim)
        return found.reshape(ids.size(0), ids.size(1), self.hashes, self.dim).sum(dim=2)

    def pooled(self, ids: Tensor) -> Tensor:
        """Return the sum of a text's vectors without forming them: keys int64 [batch, length] → float32 [batch, dim].

        Raises as `rows_of`.
        """
        rows = self.rows_of(ids)
        if not self.concat:
            return self.table.pooled(rows.flatten(1))
        return torch.cat([self.table.pooled(rows[:, :, function]) for function in range(self.hashes)], dim=1)

    def pooled_cells(self, cells: Tensor, counts: Tensor) -> Tensor:
        """Do the same as `pooled`, of keys without padding: int64 [cells] and int64 [batch]. Raises as `rows_of`."""
        rows = self.rows_of(cells)
        if not self.concat:
            return self.table.pooled_cells(rows.flatten(), counts * self.hashes)
        return torch.cat([self.table.pooled_cells(part, counts) for part in rows.unbind(dim=1)], dim=1)
