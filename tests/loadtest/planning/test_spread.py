"""The interval of a median: exact confidence, and values that were measured as its ends."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.planning.spread import median_interval


@pytest.mark.parametrize(
    ("count", "place", "confidence"),
    [(1, 0, 0.0), (2, 0, 0.5), (5, 0, 0.9375), (6, 0, 0.96875), (9, 1, 0.9609375), (10, 1, 0.978515625)],
)
def test_the_confidence_is_that_of_the_sign_test(count: int, place: int, confidence: float) -> None:
    found = median_interval([float(value) for value in range(count)])
    assert (found.low, found.high) == (place, count - 1 - place)
    assert found.confidence == pytest.approx(confidence)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_it_holds_the_median_and_ends_at_measured_values(values: list[float]) -> None:
    found = median_interval(values)
    assert found.median == statistics.median(values)
    assert found.low <= found.median <= found.high
    assert {found.low, found.high} <= set(values)
    assert found.confidence >= 0.95 or len(values) < 6


def test_it_covers_the_true_median_as_often_as_it_says() -> None:
    draw = random.Random(0)
    found = [median_interval([draw.lognormvariate(0, 1) for _ in range(10)]) for _ in range(4_000)]
    covered = sum(one.low <= 1 <= one.high for one in found) / len(found)
    assert covered == pytest.approx(found[0].confidence, abs=0.01)
