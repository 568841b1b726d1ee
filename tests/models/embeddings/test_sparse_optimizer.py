"""Row updates change what torch's own optimizers change, and nothing else."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from lexport.models.embeddings import sparse_optimizer as updates
from lexport.models.embeddings.sparse_gradients import Lookup, coalesced, gradient, stable_order
from lexport.models.embeddings.sparse_optimizer import RULES, RowOptimizer

ROWS, DIM = 12, 6

Step = tuple[Tensor, Tensor]
Look = Callable[[Tensor, Tensor], Tensor]

batches = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**31)), min_size=1, max_size=5)


def pooled(ids: Tensor, weight: Tensor) -> Tensor:
    """The sums of a padded batch: updates.pooled takes it without its padding."""
    present = ids != 0
    return updates.pooled(ids[present], present.sum(dim=1), weight)


looks = pytest.mark.parametrize("look", [pooled, updates.vectors])
rules = pytest.mark.parametrize("rule", RULES)


def table() -> nn.Parameter:
    weight = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(0))
    weight[0] = 0
    return nn.Parameter(weight)


def batch(texts: int, length: int, seed: int) -> Step:
    """Ids with PAD on the right, and what the loss weighs each text by."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, ROWS, (texts, length), generator=generator)
    filled = torch.randint(0, length + 1, (texts, 1), generator=generator)
    return ids * (torch.arange(length) < filled), torch.randn(texts, DIM, generator=generator)


STEPS = [batch(4, 6, seed) for seed in range(6)]


def push(weight: nn.Parameter, step: Step, look: Look) -> None:
    """Give `weight` the gradient of a loss in which every token of every text counts differently."""
    ids, factors = step
    found = look(ids, weight)
    if found.dim() == 3:
        share = torch.arange(1.0, ids.size(1) + 1)[None, :, None]
        loss = ((found * share).tanh() * factors[:, None]).sum()
    else:
        loss = (found.tanh() * factors).sum()
    loss.backward()  # type: ignore[no-untyped-call]


def plain(look: Look, sparse: bool = False) -> Look:
    """The same look-up by torch alone."""

    def found(ids: Tensor, weight: Tensor) -> Tensor:
        vectors = F.embedding(ids, weight, padding_idx=0, sparse=sparse)
        return vectors.sum(dim=1) if look is pooled else vectors

    return found


def trained(
    optimizer: torch.optim.Optimizer | RowOptimizer, weight: nn.Parameter, steps: list[Step], look: Look
) -> Tensor:
    for step in steps:
        optimizer.zero_grad()
        push(weight, step, look)
        optimizer.step()
    return weight.detach()


def by_rule(rule: str, steps: list[Step], look: Look = pooled) -> Tensor:
    weight = table()
    return trained(RowOptimizer([weight], 0.1, rule), weight, steps, look)


@looks
@settings(max_examples=60)
@given(drawn=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**31)))
def test_the_gradient_is_that_of_torch_with_every_row_once(look: Look, drawn: tuple[int, int, int]) -> None:
    weight, expected = table(), table()
    push(weight, batch(*drawn), look)
    push(expected, batch(*drawn), plain(look))
    assert weight.grad is not None
    assert expected.grad is not None
    rows = weight.grad._indices()[0].tolist()
    assert 0 not in rows
    assert all(before < after for before, after in pairwise(rows))
    torch.testing.assert_close(weight.grad.to_dense(), expected.grad, rtol=1e-4, atol=1e-5)


@looks
@settings(max_examples=40)
@given(drawn=batches)
def test_adam_is_sparse_adam(look: Look, drawn: list[tuple[int, int, int]]) -> None:
    steps = [batch(*one) for one in drawn]
    weight = table()
    expected = trained(torch.optim.SparseAdam([weight], 0.1), weight, steps, plain(look, sparse=True))
    torch.testing.assert_close(by_rule("adam", steps, look), expected, rtol=1e-4, atol=1e-5)


@looks
@settings(max_examples=40)
@given(drawn=batches)
def test_adagrad_is_adagrad_of_dense_gradients(look: Look, drawn: list[tuple[int, int, int]]) -> None:
    steps = [batch(*one) for one in drawn]
    weight = table()
    expected = trained(torch.optim.Adagrad([weight], 0.1), weight, steps, plain(look))
    torch.testing.assert_close(by_rule("adagrad", steps, look), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=40)
@given(drawn=batches)
def test_rowwise_divides_by_the_root_of_the_mean_squares_so_far(drawn: list[tuple[int, int, int]]) -> None:
    steps = [batch(*one) for one in drawn]
    expected, squares = table(), torch.zeros(ROWS)
    for step in steps:
        weight = nn.Parameter(expected.detach())
        push(weight, step, plain(pooled))
        assert weight.grad is not None
        squares += weight.grad.square().mean(dim=1)
        expected = nn.Parameter(weight.detach() - 0.1 * weight.grad / (squares.sqrt()[:, None] + 1e-10))
    torch.testing.assert_close(by_rule("rowwise", steps), expected.detach(), rtol=1e-4, atol=1e-5)


