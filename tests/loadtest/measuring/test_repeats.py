"""Repeats: the order of the runs, and the cell that they make together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.driver.recorder import latencies
from lexport.loadtest.measuring.figures import Spread
from lexport.loadtest.measuring.repeats import Run, ordered, pooled

from ..samples import ROW, repeated

TIMES = st.lists(st.floats(0.1, 1000), min_size=1, max_size=60)


def run(times: list[float], rate: float = 1000.0, **changes: Any) -> Run:
    """A run with these latencies."""
    figures: dict[str, Any] = {name: value for name, value in latencies(sorted(times)).items() if name != "curve"}
    row = replace(ROW, **figures, answered=len(times), requests_per_second=rate, **changes)
    (one,) = repeated(row, [rate]).repeats
    return Run(replace(row, repeats=(replace(one, **figures),)), np.zeros(len(times)), np.array(times))


def test_a_test_without_repeats_runs_in_the_given_order() -> None:
    assert ordered("abcdef", 1, 0, 1) == list("abcdef")


def test_each_round_has_an_order_of_its_own_which_the_seed_draws() -> None:
    orders = [ordered("abcdef", 5, 7, number) for number in range(1, 6)]
    assert len({tuple(order) for order in orders}) == 5
    assert all(sorted(order) == list("abcdef") for order in orders)
    assert orders == [ordered("abcdef", 5, 7, number) for number in range(1, 6)]
    assert orders != [ordered("abcdef", 5, 8, number) for number in range(1, 6)]


@given(st.lists(TIMES, min_size=2, max_size=4))
def test_percentiles_are_those_of_all_requests_together(several: list[list[float]]) -> None:
    row = pooled([run(times) for times in several])
    exact = latencies(sorted(time for times in several for time in times))
    assert [row.p50_ms, row.p90_ms, row.p99_ms, row.p99_9_ms, row.max_ms] == [
        exact[name] for name in ("p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms")
    ]
    assert [list(point) for point in row.curve] == exact["curve"]
    assert row.answered == sum(map(len, several))
    assert [repeat.answered for repeat in row.repeats] == list(map(len, several))


def test_a_single_run_is_its_own_row() -> None:
    alone = run([1.0, 2.0])
    assert pooled([alone]) is alone.row
    assert alone.row.spread == {}


def test_requests_per_second_are_the_median_with_the_spread_of_the_runs() -> None:
    row = pooled([run([4.0, 5.0], rate) for rate in (1200.0, 900.0, 1000.0)])
    assert row.requests_per_second == 1000.0
    assert row.spread["requests_per_second"] == Spread(1000.0, 900.0, 1200.0, 0.75)
    assert row.spread["p50_ms"] == Spread(4.0, 4.0, 4.0, 0.75)
    assert row.seconds == 3 * ROW.seconds


def test_counts_are_added_up_and_shares_are_means() -> None:
    one = run([1.0], failures=2, reasons={"HTTP 503": 2}, machine_cpu=0.5, other_cpu=0.0, server_cpu=1.0)
    other = run([1.0], failures=3, reasons={"HTTP 503": 1, "no answer": 2}, machine_cpu=1.0, other_cpu=0.2)
    row = pooled([one, other])
    assert (row.failures, row.reasons) == (5, {"HTTP 503": 3, "no answer": 2})
    assert (row.machine_cpu, row.other_cpu) == (0.75, 0.1)
    assert row.server_cpu is None  # it is not known of one of them


def test_what_limited_one_run_limits_the_cell() -> None:
    limited = run([1.0], client_limit="Locust took 97% of a core")
    assert pooled([run([1.0]), limited]).client_limit == "Locust took 97% of a core (in 1 of 2 runs)"


def test_other_work_counts_by_its_mean_over_the_runs() -> None:
    busy, idle = ({"machine_cpu": cpu, "other_cpu": other} for cpu, other in ((1.0, 0.6), (0.85, 0.0)))
    assert pooled([run([1.0], **busy), run([1.0], **idle)]).other_work is not None
    assert pooled([run([1.0], **busy), *[run([1.0], **idle)] * 4]).other_work is None


def test_a_run_in_which_nothing_was_answered_leaves_no_spread() -> None:
    silent = run([1.0])
    nothing: dict[str, Any] = dict.fromkeys(("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99_9_ms", "max_ms"))
    row = replace(silent.row, **nothing, answered=0, repeats=(replace(silent.row.repeats[0], **nothing),))
    both = pooled([run([2.0]), Run(row, np.array([]), np.array([]))])
    assert both.p50_ms == 2.0
    assert set(both.spread) == {"requests_per_second"}


@pytest.mark.parametrize("recoveries", [(1.0, 3.0, 2.0), (1.0, None, 2.0)])
def test_a_recovery_is_the_middle_one_unless_a_run_had_none(recoveries: tuple[float | None, ...]) -> None:
    row = pooled([run([1.0], arrivals="spike", recovery=one) for one in recoveries])
    assert row.recovery == (None if None in recoveries else 2.0)
