"""Rows of floats, bytes and half bytes: numpy reads what the exported tables of torch hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexport.evaluation.vectors.rows import (
    ByteRows,
    FloatRows,
    NibbleRows,
    PackedByteRows,
    PackedNibbleRows,
    Rows,
    quantized,
)
from lexport.export.formats.low_bit_tables import NibbleGatherTable, NibbleTable
from lexport.export.formats.tables import ByteTable, Int8GatherTable
from lexport.models.embeddings import Embedding


def matrix(count: int, dim: int, seed: int) -> npt.NDArray[np.float32]:
    """Rows of very different lengths, the first of zeros, as PAD's, and one of equal numbers."""
    draw = np.random.default_rng(seed)
    made = draw.standard_normal((count, dim), dtype=np.float32) * draw.uniform(0.01, 50, (count, 1)).astype(
        np.float32
    )
    made[0] = 0
    if count > 1:
        made[1] = 0.5
    return made


def of_torch(table: Embedding, count: int) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = table.vectors(torch.arange(count).reshape(1, -1))[0].numpy()
    return found


def stored(table: Any, name: str = "weight") -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = getattr(table, name).numpy()
    return found


SIZES = st.tuples(st.integers(1, 12), st.integers(1, 9), st.integers(0, 99))


@given(SIZES)
def test_every_exported_form_is_read_as_torch_reads_it(size: tuple[int, int, int]) -> None:
    made = matrix(*size)
    count, dim = made.shape
    weight = torch.from_numpy(made)
    signed, nibbles, packed, halves = (
        kind(weight) for kind in (Int8GatherTable, NibbleGatherTable, ByteTable, NibbleTable)
    )
    read: list[tuple[Rows, Embedding]] = [
        (ByteRows(stored(signed), stored(signed, "scale")), signed),
        (NibbleRows(stored(nibbles), stored(nibbles, "scale"), dim), nibbles),
        (PackedByteRows(stored(packed)), packed),
        (PackedNibbleRows(stored(halves), dim), halves),
    ]
    every = np.arange(count)
    for rows, table in read:
        expected = of_torch(table, count)
        np.testing.assert_allclose(rows.vectors(every), expected, rtol=1e-5, atol=1e-5)
        # A part may leave out what makes a row longer or shorter, but no direction changes.
        part = rows.part(0, count, np.empty((count, dim), np.float32))
        lengths = np.linalg.norm(part, axis=1) * np.linalg.norm(expected, axis=1)
        np.testing.assert_allclose((part * expected).sum(axis=1), lengths, rtol=1e-4, atol=1e-4)


@given(SIZES)
def test_quantizing_here_is_quantizing_in_the_export_bit_for_bit(size: tuple[int, int, int]) -> None:
    made = matrix(*size)
    eight, four = Int8GatherTable(torch.from_numpy(made)), NibbleGatherTable(torch.from_numpy(made))
    ours, fewer = quantized(FloatRows(made), "int8"), quantized(FloatRows(made), "int4")
    np.testing.assert_array_equal(ours.stored, stored(eight))
    np.testing.assert_array_equal(fewer.stored, stored(four))
    every = np.arange(len(made))
    np.testing.assert_array_equal(ours.vectors(every), of_torch(eight, len(made)))
    np.testing.assert_allclose(fewer.vectors(every), of_torch(four, len(made)), rtol=1e-6, atol=1e-6)
    assert (ours.precision, fewer.precision) == ("int8", "int4")


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
def test_floats_of_any_width_are_float32_a_part_at_a_time(kind: str) -> None:
    made = matrix(6, 3, 1).astype(kind)
    rows = FloatRows(made)
    part = rows.part(2, 5, np.empty((4, 3), np.float32))
    assert part.dtype == np.float32
    np.testing.assert_array_equal(part, made[2:5].astype(np.float32))
    assert rows.precision == {"2": "fp16", "4": "fp32", "8": "fp64"}[kind[-1]]
    assert np.shares_memory(part, made) == (kind == "<f4")
