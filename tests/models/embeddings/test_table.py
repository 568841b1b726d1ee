from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from lexport.export.formats.tables import ByteTable, GatherTable, Int8GatherTable, exported
from lexport.models.embeddings import Table, TableOptions

from .embedding_cases import scripted, table

IDS = st.lists(st.lists(st.integers(0, 8), min_size=4, max_size=4), min_size=1, max_size=5)


@settings(max_examples=60)
@given(
    ids=IDS,
    padding_idx=st.sampled_from([None, 0, 1]),
    max_norm=st.sampled_from([None, 0.05, 0.2]),
    norm_type=st.sampled_from([1.0, 2.0, 3.5, math.inf]),
    gradient=st.sampled_from(["plain", "by frequency", "sparse"]),
    pool=st.booleans(),
)
def test_vectors_and_gradients_are_those_of_torch_itself(
    ids: list[list[int]], padding_idx: int | None, max_norm: float | None, norm_type: float, gradient: str, pool: bool
) -> None:
    ours = Table(
        9,
        9,
        TableOptions(
            5,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=gradient == "by frequency",
            sparse=gradient == "sparse",
        ),
    )
    theirs = nn.Embedding(
        9,
        5,
        padding_idx or 0,
        max_norm,
        norm_type,
        gradient == "by frequency",
        gradient == "sparse",
        ours.settled().clone(),
    )
    with torch.no_grad():
        theirs.weight.copy_(ours.weight)
    batch = torch.tensor(ids)
    weights = torch.linspace(-1, 1, 5)
    # PAD counts for nothing here whatever padding_idx says.
    expected = theirs(batch) * (batch != 0).unsqueeze(-1)
    got = ours.pooled(batch) if pool else ours.vectors(batch)
    assert_close(got, expected.sum(dim=1) if pool else expected)
    (got * weights).sum().backward()  # type: ignore[no-untyped-call]
    (expected * weights).sum().backward()
    assert ours.weight.grad is not None
    assert theirs.weight.grad is not None
    assert ours.weight.grad.is_sparse == (gradient == "sparse")
    assert_close(ours.weight.grad.to_dense(), theirs.weight.grad.to_dense())
    assert_close(ours.weight, theirs.weight)
    assert ours.weight.grad.to_dense()[[0, padding_idx or 0]].abs().sum() == 0


def test_sparse_gradients_cannot_be_scaled_by_frequency_in_torch_so_both_are_refused() -> None:
    both = nn.Embedding(4, 2, scale_grad_by_freq=True, sparse=True)
    with pytest.raises(RuntimeError, match="not supported with sparse gradients"):
        both(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="sparse and scale_grad_by_freq"):
        TableOptions(sparse=True, scale_grad_by_freq=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding_idx": -1}, r"padding_idx=-1 must be 0 \(PAD\) or 1 \(UNK"),
        ({"padding_idx": 2}, r"padding_idx=2 must be 0 \(PAD\) or 1 \(UNK"),
        ({"max_norm": 0.0}, r"max_norm=0\.0"),
        ({"max_norm": math.inf}, "max_norm=inf"),
        ({"norm_type": 0.0}, r"norm_type=0\.0"),
        ({"norm_type": math.nan}, "norm_type=nan"),
        ({"out_of_range": "zero"}, 'out_of_range is "zero"'),
    ],
)
def test_options_that_no_table_has_are_refused_by_name_and_value(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableOptions(**options)  # type: ignore[arg-type]


def test_a_padding_row_beyond_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="padding_idx=1 is outside the table of 1 rows"):
        Table(1, 1, TableOptions(2, padding_idx=1))


def test_words_start_at_random_and_ngrams_at_zero() -> None:
    weight = Table(50, 20, TableOptions(8, spread=0.1)).weight
    assert (weight[0] == 0).all()
    assert (weight[20:] == 0).all()
    assert 0.09 < weight[1:20].abs().max() <= 0.1


@pytest.mark.parametrize("index", [30, 2**40])
def test_an_index_beyond_the_table_is_named_with_the_size(index: int) -> None:
    for look_up in (table().vectors, table().pooled):
        with pytest.raises(IndexError, match=rf"^index {index} is beyond the 30 there are; the last is 29\.$"):
            look_up(torch.tensor([[1, index]]))


