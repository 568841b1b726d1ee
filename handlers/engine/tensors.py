"""Map the tensors of a safetensors file: processes that open one file share its pages in memory.

The format: a length in eight bytes, a JSON header of that length with the position of each tensor, the tensors.
"""

from __future__ import annotations

import json
import warnings
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# The suffix of the file with a program's tables, in place of the program's own suffix.
TENSORS = ".safetensors"

DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8, "I32": np.int32, "I64": np.int64}

_LONGEST_HEADER = 1 << 20


def map_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a file by name, read-only. Raises ValueError for a file that is damaged."""
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        try:
            if length > _LONGEST_HEADER:
                raise ValueError(f"a header of {length:,} bytes")
            header = json.loads(handle.read(length))
            content = np.memmap(handle, np.uint8, "r")[8 + length :]
            return {name: _tensor(content, **entry) for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path.name} is not a safetensors file that this version reads: {error}.") from None


def put_tables(model: Any, file: Path, device: str) -> None:
    """Set the tables of a TorchScript model from `file`, if it exists: mapped on the CPU, copied to a GPU.

    The name of each table is its path in the model. Raises ValueError for a table that does not fit.
    """
    import torch

    for name, array in (map_tensors(file) if file.exists() else {}).items():
        holder, _, own = name.rpartition(".")
        with warnings.catch_warnings():
            # Nothing ever writes to it.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            table = torch.from_numpy(array).to(device)
        place = reduce(getattr, holder.split("."), model)
        before = getattr(place, own)
        if (table.dtype, table.shape[1:]) != (before.dtype, before.shape[1:]):
            raise ValueError(
                f"{file.name}: {name} is {table.dtype} {list(table.shape)}, expected {before.dtype} and rows of "
                f"{list(before.shape[1:])}."
            )
        setattr(place, own, table)


def _tensor(
    content: npt.NDArray[np.uint8], dtype: str, shape: list[int], data_offsets: list[int]
) -> npt.NDArray[Any]:
    first, last = data_offsets
    if not 0 <= first <= last <= len(content):
        raise ValueError(f"a tensor from byte {first:,} to {last:,} of {len(content):,}")
    return content[first:last].view(DTYPES[dtype]).reshape(shape)
