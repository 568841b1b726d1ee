"""What training lowers, against the formulas written out one pair at a time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexport.models.heads.losses import balanced_weights, contrastive_loss

Vectors = npt.NDArray[np.float64]


def one_way(queries: Vectors, targets: Vectors, groups: list[int], temperature: float) -> float:
    losses = []
    for query, group in zip(queries, groups, strict=True):
        scores = [float(query @ target) / temperature for target in targets]
        log_of_all = max(scores) + math.log(sum(math.exp(score - max(scores)) for score in scores))
        own = [score for score, other in zip(scores, groups, strict=True) if other == group]
        losses.append(sum(log_of_all - score for score in own) / len(own))
    return sum(losses) / len(losses)


def unit(rows: int, dim: int, seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(rows, dim))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


@given(
    groups=st.lists(st.integers(0, 3), min_size=1, max_size=9),
    dim=st.integers(1, 8),
    temperature=st.floats(0.05, 2),
    seed=st.integers(0, 1000),
)
def test_the_contrastive_loss_is_the_mean_of_both_directions(
    groups: list[int], dim: int, temperature: float, seed: int
) -> None:
    queries, targets = unit(len(groups), dim, seed), unit(len(groups), dim, seed + 5000)
    expected = (one_way(queries, targets, groups, temperature) + one_way(targets, queries, groups, temperature)) / 2
    found = contrastive_loss(torch.tensor(queries), torch.tensor(targets), torch.tensor(groups), temperature)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_pair_alone_has_nothing_to_be_told_from() -> None:
    one = torch.tensor(unit(1, 4, 0))
    assert contrastive_loss(one, one, torch.tensor([0]), 0.05).item() == 0


def test_right_pairs_lose_less_than_swapped_ones() -> None:
    vectors, groups = torch.eye(3), torch.arange(3)
    right = contrastive_loss(vectors, vectors, groups, 0.1)
    assert right < 1e-3
    assert contrastive_loss(vectors, vectors.roll(1, dims=0), groups, 0.1) > 5


def test_all_of_a_group_are_right_for_one_another() -> None:
    groups = torch.tensor([0, 0, 1])
    queries = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    swapped = queries[[1, 0, 2]]
    assert contrastive_loss(queries, queries, groups, 0.1) == contrastive_loss(queries, swapped, groups, 0.1)


def test_rare_labels_weigh_more_and_texts_one_on_average() -> None:
    counts = torch.tensor([80, 15, 5])
    weights = balanced_weights(counts)
    assert weights.tolist() == pytest.approx([100 / (3 * 80), 100 / (3 * 15), 100 / (3 * 5)])
    assert weights.dtype == torch.float32
    assert (weights * counts).sum().item() / 100 == pytest.approx(1)


def test_a_label_without_texts_has_a_finite_weight() -> None:
    assert balanced_weights(torch.tensor([4, 0])).tolist() == [1.0, 4.0]