def test_an_index_beyond_the_table_is_unk_where_so_chosen_in_every_form() -> None:
    embedding = table(out_of_range="unk").eval()
    ids, known = torch.tensor([[-1, 30, 2**40, 5, 0]]), torch.tensor([[1, 1, 1, 5, 0]])
    for form in (embedding, *(exported(embedding, make) for make in (GatherTable, Int8GatherTable, ByteTable))):
        assert (form.vectors(ids) == form.vectors(known)).all()
        assert (form.pooled(ids) == form.pooled(known)).all()
        assert form.mask(ids).tolist() == [[True, True, True, True, False]]
    vectors, _, pooled = scripted(form)(ids)
    assert (vectors == form.vectors(known)).all()
    assert (pooled == form.pooled(known)).all()


def test_looking_up_in_evaluation_shortens_without_changing_the_table() -> None:
    embedding = table(max_norm=0.03)
    before, ids = embedding.weight.clone(), torch.tensor([[1, 2, 3, 0]])
    settled = embedding.settled()
    found = embedding.eval().vectors(ids), embedding.pooled(ids)
    assert (embedding.weight == before).all()
    assert_close(found[0][0], settled[ids[0]])
    assert found[0].norm(dim=-1).max() <= 0.03
    embedding.train().vectors(ids)
    assert_close(embedding.weight[:4], settled[:4])
    assert (embedding.weight[4:] == before[4:]).all()


def test_settled_rows_are_no_longer_than_max_norm_and_shorter_ones_as_they_were() -> None:
    embedding = table(max_norm=0.06, norm_type=1.0)
    norms = embedding.weight.norm(p=1.0, dim=1)
    settled = embedding.settled()
    assert settled.norm(p=1.0, dim=1).max() <= 0.06
    assert (settled[0] == 0).all()
    assert (settled[norms <= 0.06] == embedding.weight[norms <= 0.06]).all()
    assert table().settled().data_ptr() != settled.data_ptr()


def test_filled_rows_hold_the_given_vectors_and_the_others_stay() -> None:
    embedding = table()
    before = embedding.weight.detach().clone()
    vectors = torch.arange(12, dtype=torch.float64).reshape(2, 6)
    embedding.fill(torch.tensor([29, 4]), vectors)
    assert (embedding.weight[[29, 4]] == vectors).all()
    untouched = [row for row in range(30) if row not in (4, 29)]
    assert (embedding.weight[untouched] == before[untouched]).all()
    assert embedding.weight.requires_grad
    assert embedding.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "rows", "shape", "error", "message"),
    [
        ({}, [3, 0], (2, 6), ValueError, "Row 0 is padding"),
        ({"padding_idx": 1}, [3, 1], (2, 6), ValueError, "Row 1 is padding"),
        ({}, [3, 30], (2, 6), IndexError, r"^row 30 is beyond the 30 there are; the last is 29\.$"),
        ({}, [3, -1], (2, 6), IndexError, r"^row -1 is negative; there are 30, 0 to 29\.$"),
        (
            {},
            [3.0, 4.0],
            (2, 6),
            TypeError,
            r"^row 3\.0 must be int64 or int32, not torch\.float32; there are 30, 0 to 29",
        ),
        ({}, [3, 4], (2, 5), ValueError, r"vectors \[2, 5\] do not fit a table of width 6"),
        ({}, [3, 4], (1, 6), ValueError, r"Rows \[2\] and vectors \[1, 6\]"),
    ],
)
def test_a_table_is_not_filled_with_what_does_not_fit(
    options: dict[str, object], rows: list[float], shape: tuple[int, int], error: type[Exception], message: str
) -> None:
    embedding = table(**options)  # type: ignore[arg-type]
    before = embedding.weight.detach().clone()
    with pytest.raises(error, match=message):
        embedding.fill(torch.tensor(rows), torch.ones(shape))
    assert (embedding.weight == before).all()


def test_a_wider_table_takes_over_the_rows_of_a_narrower_one_and_keeps_pad() -> None:
    old, new = table(), table(rows=40, words=40)
    new.fill(torch.arange(1, 30), old.settled()[1:])
    assert (new.settled()[:30] == old.settled()).all()


def test_a_table_held_is_not_copied_and_learns_nothing() -> None:
    weight = torch.rand(4, 3)
    held = Table.holding(weight)
    assert held.weight.data_ptr() == weight.data_ptr()
    assert not held.weight.requires_grad
