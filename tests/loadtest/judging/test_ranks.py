"""The Mann–Whitney test, against SciPy's and against counting by hand."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from lexport.loadtest.judging.ranks import ALPHA, chance_larger, least_chance

VALUES = st.lists(st.integers(0, 12), min_size=1, max_size=5)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=14, unique=True), st.data())
def test_it_is_scipys_exact_test_where_no_values_are_equal(values: list[int], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    before, after = values[:cut], values[cut:]
    theirs = mannwhitneyu(after, before, alternative="greater", method="exact").pvalue
    assert chance_larger(before, after) == pytest.approx(theirs)


@given(VALUES, VALUES)
def test_with_equal_values_it_is_the_share_of_all_ways_to_deal_them_out(before: list[int], after: list[int]) -> None:
    every = [*before, *after]
    ordered = sorted(every)
    ranks = [(ordered.index(one) + len(ordered) - 1 - ordered[::-1].index(one)) / 2 for one in every]
    found = sum(ranks[len(before) :])
    ways = [sum(chosen) for chosen in combinations(ranks, len(after))]
    assert chance_larger(before, after) == pytest.approx(sum(total >= found for total in ways) / len(ways))


def test_five_runs_on_each_side_show_a_difference_and_four_do_not() -> None:
    assert least_chance(5, 5) == chance_larger([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) <= ALPHA
    assert least_chance(4, 4) == chance_larger([1, 2, 3, 4], [6, 7, 8, 9]) > ALPHA


def test_one_run_of_five_out_of_order_is_still_shown_and_no_difference_is_not() -> None:
    assert chance_larger([1, 2, 3, 4, 6], [5, 7, 8, 9, 10]) <= ALPHA
    assert chance_larger([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) > 0.5


def test_no_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="both sides"):
        chance_larger([], [1.0])
