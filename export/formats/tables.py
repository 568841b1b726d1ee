"""The trained table in the forms that each engine runs fastest, and how an embedding is given one of them.

Measured facts behind them: ONNX Runtime has no fast EmbeddingBag (the exporter makes a loop of it), but a Gather
followed by a MatMul is quick; a table quantized per row keeps its vectors, per tensor it does not; TorchScript's
own 8-bit look-up (Guan et al., Post-Training 4-bit Quantization on Embedding Tables, 2019, arXiv:1911.02079)
keeps scale and offset of each row beside it and sums without unpacking the table.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.embeddings import Embedding, Table
from ...models.embeddings.table import in_range

_Module = TypeVar("_Module", bound=nn.Module)


def none_below(ids: Tensor) -> Tensor:
    """`ids` with those below 0 beyond any table, so that ONNX refuses them: it would count them from the end."""
    return torch.where(ids < 0, 2147483647, ids)


def narrowed(ids: Tensor) -> Tensor:
    """`ids` in 32 bits; those that need more become some that no table has, and are refused."""
    return ids.clamp(-1, 2147483647).to(torch.int32)


class GatherTable(Embedding):
    """fp32 for ONNX: gather the rows, then sum them as a product with ones."""

    def __init__(self, weight: Tensor) -> None:
        """`weight` float32 [rows, dim], row 0 zero."""
        super().__init__(weight.size(1))
        self.weight = nn.Buffer(weight)

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        return F.embedding(none_below(ids), self.weight)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        mask = (ids != 0).to(torch.float32).unsqueeze(1)
        return torch.matmul(mask, F.embedding(none_below(ids), self.weight)).squeeze(1)


class BagTable(Embedding):
    """fp32 for torch: rows that `embedding_bag` sums, told where each text begins.

    Told of a padding row as in training, it would take a path several times as slow; given a matrix instead,
    torch.export finds out that it must have two rows.
    """

    def __init__(self, weight: Tensor) -> None:
        """`weight` float32 [rows, dim], row 0 zero."""
        super().__init__(weight.size(1))
        self.weight = nn.Buffer(weight)

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        return F.embedding(ids, self.weight)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        offsets = torch.arange(ids.size(0), device=ids.device) * ids.size(1)
        return F.embedding_bag(ids.reshape(-1), self.weight, offsets, mode="sum")


class Int8GatherTable(Embedding):
    """int8 for ONNX: whole rows of signed bytes and one float32 scale a row.

    In sums the scales take the place of the ones in the product, so that nothing is dequantized in memory.
    """

    def __init__(self, weight: Tensor) -> None:
        """Quantize `weight` float32 [rows, dim] symmetrically, each row by its largest magnitude."""
        super().__init__(weight.size(1))
        scale = weight.abs().amax(dim=1) / 127
        divisor = torch.where(scale > 0, scale, torch.ones_like(scale)).unsqueeze(1)
        self.weight = nn.Buffer((weight / divisor).round().to(torch.int8))
        self.scale = nn.Buffer(scale)

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        rows = none_below(ids)
        return F.embedding(rows, self.weight).to(torch.float32) * F.embedding(rows, self.scale.unsqueeze(1))

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]; PAD's scale is zero."""
        rows = none_below(ids)
        scales = F.embedding(rows, self.scale.unsqueeze(1)).transpose(1, 2)
        return torch.matmul(scales, F.embedding(rows, self.weight).to(torch.float32)).squeeze(1)


class ByteTable(Embedding):
    """int8 for TorchScript: rows of bytes, each followed by its float32 scale and offset: [rows, dim + 8]."""

    def __init__(self, weight: Tensor) -> None:
        """Pack `weight` float32 [rows, dim]; a zero row stays exactly zero."""
        super().__init__(weight.size(1))
        self.weight = nn.Buffer(torch.ops.quantized.embedding_bag_byte_prepack(weight))

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        # A sum over one row each is a gather, 0.7 of the time of unpacking gathered rows (64 texts of 50 words).
        flat = ids.reshape(-1)
        return self._sums(flat, torch.arange(flat.size(0), device=ids.device)).reshape(
            ids.size(0), ids.size(1), self.dim
        )

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        # 32-bit indices halve what the kernel reads beside the rows.
        offsets = torch.arange(ids.size(0), dtype=torch.int32, device=ids.device) * ids.size(1)
        return self._sums(narrowed(ids.reshape(-1)), offsets)

    def _sums(self, rows: Tensor, offsets: Tensor) -> Tensor:
        summed: Tensor = torch.ops.quantized.embedding_bag_byte_rowwise_offsets(
            self.weight, rows, offsets, False, 0, False, None, None, False
        )
        return summed


class InRange(Embedding):
    """A table in front of which an index beyond its rows becomes UNK."""

    def __init__(self, table: Embedding, rows: int) -> None:
        """`table` of `rows` rows."""
        super().__init__(table.dim)
        self.table = table
        self.rows = rows

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        return self.table.vectors(in_range(ids, self.rows))

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        return self.table.pooled(in_range(ids, self.rows))


def exported(embedding: Embedding, make: Callable[[Tensor], Embedding]) -> Embedding:
    """Return the embedding in evaluation mode, its rows held by `make` of the settled table, float32 [rows, dim].

    All else it shares with the original, which stays as it is; so does the table where it needs no settling.
    """
    if isinstance(embedding, Table):
        rows = embedding.settled()
        form = make(rows)
        return (InRange(form, rows.size(0)) if embedding.unk else form).eval()
    clone = _shallow(embedding)
    clone.table = exported(embedding.get_submodule("table"), make)  # type: ignore[arg-type]
    return clone.eval()


def _shallow(module: _Module) -> _Module:
    """Return a copy with modules of its own, down to the leaves, that share every parameter and buffer."""
    clone = copy.copy(module)
    clone._parameters = dict(module._parameters)
    clone._buffers = dict(module._buffers)
    clone._modules = {name: part and _shallow(part) for name, part in module._modules.items()}
    return clone
