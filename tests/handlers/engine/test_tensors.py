"""Tensors read where they lie: the safetensors format, ours and the library's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lexport.export.formats.safetensors import ALIGNMENT
from lexport.handlers.engine.tensors import map_tensors
from lexport.models.tensor_file import write_tensors

DTYPES = [torch.float32, torch.float16, torch.int8, torch.uint8, torch.int32, torch.int64]
SHAPES = st.lists(st.integers(0, 5), max_size=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def tensor(shape: list[int], dtype: torch.dtype, start: int) -> Tensor:
    size = int(np.prod(shape))
    return (torch.arange(start, start + size) % 100).to(dtype).reshape(shape)


@given(st.dictionaries(st.text("ab.ü", min_size=1), st.tuples(SHAPES, st.sampled_from(DTYPES)), max_size=5))
def test_what_is_written_is_read_back_here_and_by_the_library(
    tmp_path_factory: pytest.TempPathFactory, kinds: dict[str, tuple[list[int], torch.dtype]]
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "model.safetensors"
    tensors = {name: tensor(shape, dtype, at) for at, (name, (shape, dtype)) in enumerate(kinds.items())}
    with path.open("wb") as handle:
        write_tensors(handle, tensors)
    with safe_open(path, "pt") as library:
        found = map_tensors(path)
        assert found.keys() == set(library.keys()) == tensors.keys()
        for name, value in tensors.items():
            assert torch.equal(library.get_tensor(name), value)
            assert found[name].dtype == value.numpy().dtype
            assert found[name].tolist() == value.tolist()
            assert not found[name].flags.writeable


def test_a_table_begins_at_a_page_and_nothing_of_it_is_read_before_it_is_asked_for(path: Path) -> None:
    with path.open("wb") as handle:
        write_tensors(handle, {"weight": torch.ones(1000, 77, dtype=torch.uint8)}, alignment=ALIGNMENT)
    length = int.from_bytes(path.read_bytes()[:8], "little")
    assert (8 + length) % 4096 == 0
    table = map_tensors(path)["weight"]
    assert table.ctypes.data % 4096 == 0
    with path.open("r+b") as handle:
        handle.seek(8 + length)
        handle.write(b"\x07")
    assert table[0, 0] == 7  # it is the file itself


def test_what_the_library_writes_is_read(path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5, dtype=torch.uint8)}
    save_file(tensors, path, metadata={"format": "pt"})
    found = map_tensors(path)
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in tensors.items()
    }


def header(value: object, data: bytes = b"\0" * 8) -> bytes:
    text = json.dumps(value).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"\x01",
        b"\xff" * 16,
        (1 << 40).to_bytes(8, "little") + b"{}",
        header([]),
        header({"a": 3}),
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 16]}}),
        header({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}),
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}),
        header({"a": {"dtype": "F8", "shape": [8], "data_offsets": [0, 8]}}),
        header({"a": {"dtype": "F32", "shape": [2]}}),
        b"\x02" + bytes(7) + b"{",
    ],
)
def test_damaged_files_say_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors is not a safetensors file that this version reads"):
        map_tensors(path)
