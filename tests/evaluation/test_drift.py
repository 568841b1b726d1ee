"""Distances between histograms: values by hand, what they are 0 for, and what chance alone gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.evaluation.drift import aligned, index_by_chance, most_unknown, stability_index, total_variation

histograms = st.lists(st.integers(0, 1_000), min_size=2, max_size=12).filter(any)


def test_the_stability_index_is_the_one_computed_by_hand() -> None:
    # With half a text more in each: 10 of 20 and 10 of 20 before, 15 of 20 and 5 of 20 now.
    by_hand = (0.75 - 0.5) * math.log(0.75 / 0.5) + (0.25 - 0.5) * math.log(0.25 / 0.5)
    assert by_hand == pytest.approx(0.2747, abs=5e-5)
    assert stability_index([19, 19], [29, 9]) == pytest.approx(
        (29.5 / 39 - 0.5) * math.log(29.5 / 39 / 0.5) + (9.5 / 39 - 0.5) * math.log(9.5 / 39 / 0.5)
    )
    assert stability_index([10**9, 10**9], [3 * 10**9, 10**9]) == pytest.approx(by_hand)


def test_an_empty_bucket_has_a_finite_index() -> None:
    # 100.5 and 0.5 of 101, then the other way round.
    assert stability_index([100, 0], [0, 100]) == pytest.approx(2 * (100 / 101) * math.log(201))


def test_total_variation_is_the_share_that_would_have_to_change() -> None:
    assert total_variation([50, 50], [75, 25]) == pytest.approx(0.25)
    assert total_variation([7, 0], [0, 3]) == 1.0


@given(histograms)
def test_a_histogram_is_at_no_distance_from_itself(counts: list[int]) -> None:
    assert stability_index(counts, counts) == total_variation(counts, counts) == 0.0


@given(st.data(), histograms)
def test_distances_are_the_same_in_both_directions(data: st.DataObject, first: list[int]) -> None:
    other = st.lists(st.integers(0, 1_000), min_size=len(first), max_size=len(first)).filter(any)
    second = data.draw(other)
    assert 0 <= total_variation(first, second) <= 1 + 1e-9
    assert total_variation(first, second) == pytest.approx(total_variation(second, first))
    if sum(first) == sum(second):
        assert stability_index(first, second) == pytest.approx(stability_index(second, first))
    assert stability_index(first, second) >= 0


@pytest.mark.parametrize(("buckets", "before", "now"), [(2, 1_000, 200), (6, 500, 100), (12, 2_000, 400)])
def test_chance_alone_rarely_goes_beyond_its_bound(buckets: int, before: int, now: int) -> None:
    """Of 20,000 pairs of samples of one distribution about one in 1,000 is beyond it."""
    draw = np.random.default_rng(3)
    shares = np.linspace(1, 3, buckets) / np.linspace(1, 3, buckets).sum()
    pairs = zip(draw.multinomial(before, shares, 20_000), draw.multinomial(now, shares, 20_000), strict=True)
    beyond = sum(
        stability_index(first.tolist(), second.tolist()) > index_by_chance(first.tolist(), second.tolist())
        for first, second in pairs
    )
    assert 4 <= beyond <= 60


def test_one_bucket_cannot_move_by_chance() -> None:
    assert index_by_chance([10, 0], [300, 0]) == 0.0
    assert stability_index([10**6, 0], [10**6, 0]) == 0.0


def test_a_label_that_only_one_has_counts_as_none_in_the_other() -> None:
    assert aligned({"b": 2, "a": 1}, {"c": 5, "b": 3}) == ([1, 2, 0], [0, 3, 5])


@pytest.mark.parametrize(("share", "most"), [(0.0, 0.02), (0.005, 0.02), (0.06, 0.12), (0.5, 0.75), (1.0, 1.0)])
def test_twice_as_many_unknown_tokens_are_usual(share: float, most: float) -> None:
    assert most_unknown(share) == pytest.approx(most)