@looks
def test_the_sgd_of_torch_takes_the_gradient_as_well(look: Look) -> None:
    sparse, dense = table(), table()
    found = trained(torch.optim.SGD([sparse], 0.1), sparse, STEPS, look)
    torch.testing.assert_close(found, trained(torch.optim.SGD([dense], 0.1), dense, STEPS, plain(look)))


@rules
@looks
def test_padding_and_rows_not_read_never_change(rule: str, look: Look) -> None:
    ids = torch.tensor([[3, 5, 0], [5, 0, 0], [0, 0, 0]])
    after = by_rule(rule, [(ids, torch.ones(3, DIM))] * 3, look)
    assert (after != table().detach()).any(dim=1).nonzero().flatten().tolist() == [3, 5]


@rules
def test_a_batch_of_empty_texts_changes_nothing(rule: str) -> None:
    empty = (torch.zeros(2, 1, dtype=torch.int64), torch.ones(2, DIM))
    assert torch.equal(by_rule(rule, [empty]), table().detach())


@rules
def test_the_same_steps_give_the_same_bits(rule: str) -> None:
    assert torch.equal(by_rule(rule, STEPS), by_rule(rule, STEPS))


@rules
def test_training_goes_on_from_its_state_as_if_it_had_never_stopped(rule: str) -> None:
    weight = table()
    first = RowOptimizer([weight], 0.1, rule)
    trained(first, weight, STEPS[:3], pooled)
    second = RowOptimizer([weight], 0.1, rule)
    second.load_state_dict(first.state_dict())
    assert torch.equal(trained(second, weight, STEPS[3:], pooled), by_rule(rule, STEPS))


def test_two_look_ups_of_one_step_are_one_gradient() -> None:
    weight, expected = table(), table()
    optimizers = RowOptimizer([weight], 0.1, "adagrad"), torch.optim.Adagrad([expected], 0.1)
    for step, look in ((STEPS[0], pooled), (STEPS[1], updates.vectors)):
        push(weight, step, look)
        push(expected, step, plain(look))
    for optimizer in optimizers:
        optimizer.step()
    torch.testing.assert_close(weight, expected)


def test_the_gradient_has_a_norm_and_can_be_clipped() -> None:
    weight, expected = table(), table()
    push(weight, STEPS[0], pooled)
    push(expected, STEPS[0], plain(pooled))
    assert weight.grad is not None
    assert expected.grad is not None
    norm = float(weight.grad.norm())
    assert norm == pytest.approx(float(expected.grad.norm()), rel=1e-5)
    weight.grad *= 0.25 / norm
    torch.optim.SGD([weight], 1.0).step()
    assert float((weight - table()).detach().norm()) == pytest.approx(0.25, rel=1e-4)


def test_a_gradient_in_order_is_not_sorted_again() -> None:
    weight = table()
    push(weight, STEPS[0], pooled)
    assert weight.grad is not None
    found = coalesced(weight.grad)
    assert found.is_coalesced()
    assert found.values().data_ptr() == weight.grad._values().data_ptr()
    push(weight, STEPS[1], pooled)
    torch.testing.assert_close(coalesced(weight.grad).to_dense(), weight.grad.to_dense())


def test_a_dense_gradient_is_refused() -> None:
    weight = table()
    push(weight, STEPS[0], plain(pooled))
    with pytest.raises(TypeError, match=r"A table of \[12, 6\] has a dense gradient"):
        RowOptimizer([weight], 0.1).step()


def test_a_row_of_one_token_has_the_gradient_of_its_text_and_others_have_sums() -> None:
    cells, texts = torch.tensor([7, 2, 7, 2, 5]), torch.tensor([0, 0, 0, 1, 1])
    found = gradient([Lookup(cells, texts, torch.tensor([[1.0, 2.0], [10.0, 20.0]]))])
    assert (found.rows.tolist(), found.sources.tolist()) == ([2, 5, 7], [2, 1, 3])
    assert found.values.tolist() == [[1, 2], [10, 20], [11, 22], [2, 4]]
    assert found.squares().tolist() == pytest.approx([11**2 + 22**2, 10**2 + 20**2, 2**2 + 4**2])


@given(st.lists(st.integers(0, 5) | st.integers(0, 2**40)))
def test_numbers_are_sorted_as_numpy_sorts_them(numbers: list[int]) -> None:
    array = np.array(numbers, np.int64)
    assert stable_order(array).tolist() == np.argsort(array, kind="stable").tolist()


def test_unknown_rules_and_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'sdg' is not known; choose one of sgd, adagrad, rowwise, adam"):
        RowOptimizer([table()], 0.1, "sdg")
    with pytest.raises(ValueError, match=r"lr=0\.1 and eps=0\.0 must be above 0"):
        RowOptimizer([table()], 0.1, eps=0.0)
