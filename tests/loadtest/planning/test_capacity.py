"""What may be claimed of a server, the arithmetic of machines, and its sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.objectives import parse
from lexport.loadtest.pages.report import html
from lexport.loadtest.planning.capacity import capacities, machines_for, served_by
from lexport.loadtest.results import Row

from ...reports.reader import read
from ..samples import REPORT, ROW, repeated

SLO = parse(["p99=20ms"])


def run(users: int, rate: float, p99: float = 15.0, limit: str | None = None, workers: str = "cpu:2") -> Row:
    return replace(ROW, workers=workers, users=users, requests_per_second=rate, p99_ms=p99, client_limit=limit)


def test_one_run_is_claimed_with_the_caveat_that_it_says_nothing_of_the_spread() -> None:
    [found] = capacities([run(4, 900), run(16, 3100), run(64, 3300, p99=41)], SLO, need=10_000)
    assert (found.requests_per_second, found.machines, found.low) == (3100, 4, None)
    assert found.words == (
        "2 CPU workers here serve 3,100 requests/s within p99 20 ms (16 users). For 10,000 you need 4 such machines: "
        "10,000 ÷ 3,100 = 3.23, rounded up. One run says nothing of the spread: keep a reserve, or repeat it. No "
        "reserve for peaks or for a machine that fails is included."
    )


def test_repeated_runs_give_an_interval_and_machines_are_counted_with_its_lower_end() -> None:
    rates = (3100, 3300, 2400, 3200, 3050, 3150)
    [found] = capacities([repeated(run(16, 0), rates)], SLO, need=10_000)
    assert (found.runs, found.requests_per_second, found.low, found.high) == (6, 3125, 2400, 3300)
    assert found.machines == 5
    assert "(16 users, median of 6 runs, 96.9% interval 2,400 to 3,300)" in found.words
    assert "you need 5 such machines: 10,000 ÷ 2,400 = 4.17, rounded up; at the upper end of the interval it " in (
        found.words
    )
    assert "One run" not in found.words


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([run(16, 3100, p99=21)], "none of 1 load met the objectives"),
        ([run(16, 3100, limit="Locust took 90% of a core")], "the client was the limit of every load"),
        # All runs together met the objectives, and one of them missed.
        ([repeated(run(16, 0), [3100, 3000], [15, 30])], "1 load met the objectives by more than its runs differ"),
        ([repeated(run(16, 0, limit="late"), [3100, 3000])], "met the objectives, so 3,050 requests/s are a bound"),
    ],
)
def test_nothing_is_claimed_of_a_miss_or_where_the_client_was_the_limit(rows: list[Row], why: str) -> None:
    [found] = capacities(rows, SLO, need=10_000)
    assert (found.requests_per_second, found.machines) == (None, None)
    assert why in found.words


def test_each_worker_set_has_its_own_and_without_objectives_there_is_none() -> None:
    rows = [run(16, 3100), run(16, 5000, workers="embedded cpu:1x2"), run(64, 3000)]
    found = capacities(rows, SLO)
    assert [(one.workers, one.requests_per_second, one.need) for one in found] == [
        ("cpu:2", 3100, None),
        ("embedded cpu:1x2", 5000, None),
    ]
    assert capacities(rows, ()) == ()


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ("cpu:1", "1 CPU worker here serves"),
        ("gpu:2", "2 GPU workers here serve"),
        ("embedded cpu:2x1", "2 CPU workers of 1 thread of the embedded engine here serve"),
        ("127.0.0.1:8080", "The server at 127.0.0.1:8080 serves"),
    ],
)
def test_a_worker_set_in_words(workers: str, words: str) -> None:
    assert served_by(workers) == words


@given(st.floats(0.1, 1e6), st.floats(0.1, 1e6))
def test_so_many_machines_are_enough_and_one_fewer_is_not(need: float, rate: float) -> None:
    machines = machines_for(need, rate)
    assert machines is not None
    assert machines * rate >= need * (1 - 1e-6)
    assert machines == 1 or (machines - 1) * rate < need


def test_the_page_has_a_paragraph_of_each() -> None:
    found = capacities([run(16, 3100)], SLO, need=9_000)
    page = read(html(replace(REPORT, capacities=found)))
    assert found[0].words in page["Results"].texts
