from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from lexport.export.tables import ByteTable, GatherTable, Int8GatherTable
from lexport.models.embeddings import Embedding


def rows_of_unequal_length(rows: int, dim: int, seed: int) -> Tensor:
    """float32 [rows, dim], row 0 zero, the others between a thousandth and a thousand long."""
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, dim, generator=draw) * 10 ** (6 * torch.rand(rows, 1, generator=draw) - 3)
    weight[0] = 0
    return weight


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 65))
def test_a_quantized_row_is_off_by_at_most_half_a_step(seed: int, dim: int) -> None:
    weight = rows_of_unequal_length(40, dim, seed)
    every = torch.arange(40).unsqueeze(0)
    reach = weight.abs().amax(dim=1, keepdim=True)
    signed = (Int8GatherTable(weight).vectors(every)[0] - weight).abs()
    assert (signed <= reach / 127 * 0.5001).all()
    span = weight.amax(dim=1, keepdim=True) - weight.amin(dim=1, keepdim=True)
    # The packed form rounds its scale and offset to float32 too.
    packed = (ByteTable(weight).vectors(every)[0] - weight).abs()
    assert (packed <= span / 255 * 0.501 + reach * 1e-6 + 1e-7).all()


@pytest.mark.parametrize("form", [GatherTable, Int8GatherTable, ByteTable])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (7, 19)])
def test_every_form_pools_what_it_looks_up(form: type[Embedding], shape: tuple[int, int]) -> None:
    weight = rows_of_unequal_length(40, 12, 0).clamp(-5, 5)
    table = form(weight)  # type: ignore[arg-type]
    ids = torch.randint(0, 40, shape, generator=torch.Generator().manual_seed(1))
    vectors = table.vectors(ids)
    assert table.dim == 12
    assert vectors.shape == (*shape, 12)
    assert vectors.dtype == torch.float32
    assert_close(table.pooled(ids), vectors.sum(dim=1), rtol=1e-5, atol=1e-5)
    assert (table.mask(ids) == (ids != 0)).all()


@pytest.mark.parametrize("form", [GatherTable, Int8GatherTable, ByteTable])
def test_pad_is_exactly_zero_in_every_form(form: type[Embedding]) -> None:
    table = form(rows_of_unequal_length(40, 12, 3))  # type: ignore[arg-type]
    pads = torch.zeros(3, 5, dtype=torch.int64)
    assert (table.vectors(pads) == 0).all()
    assert (table.pooled(pads) == 0).all()


def test_int8_takes_a_quarter_of_the_bytes_and_a_little_a_row() -> None:
    weight = torch.randn(100, 64)
    sizes = {form: sum(value.nbytes for value in form(weight).buffers()) for form in (Int8GatherTable, ByteTable)}
    assert sizes == {Int8GatherTable: 100 * (64 + 4), ByteTable: 100 * (64 + 8)}


def test_fp32_shares_the_memory_of_what_it_is_made_from() -> None:
    weight = torch.randn(10, 4)
    assert GatherTable(weight).get_buffer("weight").data_ptr() == weight.data_ptr()
