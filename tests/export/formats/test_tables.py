from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from lexport.export.formats.low_bit_tables import HalfGatherTable, HalfTable, NibbleGatherTable, NibbleTable
from lexport.export.formats.tables import BagTable, ByteTable, GatherTable, Int8GatherTable
from lexport.models.embeddings import Embedding

FORMS = [
    GatherTable,
    BagTable,
    HalfTable,
    HalfGatherTable,
    Int8GatherTable,
    ByteTable,
    NibbleTable,
    NibbleGatherTable,
]


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


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (7, 19)])
def test_every_form_pools_what_it_looks_up(form: type[Embedding], shape: tuple[int, int]) -> None:
    weight = rows_of_unequal_length(40, 12, 0).clamp(-5, 5)
    table = form(weight)  # type: ignore[arg-type]
    ids = torch.randint(0, 40, shape, generator=torch.Generator().manual_seed(1))
    vectors = table.vectors(ids)
    assert table.dim == 12
    assert vectors.shape == (*shape, 12)
    assert vectors.dtype == torch.float32
    # Halves summed at once are rounded to a half in the end; nibbles lose some bits to what is subtracted again.
    near = {HalfTable: 1e-3, NibbleGatherTable: 1e-4}.get(form, 1e-5)
    assert_close(table.pooled(ids), vectors.sum(dim=1), rtol=near, atol=near)
    assert (table.mask(ids) == (ids != 0)).all()


@pytest.mark.parametrize("form", FORMS)
def test_pad_is_exactly_zero_in_every_form(form: type[Embedding]) -> None:
    table = form(rows_of_unequal_length(40, 12, 3))  # type: ignore[arg-type]
    pads = torch.zeros(3, 5, dtype=torch.int64)
    assert (table.vectors(pads) == 0).all()
    assert (table.pooled(pads) == 0).all()


def test_what_each_form_takes_of_a_row() -> None:
    weight = torch.randn(100, 64)
    sizes = {form: sum(value.nbytes for value in form(weight).buffers()) // 100 for form in FORMS}
    assert sizes == {
        GatherTable: 4 * 64,
        BagTable: 4 * 64,
        HalfTable: 2 * 64,
        HalfGatherTable: 2 * 64,
        Int8GatherTable: 64 + 4,
        ByteTable: 64 + 8,
        NibbleTable: 64 // 2 + 4,
        NibbleGatherTable: 64 // 2 + 8,
    }


@pytest.mark.parametrize(("form", "most"), [(NibbleTable, 0.14), (NibbleGatherTable, 0.16)])
def test_four_bits_are_as_small_as_promised_at_300_dimensions(form: type[Embedding], most: float) -> None:
    table = form(torch.randn(10, 300))  # type: ignore[arg-type]
    assert sum(value.nbytes for value in table.buffers()) / (10 * 300 * 4) <= most


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 65))
def test_four_bits_are_off_by_at_most_half_a_step(seed: int, dim: int) -> None:
    weight = rows_of_unequal_length(40, dim, seed)
    every = torch.arange(40).unsqueeze(0)
    step = (weight.amax(dim=1, keepdim=True) - weight.amin(dim=1, keepdim=True)) / 15
    gathered = (NibbleGatherTable(weight).vectors(every)[0] - weight).abs()
    assert (gathered <= step * 0.5001 + 1e-6 * weight.abs()).all()
    # The packed form rounds its scale and offset to fp16, and a scale of very small rows to one of a few steps.
    packed = (NibbleTable(weight).vectors(every)[0] - weight).abs()
    reach = weight.abs().amax(dim=1, keepdim=True)
    assert (packed <= step * 0.51 + reach * 2e-3 + 1e-6).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 33))
def test_both_engines_read_the_same_from_four_bits(seed: int, dim: int) -> None:
    weight = rows_of_unequal_length(40, dim, seed)
    ids = torch.randint(0, 40, (5, 7), generator=torch.Generator().manual_seed(seed))
    one, other = NibbleTable(weight).pooled(ids), NibbleGatherTable(weight).pooled(ids)
    assert one.shape == other.shape == (5, dim)
    # As far as scales in fp16 are from those in float32, and where a number lies between two levels.
    span = (weight.amax(dim=1) - weight.amin(dim=1))[ids].sum(dim=1, keepdim=True)
    assert ((one - other).abs() <= span * 0.07 + weight.abs().amax(dim=1)[ids].sum(dim=1, keepdim=True) * 2e-3).all()


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_an_odd_width_costs_a_row_on_one_side_of_zero_nothing(dim: int) -> None:
    weight = torch.full((2, dim), 3.0) + torch.arange(dim) / 15
    weight[0] = 0
    found = NibbleTable(weight).vectors(torch.tensor([[1]]))[0, 0]
    assert_close(found, weight[1], rtol=0, atol=max(dim - 1, 0) / 15 / 15 * 0.51 + 2e-3)


def test_fp16_is_off_by_half_of_its_last_bit() -> None:
    weight = rows_of_unequal_length(40, 12, 5).clamp(-5, 5)
    every = torch.arange(40).unsqueeze(0)
    for form in (HalfTable, HalfGatherTable):
        assert ((form(weight).vectors(every)[0] - weight).abs() <= weight.abs() * 2**-11 + 2**-24).all()


@pytest.mark.parametrize("form", [GatherTable, BagTable])
def test_fp32_shares_the_memory_of_what_it_is_made_from(form: type[Embedding]) -> None:
    weight = torch.randn(10, 4)
    assert form(weight).get_buffer("weight").data_ptr() == weight.data_ptr()  # type: ignore[arg-type]
