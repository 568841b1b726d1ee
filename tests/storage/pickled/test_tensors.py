"""What torch.save wrote is read without torch: the same numbers, and nothing from beyond the file."""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lexport.errors import InputError
from lexport.storage.pickled.tensors import is_torch_file, read_torch

from ...refusals import refused

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

FILE = "model.pt"
_TYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]


def saved(value: Any) -> bytes:
    """What torch.save makes of a value."""
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def read(content: bytes) -> Any:
    """What is read of these bytes."""
    return read_torch(io.BytesIO(content), FILE)


def test_a_state_dict_is_read_as_arrays() -> None:
    module = nn.Sequential(nn.EmbeddingBag(20, 4), nn.Linear(4, 3))
    found = read(saved(module.state_dict()))
    assert isinstance(found, OrderedDict)
    assert [*found] == ["0.weight", "1.weight", "1.bias"]
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), strict=True)
        with pytest.raises(ValueError, match="read-only"):
            found[name][...] = 0


@pytest.mark.parametrize("kind", _TYPES, ids=str)
def test_every_usual_type_is_read(kind: torch.dtype) -> None:
    tensor = (torch.arange(12).reshape(3, 4) % 5 - (kind.is_signed * 2)).to(kind)
    found = read(saved([tensor, tensor.t(), tensor[1:, ::2], tensor[0, 0], tensor[:0], nn.Parameter(tensor.float())]))
    expected = tensor.float() if kind is torch.bfloat16 else tensor
    for array, view in zip(found, (expected, expected.t(), expected[1:, ::2], expected[0, 0]), strict=False):
        np.testing.assert_array_equal(array, view.numpy(), strict=True)
    assert found[4].shape == (0, 4)
    np.testing.assert_array_equal(found[5], tensor.float().numpy())


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), max_size=4),
    axes=st.randoms(use_true_random=False),
    words=st.dictionaries(st.text(max_size=5), st.integers(-5, 5), max_size=5),
)
def test_tensors_and_words_side_by_side(shape: list[int], axes: Any, words: dict[str, int]) -> None:
    order = [*range(len(shape))]
    axes.shuffle(order)
    tensor = torch.arange(int(np.prod(shape))).reshape(shape).permute(order)
    found = read(saved({"words": words, "tensor": tensor, "twice": (tensor, tensor)}))
    assert found["words"] == words
    for array in (found["tensor"], *found["twice"]):
        np.testing.assert_array_equal(array, tensor.numpy(), strict=True)


def test_a_path_is_read_too(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / FILE)
    assert is_torch_file((tmp_path / FILE).read_bytes()[:8])
    assert read_torch(tmp_path / FILE, FILE)["a"].tolist() == [1, 1]
    with refused(InputError, "LX-IMPORT-075", FILE):
        read_torch(tmp_path / "missing.pt", FILE)


def test_a_module_saved_whole_is_refused_by_the_name_of_its_class() -> None:
    with refused(InputError, "LX-IMPORT-066", FILE, "torch.nn.modules.linear.Linear"):
        read(saved(nn.Linear(2, 2)))


def test_torchscript_is_refused() -> None:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), stream)
    with refused(InputError, "LX-IMPORT-077", FILE):
        read(stream.getvalue())


def test_the_format_before_torch_1_6_is_refused() -> None:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(2)}, stream, _use_new_zipfile_serialization=False)
    assert not is_torch_file(stream.getvalue())
    with refused(InputError, "LX-IMPORT-075", FILE):
        read(stream.getvalue())


def rewritten(
    content: bytes, change: Callable[[str, bytes], bytes | None], packing: int = zipfile.ZIP_STORED
) -> bytes:
    """The same zip with members as `change` makes them of name and content; None leaves one out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(stream, "w", packing) as after:
        for one in before.infolist():
            found = change(one.filename.partition("/")[2], before.read(one))
            if found is not None:
                after.writestr(one.filename, found)
    return stream.getvalue()


def test_the_numbers_of_a_storage_must_be_there() -> None:
    whole = saved({"a": torch.ones(100)})
    short = rewritten(whole, lambda name, found: found[:-4] if name == "data/0" else found)
    with refused(InputError, "LX-IMPORT-061", FILE, "99 numbers", "100"):
        read(short)
    missing = rewritten(whole, lambda name, found: None if name == "data/0" else found)
    with refused(InputError, "LX-IMPORT-061", FILE, "no storage data/0"):
        read(missing)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"K\0K\2K\3\x86", b"K\1K\2K\3\x86", id="an offset"),
        pytest.param(b"K\2K\3\x86", b"K\3K\3\x86", id="a size"),
        pytest.param(b"K\3K\1\x86", b"K\4K\1\x86", id="a stride"),
        pytest.param(b"K\2K\3\x86", b"J\xff\xff\xff\x7fK\3\x86", id="a large size"),
        pytest.param(b"K\2K\3\x86", b"J\xff\xff\xff\xffK\3\x86", id="a negative size"),
        pytest.param(b"K\3K\1\x86", b"J\xff\xff\xff\xffK\1\x86", id="a negative stride"),
        pytest.param(b"K\3K\1\x86", b"K\0K\0K\1\x87", id="another number of axes"),
        pytest.param(b"K\3K\1\x86", b"K\0\x88\x86", id="True as a stride"),
    ],
)
def test_a_tensor_must_lie_within_its_storage(before: bytes, after: bytes) -> None:
    whole = saved({"a": torch.arange(6.0).reshape(2, 3)})

    def change(name: str, found: bytes) -> bytes:
        if name == "data.pkl":
            assert found.count(before) == 1, found
            return found.replace(before, after)
        return found

    with refused(InputError, "LX-IMPORT-067", FILE, "torch._utils._rebuild_tensor_v2"):
        read(rewritten(whole, change))


def test_a_storage_read_many_times_over_is_refused() -> None:
    whole = saved({"a": torch.arange(6.0).expand(1000, 6)})
    with refused(InputError, "LX-IMPORT-067", FILE, "6,000", "6"):
        read(whole)


def test_a_zip_that_torch_does_not_write_is_refused() -> None:
    whole = saved({"a": torch.zeros(100_000)})
    with refused(InputError, "LX-IMPORT-079", FILE, "compressed"):
        read(rewritten(whole, lambda _, found: found, zipfile.ZIP_DEFLATED))
    with refused(InputError, "LX-IMPORT-078", FILE, "data.pkl"):
        read(rewritten(whole, lambda name, found: None if name == "data.pkl" else found))
    with refused(InputError, "LX-IMPORT-076", FILE, "byte order"):
        read(rewritten(whole, lambda name, found: b"big" if name == "byteorder" else found))
    with refused(InputError, "LX-IMPORT-075", FILE):
        read(whole[:-30])
    with refused(InputError, "LX-IMPORT-075", FILE):
        read(b"PK\3\4" + b"x" * 100)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 2000), value=st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(place: int, value: bytes) -> None:
    whole = _WHOLE
    spoiled = whole[: place % len(whole)] + value + whole[place % len(whole) + len(value) :]
    try:
        read(spoiled)
    except InputError as error:
        assert error.code.startswith("LX-IMPORT-0")  # noqa: PT017 - either is right


_WHOLE = saved({"a": torch.arange(6.0).reshape(2, 3), "words": ["a", "b"]})
