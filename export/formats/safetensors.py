"""A TorchScript table beside its program: `torch.jit.load` reads a file whole, into every worker's own memory.

The program is scripted around a table of one row, and the true one lies in a safetensors file, which workers map
and put in its place (`handlers/engine/tensors.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from ...handlers.engine.tensors import DTYPES
from ...models.embeddings import Embedding

# The tensors begin at a multiple of this, a page; the format allows spaces behind the header.
_ALIGNMENT = 4096
_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def take_tables(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of the tables in a module by name; of each one row stays behind, so that it can still be
    scripted.

    A table is an Embedding with no other inside. It must be the module's own: it changes in place.
    """
    taken: dict[str, Tensor] = {}
    for path, table in module.named_modules():
        if isinstance(table, Embedding) and not any(isinstance(child, Embedding) for child in table.children()):
            for name, value in (*table.named_parameters(recurse=False), *table.named_buffers(recurse=False)):
                taken[f"{path}.{name}"] = value.detach()
                row = value.detach()[:1].clone()
                kept = nn.Parameter(row, requires_grad=False) if name in table._parameters else row
                setattr(table, name, kept)
    return taken


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file of CPU tensors, one after the other, without a copy of them in memory."""
    arrays = {name: value.contiguous().numpy() for name, value in tensors.items()}
    # Larger numbers first, so that each lies at a multiple of its size.
    arrays = dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))
    header, end = {}, 0
    for name, array in arrays.items():
        first, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [first, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    with path.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little"))
        handle.write(text)
        for array in arrays.values():
            handle.write(array.data)
