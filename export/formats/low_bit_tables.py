"""The table in half precision and in four bits, in the forms that each engine runs fastest.

Four bits a number follow Guan et al., Post-Training 4-bit Quantization on Embedding Tables, 2019, arXiv:1911.02079:
every row has a scale and an offset of its own. What is measured behind the forms: docs/benchmarks.md, inference.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.embeddings import Embedding
from .tables import narrowed, none_below

_LEVELS = 15
"""The largest number that four bits hold."""


class HalfTable(Embedding):
    """fp16 for TorchScript: rows of halves, on a GPU too; summed in float32 and rounded once."""

    def __init__(self, weight: Tensor) -> None:
        """`weight` float32 [rows, dim]."""
        super().__init__(weight.size(1))
        self.weight = nn.Buffer(weight.half())

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        return F.embedding(ids, self.weight).to(torch.float32)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        return F.embedding_bag(ids, self.weight, mode="sum").to(torch.float32)


class HalfGatherTable(Embedding):
    """fp16 for ONNX: gather the rows, widen them, then sum them as a product with ones."""

    def __init__(self, weight: Tensor) -> None:
        """`weight` float32 [rows, dim], row 0 zero."""
        super().__init__(weight.size(1))
        self.weight = nn.Buffer(weight.half())

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        return F.embedding(none_below(ids), self.weight).to(torch.float32)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        mask = (ids != 0).to(torch.float32).unsqueeze(1)
        return torch.matmul(mask, self.vectors(ids)).squeeze(1)


class NibbleTable(Embedding):
    """int4 for TorchScript: two numbers a byte, each row followed by its scale and offset in fp16.

    [rows, dim / 2 + 4] bytes, with an odd dim rounded up.
    """

    def __init__(self, weight: Tensor) -> None:
        """Pack `weight` float32 [rows, dim]; a zero row stays exactly zero."""
        super().__init__(weight.size(1))
        # The last column twice: zeros would widen the range of rows that lie to one side of zero.
        even = torch.cat([weight, weight[:, -1:]], dim=1) if self.dim % 2 else weight
        self.weight = nn.Buffer(torch.ops.quantized.embedding_bag_4bit_prepack(even.contiguous()))

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        flat = ids.reshape(-1)
        rows = self._sums(flat, torch.arange(flat.size(0), device=ids.device))
        return rows.reshape(ids.size(0), ids.size(1), self.dim)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        offsets = torch.arange(ids.size(0), dtype=torch.int32, device=ids.device) * ids.size(1)
        return self._sums(narrowed(ids.reshape(-1)), offsets)

    def _sums(self, rows: Tensor, offsets: Tensor) -> Tensor:
        summed: Tensor = torch.ops.quantized.embedding_bag_4bit_rowwise_offsets(
            self.weight, rows, offsets, False, 0, False, None, None, False
        )
        return summed[:, : self.dim]


class NibbleGatherTable(Embedding):
    """int4 for ONNX: two numbers a byte, and beside them a float32 scale and offset a row.

    A byte holds a row's component in its low half and one of the second half of the row in its high half, less 128:
    whole bytes and high halves lie around zero, and sums of many stay small and exact. In sums the low halves are
    what is left of whole bytes less the high ones, so that each byte is widened as it is: the standard operators take
    a tenth of the time of ONNX Runtime's own GatherBlockQuantized.
    """

    def __init__(self, weight: Tensor) -> None:
        """Quantize `weight` float32 [rows, dim] between each row's least and largest number; zero rows stay so."""
        super().__init__(weight.size(1))
        least, most = weight.aminmax(dim=1)
        scale = (most - least) / _LEVELS
        divisor = torch.where(scale > 0, scale, torch.ones_like(scale)).unsqueeze(1)
        levels = ((weight - least.unsqueeze(1)) / divisor).round().clamp(0, _LEVELS).to(torch.uint8)
        low, high = F.pad(levels, (0, self.dim % 2)).chunk(2, dim=1)
        self.weight = nn.Buffer(((low | (high << 4)).to(torch.int16) - 128).to(torch.int8))
        self.scale = nn.Buffer(torch.stack([scale, least], dim=1))

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, length, dim]."""
        whole = F.embedding(none_below(ids), self.weight).to(torch.float32)
        high = (whole / 16).floor()
        levels = torch.cat([whole - 16 * high, high + 8], dim=2)[:, :, : self.dim]
        scale, least = F.embedding(none_below(ids), self.scale).chunk(2, dim=2)
        return levels * scale + least

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]; PAD's scale and offset are zero."""
        whole = F.embedding(none_below(ids), self.weight).to(torch.float32)
        scale, least = F.embedding(none_below(ids), self.scale).chunk(2, dim=2)
        across = scale.transpose(1, 2)
        high = torch.matmul(across, (whole / 16).floor())
        low = torch.matmul(across, whole) - 16 * high
        summed = torch.cat([low, high + 8 * scale.sum(dim=1, keepdim=True)], dim=2).squeeze(1)[:, : self.dim]
        return summed + least.sum(dim=1)
