"""The trained table in the forms that each engine runs fastest; all answer `pooled(ids)`.

Measured facts behind them: ONNX Runtime has no fast EmbeddingBag (the exporter makes a loop of it), but a Gather
followed by a MatMul is quick; a table quantized per row keeps its vectors, per tensor it does not; TorchScript's
own 8-bit look-up (Guan et al., Post-Training 4-bit Quantization on Embedding Tables, 2019, arXiv:1911.02079)
keeps scale and offset of each row beside it and sums without unpacking the table.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.embeddings import Pooling


class GatherTable(Pooling):
    """fp32 for ONNX: gather the rows, then sum them as a product with ones."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        """`weight` float32 [rows, dim], row 0 zero."""
        super().__init__()
        self.register_buffer("weight", weight)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        mask = (ids != 0).to(torch.float32).unsqueeze(1)
        return torch.matmul(mask, F.embedding(ids, self.weight)).squeeze(1)


class Int8GatherTable(Pooling):
    """int8 for ONNX: whole rows of signed bytes and one float32 scale a row.

    The scales take the place of the ones in the product, so that nothing is dequantized in memory.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        """Quantize `weight` float32 [rows, dim] symmetrically, each row by its largest magnitude."""
        super().__init__()
        scale = weight.abs().amax(dim=1) / 127
        divisor = torch.where(scale > 0, scale, torch.ones_like(scale)).unsqueeze(1)
        self.register_buffer("weight", (weight / divisor).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]; PAD's scale is zero."""
        rows = F.embedding(ids, self.weight).to(torch.float32)
        return torch.matmul(F.embedding(ids, self.scale.unsqueeze(1)).transpose(1, 2), rows).squeeze(1)


class ByteTable(Pooling):
    """int8 for TorchScript: rows of bytes, each followed by its float32 scale and offset: [rows, dim + 8]."""

    def __init__(self, weight: Tensor) -> None:
        """Pack `weight` float32 [rows, dim]; a zero row stays exactly zero."""
        super().__init__()
        self.register_buffer("weight", torch.ops.quantized.embedding_bag_byte_prepack(weight))

    def pooled(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        # 32-bit indices halve what the kernel reads beside the rows.
        flat = ids.reshape(-1).to(torch.int32)
        offsets = torch.arange(ids.size(0), dtype=torch.int32, device=ids.device) * ids.size(1)
        summed: Tensor = torch.ops.quantized.embedding_bag_byte_rowwise_offsets(
            self.weight, flat, offsets, False, 0, False, None, None, False
        )
        return summed
