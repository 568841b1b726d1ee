"""Read what `torch.save` wrote, tensors among plain containers, without torch and without unpickling.

The file is a zip of stored members under one folder: `data.pkl`, whose tensors refer to storages, and the storages as
raw numbers in `data/KEY` (torch's "Serialization semantics" describes it; torch 1.6 and later write it).
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..compression import shown
from ..zips import DAMAGED_ZIP
from .described import Name
from .reader import LONGEST, PickleReader

Tensor = npt.NDArray[Any]

_MOST_MEMBERS = 10_000
_MOST_AXES = 8
_STORED = zipfile.ZIP_STORED
_SIGNATURE = b"PK\3\4"
# What numpy reads of each kind of storage; bfloat16 has no type in numpy.
_BFLOAT16 = "BFloat16Storage"
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    _BFLOAT16: "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_REBUILD = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"


@dataclass(frozen=True)
class _Storage:
    """The numbers that tensors are views of, one-dimensional."""

    numbers: Tensor


def is_torch_file(start: bytes) -> bool:
    """Return whether a file that begins with `start` may be one of `torch.save`."""
    return start.startswith(_SIGNATURE)


def read_torch(source: Path | IO[bytes], file: str) -> Any:
    """Return the plain value in a file of `torch.save`, with its tensors as arrays that cannot be written to.

    bfloat16 becomes float32, other types stay. `file`: what errors call it. Raises InputError for a file of anything
    but tensors and plain values, as `read_pickle` does, for storages that are missing or too short, and for a file
    that is no such zip, TorchScript included.
    """
    name = shown(file)
    try:
        with zipfile.ZipFile(source) as archive:
            return _read(archive, name)
    except DAMAGED_ZIP as error:
        raise InputError(
            f"{name} cannot be read as a file of torch.save ({shown(error)}). Save it again.", code="LX-IMPORT-075"
        ) from None


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    members = _members(archive, name)
    if "byteorder" in members and archive.read(members["byteorder"]).strip() != b"little":
        raise InputError(
            f"{name} was written on a machine with the other byte order; expected little-endian numbers. Save it "
            "again on a usual machine.",
            code="LX-IMPORT-076",
        )
    storages: dict[str, _Storage] = {}

    def storage(described: Any) -> _Storage:
        kind, key, count = _described(described)
        if key not in storages:
            member = members.get(f"data/{key}")
            if member is None:
                raise ValueError(f"there is no storage data/{key}")
            storages[key] = _Storage(_numbers(archive.read(member), kind, count, key))
        return storages[key]

    content = archive.read(members["data.pkl"])
    return PickleReader(
        content,
        f"{name}: data.pkl",
        builders={_REBUILD: _tensor, _PARAMETER: _parameter},
        names=frozenset(f"torch.{kind}" for kind in _DTYPES),
        persistent=storage,
        leaves=(np.ndarray,),
    ).read()


def _members(archive: zipfile.ZipFile, name: str) -> Mapping[str, zipfile.ZipInfo]:
    """Return the members by their names in the one folder. Raises InputError."""
    every = archive.infolist()
    folders = {one.filename.partition("/")[0] for one in every}
    found = {one.filename.partition("/")[2]: one for one in every}
    if "constants.pkl" in found:
        raise InputError(
            f"{name} is TorchScript, a program; expected a dictionary of tensors or a vocabulary of torch.save.",
            code="LX-IMPORT-077",
        )
    if len(folders) != 1 or len(found) != len(every) or len(every) > _MOST_MEMBERS or "data.pkl" not in found:
        raise InputError(
            f"{name} is no file of torch.save: a zip of {len(every):,} members in {len(folders):,} folders; expected "
            "data.pkl and its storages in one folder, each once.",
            code="LX-IMPORT-078",
        )
    packed = [one.filename for one in every if one.compress_type != _STORED or one.flag_bits & 1]
    size = sum(one.file_size for one in every)
    length = _length(archive)
    if packed or size > length or found["data.pkl"].file_size > LONGEST:
        raise InputError(
            f"{name} has {size:,} bytes in its members and is {length:,} bytes long, and {len(packed)} members are "
            f"compressed; torch.save stores them as they are, data.pkl in at most {LONGEST:,} bytes. Save it again.",
            code="LX-IMPORT-079",
        )
    return found


def _length(archive: zipfile.ZipFile) -> int:
    file = archive.fp
    assert file is not None
    file.seek(0, 2)
    return file.tell()


def _described(described: Any) -> tuple[str, str, int]:
    """Return kind, key and count of numbers of a storage. Raises ValueError."""
    if not isinstance(described, tuple) or len(described) != 5 or described[0] != "storage":
        raise ValueError("a reference that is not to a storage")
    _, kind, key, _, count = described
    if not isinstance(kind, Name) or not isinstance(key, str) or not key.isalnum() or not isinstance(count, int):
        raise ValueError("a storage that is not described as torch does")
    return kind.text.removeprefix("torch."), key, count


def _numbers(content: bytes, kind: str, count: int, key: str) -> Tensor:
    """Return the numbers of a storage. Raises ValueError."""
    if kind not in _DTYPES:
        raise ValueError(f"a storage of {kind}")
    numbers: Tensor = np.frombuffer(content, np.dtype(_DTYPES[kind])) if len(content) else np.zeros(0, _DTYPES[kind])
    if len(numbers) != count:
        raise ValueError(f"storage data/{key} has {len(numbers):,} numbers, {count:,} were expected")
    if kind == _BFLOAT16:
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        numbers.flags.writeable = False
    return numbers


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """Return a tensor as a view of its storage. Raises ValueError for one that reaches beyond it."""
    storage, offset, size, stride = arguments[:4]
    numbers = [offset, *size, *stride]
    fits = (
        isinstance(storage, _Storage)
        and 6 <= len(arguments) <= 7
        and len(size) == len(stride) <= _MOST_AXES
        and all(type(number) is int and 0 <= number < 1 << 62 for number in numbers)
    )
    if not fits:
        raise ValueError("not a storage with offset, size and strides")
    count, has = math.prod(size), len(storage.numbers)
    reach = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1 if count else 0
    if reach > has or count > has:
        raise ValueError(f"a tensor {list(size)} reaches to number {max(reach, count):,} of a storage of {has:,}")
    if not count:
        return np.zeros(size, storage.numbers.dtype)
    steps = [step * storage.numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage.numbers[offset:], size, steps, writeable=False)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    tensor = arguments[0]
    if not isinstance(tensor, np.ndarray):
        raise ValueError("not a tensor")
    return tensor
