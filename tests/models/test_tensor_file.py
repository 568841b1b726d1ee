"""Files of tensors are those of the safetensors package, and are written without a second copy in memory."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor

from lexport.models.tensor_file import write_tensors

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def written(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, *, alignment: int = 8) -> bytes:
    handle = io.BytesIO()
    write_tensors(handle, tensors, metadata, alignment=alignment)
    return handle.getvalue()


kinds = st.dictionaries(
    st.text(min_size=1, max_size=8, alphabet=st.characters(exclude_categories=["Cs"])),
    st.tuples(st.lists(st.integers(0, 3), max_size=3), st.sampled_from(DTYPES)),
    max_size=5,
)


def tensor(shape: list[int], dtype: torch.dtype, start: int) -> Tensor:
    return (torch.arange(start, start + torch.Size(shape).numel()) % 100).to(dtype).reshape(shape)


@given(kinds, st.sampled_from([8, 4096]))
def test_the_package_reads_what_is_written(kinds: dict[str, tuple[list[int], torch.dtype]], alignment: int) -> None:
    tensors = {name: tensor(shape, dtype, at) for at, (name, (shape, dtype)) in enumerate(kinds.items())}
    content = written(tensors, alignment=alignment)
    found = load(content)
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)
    assert (8 + int.from_bytes(content[:8], "little")) % alignment == 0


@given(kinds, st.sampled_from(DTYPES))
def test_tensors_of_one_dtype_give_the_bytes_of_the_package(
    kinds: dict[str, tuple[list[int], torch.dtype]], dtype: torch.dtype
) -> None:
    tensors = {name: tensor(shape, dtype, at) for at, (name, (shape, _)) in enumerate(kinds.items())}
    assert written(tensors) == save(tensors)


def test_slices_and_parameters_are_written_as_their_values() -> None:
    table = torch.arange(12.0).reshape(3, 4)
    tensors = {"column": table[:, 1], "turned": table.T, "parameter": torch.nn.Parameter(table)}
    found = load(written(tensors))
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in tensors.items()
    }


def test_metadata_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(written({"a": torch.zeros(2)}, {"note": 'ü "quoted"'}))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"note": 'ü "quoted"'}


def test_a_dtype_that_the_format_lacks_is_an_error() -> None:
    with pytest.raises(KeyError, match="complex64"):
        written({"a": torch.zeros(2, dtype=torch.complex64)})


_PEAK = """
import resource, sys
from pathlib import Path
import torch
from lexport.training.checkpoint import Checkpoint, Checkpoints
tables = {name: torch.ones(200_000, 100) for name in ("model", "best", "optimizer.0", "optimizer.1")}
checkpoints = Checkpoints(Path(sys.argv[1]), 0, {})
checkpoints.write(Checkpoint({"small": torch.ones(3)}, {}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
checkpoints.write(Checkpoint(tables, {}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_checkpoint_of_four_tables_takes_less_than_a_tenth_of_one_in_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert (tmp_path / "checkpoint.safetensors").stat().st_size > 4 * 80_000_000
    assert int(done.stdout) * 1024 < 8_000_000
