"""Arrival patterns: the rates they have, the times drawn from them, and recorded schedules."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.driver.arrivals import PATTERNS, plan, read_times, schedule


@pytest.mark.parametrize(
    ("name", "rates", "expected"),
    [
        ("open", {0: 20, 39: 20}, 800),
        ("constant", {0: 20, 39: 20}, 800),
        ("step", {0: 4, 7.9: 4, 8: 8, 39: 20}, 480),
        ("ramp", {0: 0, 10: 5, 20: 10, 40: 20}, 400),
        ("spike", {0: 20, 9.9: 20, 10: 200, 19.9: 200, 20: 20, 40: 20}, 2600),
        ("soak", {0: 0, 2: 10, 4: 20, 40: 20}, 760),
    ],
)
def test_a_pattern_is_a_rate_over_time(name: str, rates: dict[float, float], expected: float) -> None:
    pattern = PATTERNS[name](20.0, 40.0)
    assert {second: pattern.rate_at(second) for second in rates} == pytest.approx(rates)
    assert pattern.expected() == pytest.approx(expected)


@given(st.sampled_from(sorted(PATTERNS)), st.floats(0.5, 500), st.floats(0.5, 20), st.integers(0, 9))
def test_the_times_are_those_of_the_pattern(name: str, rate: float, seconds: float, seed: int) -> None:
    pattern = PATTERNS[name](rate, seconds)
    times = list(schedule(pattern, seed))
    assert times == sorted(times) == list(schedule(pattern, seed))
    assert all(0 <= time <= seconds * (1 + 1e-9) for time in times)
    # Six standard deviations of a Poisson number.
    assert abs(len(times) - pattern.expected()) <= 6 * pattern.expected() ** 0.5 + 1


def test_equal_gaps_are_equal_and_random_ones_those_of_a_poisson_process() -> None:
    equal = plan("constant", 10.0, 5.0, 0).times
    assert equal == pytest.approx([0.05 + place / 10 for place in range(50)])
    times = plan("open", 100.0, 100.0, 3).times
    gaps = [second - first for first, second in itertools.pairwise(times)]
    assert statistics.mean(gaps) == pytest.approx(0.01, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)
    assert plan("open", 100.0, 100.0, 4).times != times


def test_a_ramp_has_its_arrivals_where_its_rate_is_high() -> None:
    times = plan("ramp", 100.0, 10.0, 0).times
    assert sum(time < 5 for time in times) / len(times) == pytest.approx(0.25, abs=0.05)


def test_a_recorded_schedule_counts_from_its_first_request(tmp_path: Path) -> None:
    path = tmp_path / "times.txt"
    path.write_text("\ufeff12.5\n\n10\n 11.25 \n", encoding="utf-8")
    assert read_times(path) == [0.0, 1.25, 2.5]
    path.write_text("2026-01-31T12:00:01+00:00\n2026-01-31T13:00:00.250+01:00\n")
    assert read_times(path) == [0.0, 0.75]
    found = plan(f"replay:{path}", 0.0, 99.0, 0)
    assert (found.name, found.times) == ("replay", [0.0, 0.75])
    assert found.seconds == pytest.approx(0.76)


@pytest.mark.parametrize(
    ("content", "words"),
    [("1\nsoon\n", "line 2 is 'soon', not a time"), ("nan\n", "line 1 is 'nan'"), ("\n", "has 0 times")],
)
def test_what_is_not_a_schedule_is_said(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "times.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        read_times(path)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pattern_needs_a_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="needs --rate"):
        plan("open", rate, 1.0, 0)
    with pytest.raises(ValueError, match="50,000,000 requests; at most 5,000,000"):
        plan("open", 50_000.0, 1000.0, 0)
