"""Write safetensors files one tensor at a time, so that no second copy of a table is in memory.

The safetensors package (0.8) makes bytes of all tensors before it writes the first. The format: a length in eight
bytes, a JSON header of that length with the position of each tensor, the tensors
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import BinaryIO

import torch
from torch import Tensor

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_tensors(
    handle: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, *, alignment: int = 8
) -> None:
    """Write a safetensors file of `tensors` and `metadata` to `handle`.

    A tensor on another device or one that is not contiguous is copied, one at a time. The first tensor begins at a
    multiple of `alignment` bytes.
    """
    # Larger numbers first, so that each lies at a multiple of its size.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, value in ordered:
        first, end = end, end + value.numel() * value.element_size()
        header[name] = {"dtype": _NAMES[value.dtype], "shape": list(value.shape), "data_offsets": [first, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % alignment)
    handle.write(len(text).to_bytes(8, "little"))
    handle.write(text)
    for _, value in ordered:
        handle.write(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
