"""The spread of a figure: the median of the runs, and an interval of it."""

from __future__ import annotations

import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from lexport.loadtest.measuring.figures import CERTAIN, Spread, share_of, spread


def test_of_a_few_runs_it_is_from_the_lowest_to_the_highest() -> None:
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0, 0.0)
    assert spread([5.0, 1.0, 3.0, 2.0]) == Spread(2.5, 1.0, 5.0, 0.875)


@given(st.integers(CERTAIN, 60))
def test_of_six_or_more_it_holds_the_median_in_95_of_100_tests_and_is_as_narrow_as_that_allows(count: int) -> None:
    """The k-th value is above the median with the chance of fewer than k heads of so many coins."""
    found = spread([float(value) for value in range(count)])
    cut = int(found.low)
    assert found.high == count - 1 - cut
    assert found.confidence == pytest.approx(1 - 2 * binom.cdf(cut, count, 0.5))
    assert found.confidence >= 0.95
    assert 1 - 2 * binom.cdf(cut + 1, count, 0.5) < 0.95


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_it_holds_the_median_and_ends_at_measured_values(values: list[float]) -> None:
    found = spread(values)
    assert found.median == statistics.median(values)
    assert found.low <= found.median <= found.high
    assert {found.low, found.high} <= set(values)
    assert (found.confidence >= 0.95) == (len(values) >= CERTAIN)


def test_it_covers_the_true_median_as_often_as_it_says() -> None:
    draw = random.Random(0)
    found = [spread([draw.lognormvariate(0, 1) for _ in range(10)]) for _ in range(4_000)]
    covered = sum(one.low <= 1 <= one.high for one in found) / len(found)
    assert covered == pytest.approx(found[0].confidence, abs=0.01)


def test_more_runs_narrow_it() -> None:
    values = np.random.default_rng(1).normal(100, 10, 40).tolist()
    few, many = spread(values[:5]), spread(values)
    assert many.high - many.low < few.high - few.low


def test_no_value_has_no_spread() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_where_nothing_was_sent_everything_failed() -> None:
    assert (share_of(0, 0), share_of(1, 3), share_of(0, 3)) == (1.0, 0.25, 0.0)
