"""The plain embedding: one trained vector per row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...handlers.text.spec import PAD, TextSpec
from ...storage.validation import raise_any
from . import sparse_optimizer as updates
from .base import Embedding, EmbeddingOptions, check_dim, check_integers, check_range, chosen

SPARSE_FROM = 10_000
"""From this number of rows a step with sparse gradients takes less time, with 16, 64 and 300 dimensions."""


@dataclass(frozen=True)
class TableOptions(EmbeddingOptions):
    """Options of the embedding `table`."""

    NAME: ClassVar[str] = "table"

    dim: int | None = None
    """Dimensions of a vector; None: chosen by the size of the data."""
    spread: float = 0.05
    """Words start with uniform numbers within ±spread."""
    padding_idx: int | None = PAD
    """A row that stays zero and gets no gradient: 0 or 1. Row 0, PAD, always does (None adds no other); 1 makes
    unknown words count for nothing."""
    max_norm: float | None = None
    """Longer rows are scaled down to this norm when they are looked up in training; None: no limit."""
    norm_type: float = 2.0
    """The p of the p-norm of `max_norm`."""
    scale_grad_by_freq: bool = False
    """Whether gradients are divided by the frequency of the row in the batch."""
    sparse: bool | str = "auto"
    """Whether a step updates only the rows of its texts; "auto": for tables that are large enough to gain from it."""
    out_of_range: str = "error"
    """For an index beyond the table: "error", or "unk" to read it as UNK."""
    vectors: str | None = None
    """Name of the pretrained vectors to start from."""
    missing: str = "uniform"
    """How words without a pretrained vector start: "uniform" within ±0.1, or "moments", like the others."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        problems: list[str] = []
        check_dim(self.dim, self.spread)
        # The row of a word would hold another one once the vocabulary grows.
        if self.padding_idx not in (None, 0, 1):
            problems.append(
                f"embedding: padding_idx={self.padding_idx} must be 0 (PAD) or 1 (UNK, which then counts for "
                "nothing), or left out."
            )
        if self.max_norm is not None and not 0 < self.max_norm < math.inf:
            problems.append(f"embedding: max_norm={self.max_norm} must be a number above 0, or left out.")
        if not self.norm_type > 0:
            problems.append(f"embedding: norm_type={self.norm_type} must be above 0.")
        check_sparse(self.sparse)
        if self.sparse is True and self.scale_grad_by_freq:
            problems.append(
                "embedding: sparse and scale_grad_by_freq exclude each other; torch has no such gradient."
            )
        check_out_of_range(self.out_of_range)
        check_missing(self.missing)
        raise_any(problems)

    def build(self, spec: TextSpec) -> Table:
        """Return a new embedding for the ids of `spec`."""
        return Table(spec.rows, spec.words, self)


def check_sparse(value: bool | str) -> None:
    """Raise ValueError unless `value` says whether gradients are sparse."""
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f'embedding: sparse is "{value}", known are true, false and "auto".')


def lazily(sparse: bool | str, rows: int) -> bool:
    """Return whether a table of `rows` rows has sparse gradients: as chosen, or if they take less time."""
    return rows >= SPARSE_FROM if isinstance(sparse, str) else sparse


def check_out_of_range(value: str) -> None:
    """Raise ValueError unless `value` is a known way to treat an index that the table has no row for."""
    if value not in ("error", "unk"):
        raise ValueError(f'embedding: out_of_range is "{value}", known are "error" and "unk".')


def check_missing(value: str) -> None:
    """Raise ValueError unless `value` is a known way to start a word that the pretrained vectors lack."""
    if value not in ("uniform", "moments"):
        raise ValueError(f'embedding: missing is "{value}", known are "uniform" and "moments".')


