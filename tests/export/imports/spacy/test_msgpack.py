"""MessagePack is read as the package msgpack wrote it; what it should not have is refused."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.export.imports.spacy.msgpack import read_msgpack

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 99), inner),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(value=_VALUES)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    assert read_msgpack(msgpack.packb(value, use_bin_type=True)) == value


@pytest.mark.parametrize("count", [20, 66_000])
def test_long_values_are_read(count: int) -> None:
    value = [list(range(count)), "é" * count, b"a" * count, {str(number): number for number in range(count)}]
    assert read_msgpack(msgpack.packb(value, use_bin_type=True)) == value


def array(**changes: Any) -> bytes:
    found = {"nd": True, "type": "<f4", "kind": b"", "shape": [2, 3], "data": bytes(24), **changes}
    packed: bytes = msgpack.packb({key.encode(): one for key, one in found.items()})
    return packed


def test_an_array_is_read_and_not_writable() -> None:
    found = read_msgpack(array(data=np.arange(6, dtype="<f4").tobytes()))
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not found.flags.writeable


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(array(type="|O8"), id="objects"),
        pytest.param(array(shape=[1 << 40, 1 << 40]), id="a large array"),
        pytest.param(array(shape=[-1, -6]), id="a negative shape"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="a long list"),
        pytest.param(b"\x91" * 1000 + b"\x00", id="deep lists"),
        pytest.param(msgpack.packb(msgpack.ExtType(1, b"a")), id="an extension"),
        pytest.param(b"\x81\x90\x00", id="a list for a key"),
        pytest.param(b"\xa2\xff\xff", id="no UTF-8"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\x00", id="two values"),
    ],
)
def test_what_is_damaged_or_no_plain_value_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_msgpack(content)
