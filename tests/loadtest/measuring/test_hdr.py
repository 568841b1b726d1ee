"""The latency log, read by the Python port of HdrHistogram, which was written by others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.measuring.hdr import LatencyLog, encoded

TIMES = st.lists(st.floats(0.0, 3_600_000.0), min_size=1, max_size=300)  # ms, up to an hour
RESOLUTION = 0.001  # ms, below which times are not told apart


def read(path: Path) -> list[Any]:
    """The histograms of a log, in the order of its lines."""
    reader = HistogramLogReader(str(path), HdrHistogram(1_000, 3_600_000_000_000, 3))
    found = []
    while (one := reader.get_next_interval_histogram()) is not None:
        found.append(one)
    reader.close()
    return found


@given(times=TIMES)
def test_every_time_is_kept_to_three_digits(times: list[float]) -> None:
    histogram = HdrHistogram.decode(encoded(times).encode())
    kept = [
        one.value_iterated_to / 1e6
        for one in histogram.get_recorded_iterator()
        for _ in range(one.count_added_in_this_iter_step)
    ]
    for found, exact in zip(kept, sorted(times), strict=True):
        assert math.isclose(found, exact, rel_tol=1e-3, abs_tol=RESOLUTION)


@given(times=TIMES)
def test_the_counts_are_those_that_the_other_writer_makes(times: list[float]) -> None:
    theirs = HdrHistogram(1_000, 3_600_000_000_000, 3)
    for one in times:
        theirs.record_value(round(one * 1e6))
    ours = HdrHistogram.decode(encoded(times).encode())
    assert list(ours.counts) == list(theirs.counts)
    assert ours.get_total_count() == theirs.get_total_count()


def test_a_log_has_the_intervals_of_each_cell_by_its_tag(tmp_path: Path) -> None:
    log = LatencyLog(1_700_000_000.0)
    due = np.array([0.0, 0.4, 2.5])
    log.add("films-1.0 cpu:1 16 users", 1_700_000_002.5, 1.0, due, np.array([4.0, 8.0, 1500.0]))
    log.add("films-1.0 embedded cpu:1 5,000 requests/s", 1_700_000_010.0, 1.0, due[:1], np.array([2.0]))
    path = tmp_path / "latency.hlog"
    path.write_text(log.text())
    first, second, third = read(path)
    assert [one.get_tag() for one in (first, second, third)] == [
        *["films-1.0_cpu:1_16_users"] * 2,
        "films-1.0_embedded_cpu:1_5_000_requests/s",
    ]
    assert [one.get_total_count() for one in (first, second, third)] == [2, 1, 1]
    assert [one.get_start_time_stamp() for one in (first, second, third)] == [
        1_700_000_002_500,
        1_700_000_004_500,
        1_700_000_010_000,
    ]
    assert first.get_end_time_stamp() - first.get_start_time_stamp() == 1000
    assert math.isclose(second.get_max_value() / 1e6, 1500, rel_tol=1e-3)
    assert "(seconds since epoch)" in path.read_text()


def test_a_run_without_answers_has_no_line() -> None:
    log = LatencyLog(0.0)
    empty = np.array([])
    log.add("films", 1.0, 1.0, empty, empty)
    assert not [line for line in log.text().splitlines() if line.startswith("Tag=")]