class Table(Embedding):
    """One learned vector a row, as nn.Embedding; row 0 is PAD, stays zero and gets no gradient.

    Words with learned vectors are those of Bengio, Ducharme, Vincent, Jauvin: A Neural Probabilistic Language Model,
    Journal of Machine Learning Research 3, 2003.
    N-gram rows (from `words` on) start at zero: an n-gram that training never met adds nothing to a text.
    """

    def __init__(self, rows: int, words: int, options: TableOptions) -> None:
        """`rows` vectors in all, the first `words` of them for PAD, UNK and the vocabulary. Raises ValueError."""
        super().__init__(chosen(options.dim))
        # TorchScript wants an int; PAD is the padding row that there always is.
        self.padding_idx = options.padding_idx or 0
        if self.padding_idx >= rows:
            raise ValueError(f"embedding: padding_idx={self.padding_idx} is outside the table of {rows:,} rows.")
        self.max_norm = options.max_norm or math.inf
        self.norm_type = options.norm_type
        self.scale_grad_by_freq = options.scale_grad_by_freq
        self.sparse = lazily(options.sparse, rows) and not options.scale_grad_by_freq
        self.unk = options.out_of_range == "unk"
        # With scale_grad_by_freq, torch's embedding_bag divides a row's gradient by other rows' counts as well.
        self.plain = self.padding_idx == 0 and options.max_norm is None and not options.scale_grad_by_freq
        self.lazy = self.plain and self.sparse
        weight = torch.empty(rows, self.dim)
        nn.init.uniform_(weight, -options.spread, options.spread)
        weight[words:] = 0
        weight[PAD] = 0
        weight[self.padding_idx] = 0
        self.weight = nn.Parameter(weight)

    @classmethod
    def holding(cls, weight: Tensor) -> Table:
        """Return a table of these very rows, float32 [rows, dim], without a copy and without gradients."""
        table = cls(1, 1, TableOptions(weight.size(1)))
        table.weight = nn.Parameter(weight, requires_grad=False)
        return table

    def fill(self, rows: Tensor, vectors: Tensor) -> None:
        """Set `rows`, int64 [n], to `vectors`, float [n, dim].

        Raises ValueError for shapes that do not fit or a padding row, IndexError for rows that are not there.
        """
        if rows.dim() != 1 or vectors.shape != (len(rows), self.dim):
            raise ValueError(
                f"Rows {list(rows.shape)} and vectors {list(vectors.shape)} do not fit a table of width {self.dim}: "
                f"give [n] and [n, {self.dim}]."
            )
        check_range(rows, self.weight.size(0), "row")
        for padding in {PAD, self.padding_idx}:
            if (rows == padding).any():
                raise ValueError(f"Row {padding} is padding and stays zero; leave it out of the rows to fill.")
        with torch.no_grad():
            self.weight[rows] = vectors.to(self.weight)

    def settled(self) -> Tensor:
        """Return what is exported: float32 [rows, dim], max_norm applied to every row; shares memory where it can."""
        weight = self.weight.detach()
        return weight if self.max_norm == math.inf else self._shortened(weight)

    def rows_of(self, ids: Tensor) -> Tensor:
        """`ids` with an index beyond the table read as UNK, if so chosen. Raises IndexError or TypeError if not."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            if self.unk:
                check_integers(ids, self.weight.size(0), "index")
            else:
                check_range(ids, self.weight.size(0), "index")
        return in_range(ids, self.weight.size(0)) if self.unk else ids

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]; shortens rows in place in training alone.

        Raises as `rows_of`.
        """
        rows = self.rows_of(ids)
        # TorchScript leaves out what stands under is_scripting alone, not beside other conditions.
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            if self.lazy and self.training:
                return updates.vectors(rows, self.weight)
        limit = self.max_norm if self.training else math.inf
        found = F.embedding(
            rows,
            self.weight,
            self.padding_idx,
            None if limit == math.inf else limit,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )
        if self.max_norm != limit:
            found = self._shortened(found)
        if self.padding_idx != 0:
            # torch keeps the gradient from one row only; this keeps it from PAD.
            found = found * (rows != 0).unsqueeze(-1)
        return found

    def pooled(self, ids: Tensor) -> Tensor:
        """Return a text's sum, without forming its vectors where it can: int64 [batch, length] → float32 [batch,
        dim].

        Raises as `rows_of`.
        """
        if self.plain:
            rows = self.rows_of(ids)
            if not torch.jit.is_scripting():  # type: ignore[attr-defined]
                if not torch.is_grad_enabled() and not torch.compiler.is_exporting():
                    # PAD's row is zero; told of a padding_idx, torch takes a path four times as slow or worse.
                    return F.embedding_bag(rows, self.weight, mode="sum")
            return F.embedding_bag(rows, self.weight, mode="sum", sparse=self.sparse, padding_idx=0)
        return self.vectors(ids).sum(dim=1)

    def pooled_cells(self, cells: Tensor, counts: Tensor) -> Tensor:
        """Do the same as `pooled`, of ids without padding: int64 [cells] and int64 [batch]. Raises as `rows_of`."""
        if not self.plain:
            return super().pooled_cells(cells, counts)
        look = updates.pooled if self.lazy and self.training else updates.bags
        return look(self.rows_of(cells), counts, self.weight)

    def _shortened(self, vectors: Tensor) -> Tensor:
        # As torch's own renormalisation has it, its 1e-7 included.
        norm = vectors.norm(p=self.norm_type, dim=-1, keepdim=True)
        return vectors * torch.where(norm > self.max_norm, self.max_norm / (norm + 1e-7), torch.ones_like(norm))


def in_range(ids: Tensor, rows: int) -> Tensor:
    """`ids` with those outside a table of `rows` rows replaced by UNK."""
    return torch.where((ids < 0) | (ids >= rows), torch.ones_like(ids), ids)
