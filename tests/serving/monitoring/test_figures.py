"""Figures of a metrics address: what is summed, what is estimated, and what is left unknown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.runtime.metrics import COUNTERS
from lexport.serving.embedded.addresses.metrics import render
from lexport.serving.embedded.statistics import SECONDS, Statistics
from lexport.serving.monitoring.figures import Counted, Figures, parse, quantile, recent

TORCHSERVE = """# HELP ts_inference_requests_total Torchserve prometheus counter metric with unit: Count
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="reviews",model_version="default",hostname="h",} 5.0
ts_inference_requests_total{model_name="reviews",model_version="1.0",hostname="h",} 2.0
ts_inference_requests_total{model_name="other",model_version="1.0",hostname="h",} 70.0
# TYPE lexport_requests counter
lexport_requests{ModelName="reviews",ModelVersion="1.0",Level="Model",Hostname="h",} 6.0
# TYPE lexport_tokens counter
lexport_tokens{ModelName="reviews",ModelVersion="1.0",Hostname="h",} 40.0
# TYPE lexport_unknown_tokens counter
lexport_unknown_tokens{ModelName="reviews",ModelVersion="1.0",Hostname="h",} 10.0
"""


def test_a_model_of_lexport_counts_by_version_on_torchserve_which_has_no_histogram() -> None:
    counted = Figures(parse(TORCHSERVE)).of("reviews", "1.0", own=True, alone=False)
    assert counted == Counted(6.0, 40.0, 10.0)
    assert counted.to_json() == {"p50_seconds": None, "p99_seconds": None, "unknown_share": 0.25}


def test_another_model_has_torchserves_count_if_it_is_the_only_version() -> None:
    figures = Figures(parse(TORCHSERVE))
    assert figures.of("reviews", "1.0", own=False, alone=True).requests == 7.0
    assert figures.of("reviews", "1.0", own=False, alone=False).requests is None


def test_a_version_without_a_request_has_0_and_a_silent_address_nothing() -> None:
    assert Figures(parse(TORCHSERVE)).of("reviews", "2.0", own=True, alone=False).requests == 0.0
    assert Figures().of("reviews", "1.0", own=True, alone=True) == Counted(None, 0.0, 0.0)


@given(st.lists(st.floats(min_value=1e-5, max_value=9.9), min_size=1), st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(times: list[float], share: float) -> None:
    statistics = Statistics()
    for seconds in times:
        statistics.latency.add(seconds)
    statistics.statuses[200] = len(times)
    handler = dict.fromkeys(COUNTERS, 0)
    models = {"topics 1.0": {"statistics": statistics.to_json(), "handler": handler, "texts": {}, "waiting": 0}}
    text = render({"models": models}, 1, 0).decode()
    counted = Figures(parse(text)).of("topics", "1.0", own=True, alone=True)
    assert list(counted.buckets[-1]) == [math.inf, len(times)]
    exact = sorted(times)[math.ceil(share * len(times)) - 1]
    upper = next(bound for bound in SECONDS if exact <= bound)
    lower = max((bound for bound in SECONDS if bound < upper), default=0.0)
    found = quantile(counted.buckets, share)
    assert found is not None
    assert lower <= found <= upper


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    assert quantile(((1.0, 1.0), (10.0, 1.0), (math.inf, 100.0)), 0.99) == 10.0
    assert quantile(((1.0, 0.0), (math.inf, 0.0)), 0.5) is None
    assert quantile((), 0.5) is None


def test_between_two_looks_only_what_came_counts() -> None:
    before = Counted(100.0, 1_000.0, 0.0, ((0.001, 100.0), (0.01, 100.0), (math.inf, 100.0)))
    now = Counted(150.0, 1_100.0, 50.0, ((0.001, 100.0), (0.01, 150.0), (math.inf, 150.0)))
    found = recent(now, before, 2.0)
    assert found == {
        "seconds": 2.0,
        "requests_per_second": 25.0,
        "p50_seconds": pytest.approx(0.0055),
        "p99_seconds": pytest.approx(0.00991),
        "unknown_share": 0.5,
    }


def test_a_first_look_and_counters_that_began_again_have_no_rates() -> None:
    now = Counted(3.0, 9.0, 1.0)
    assert recent(now, None, 2.0) is None
    assert recent(now, Counted(4.0, 9.0, 1.0), 2.0) is None
    assert recent(now, Counted(None, 0.0, 0.0), 2.0) is None
