from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from lexport.models.embeddings import DynamicDim, DynamicDimOptions

from .embedding_cases import make


def test_gates_fall_from_one_to_zero_along_the_ramp() -> None:
    embedding = DynamicDim(3, 3, DynamicDimOptions(8, ramp=4))
    with torch.no_grad():
        # A reach of 6 of the 12 that dimensions and ramp make together.
        embedding.size[1] = 0
    assert_close(embedding.gates(torch.tensor([[1]]))[0, 0], torch.tensor([1, 1, 1, 0.75, 0.5, 0.25, 0, 0]))
    assert embedding.effective_dims()[1].item() == 4.5


def test_a_fresh_table_has_all_but_its_ramp_switched_on() -> None:
    gates = DynamicDim(3, 3, DynamicDimOptions(10, ramp=4)).gates(torch.tensor([[1]]))[0, 0]
    assert_close(gates, torch.tensor([1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]))


def test_the_share_is_the_mean_over_the_tokens_alone() -> None:
    embedding = make("dynamic_dim")
    assert isinstance(embedding, DynamicDim)
    ids = torch.tensor([[3, 3, 9, 0], [20, 0, 0, 0]])
    used = embedding.effective_dims()
    assert_close(embedding.share(ids), used[[3, 3, 9, 20]].mean() / 6)
    assert embedding.share(ids).dtype == torch.float32
    assert embedding.share(ids).shape == ()
    assert embedding.share(torch.zeros(2, 3, dtype=torch.int64)).item() == 0
    assert_close(embedding.penalty(ids), 0.1 * embedding.share(ids))
    assert used.shape == (30,)
    assert used[0] == 0
    assert (used[1:].diff() >= 0).all()


def test_the_penalty_alone_shrinks_the_words_it_meets_and_no_other() -> None:
    embedding = DynamicDim(6, 6, DynamicDimOptions(16, ramp=4, penalty=1.0))
    before, ids = embedding.effective_dims(), torch.tensor([[2, 3, 0]])
    optimizer = torch.optim.SGD(embedding.parameters(), lr=10.0)
    for _ in range(50):
        optimizer.zero_grad()
        embedding.penalty(ids).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = embedding.effective_dims()
    assert (after[[2, 3]] < before[[2, 3]] / 2).all()
    assert (after[[2, 3]] > 0).all()
    assert (after[[0, 1, 4, 5]] == before[[0, 1, 4, 5]]).all()


def test_words_learn_to_be_as_wide_as_what_they_have_to_say() -> None:
    torch.manual_seed(0)
    embedding = DynamicDim(4, 4, DynamicDimOptions(16, ramp=2, penalty=0.1))
    wanted = torch.zeros(1, 2, 16)
    wanted[0, 0, :2], wanted[0, 1] = 1, 1
    ids, optimizer = torch.tensor([[2, 3]]), torch.optim.Adam(embedding.parameters(), lr=0.05)
    for _ in range(300):
        loss = ((embedding.vectors(ids) - wanted) ** 2).mean() + embedding.penalty(ids)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    used = embedding.effective_dims()
    assert used[2] < 5 < 12 < used[3]


def test_settled_rows_are_what_a_look_up_answers() -> None:
    embedding = make("dynamic_dim")
    assert isinstance(embedding, DynamicDim)
    settled = embedding.settled()
    assert not settled.requires_grad
    assert (settled[0] == 0).all()
    assert (embedding.vectors(torch.arange(30).unsqueeze(0))[0] == settled).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ramp": 0}, "ramp=0"),
        ({"penalty": -0.1}, r"penalty=-0\.1"),
        ({"penalty": float("nan")}, "penalty=nan"),
        ({"out_of_range": ""}, 'out_of_range is ""'),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DynamicDimOptions(**options)  # type: ignore[arg-type]
