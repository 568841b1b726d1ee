"""When a canary passes, when it fails, and when there are too few answers to tell."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.serving.canary import verdict
from lexport.serving.canary.counts import Tally, bounds, bucket
from lexport.serving.canary.verdict import (
    Limits,
    Verdict,
    difference,
    judge,
    least_for_latency,
    percentile,
    wilson,
)

from ...refusals import refused


def tally(
    canary: int,
    stable: int,
    *,
    errors: int = 0,
    stable_errors: int = 0,
    times: float = 1.0,
    agreed: int | None = None,
) -> Tally:
    """Answers of both, of which so many are errors; the canary takes `times` as long as 1 to 1.2 ms."""
    found = Tally()
    for side, count, wrong, factor in (
        (found.canary, canary, errors, times),
        (found.stable, stable, stable_errors, 1),
    ):
        for number in range(count):
            side.note(503 if number < wrong else 200, factor * (0.001 + 0.0002 * (number % 100) / 100))
    if agreed is not None:
        found.compared, found.agreed = canary, agreed
    return found


def states(verdict: Verdict) -> dict[str, str]:
    return {one.name: one.state for one in verdict.criteria}


def test_a_canary_as_good_as_the_default_passes_once_there_are_enough_answers() -> None:
    few = judge(tally(999, 9_000), Limits(), mirror=False)
    assert few.state == "undecided"
    assert states(few) == {"errors": "passed", "latency": "passed"}
    enough = judge(tally(1_000, 9_000), Limits(), mirror=False)
    assert enough.state == "passed"


def test_one_that_fails_every_request_is_seen_after_twenty() -> None:
    assert judge(tally(19, 180, errors=19), Limits(), mirror=False).state == "undecided"
    failed = judge(tally(20, 180, errors=20), Limits(), mirror=False)
    assert failed.state == "failed"
    assert states(failed)["errors"] == "failed"


def test_errors_that_both_have_are_no_reason() -> None:
    assert judge(tally(8_000, 72_000, errors=400, stable_errors=3_600), Limits(), mirror=False).state == "passed"
    assert judge(tally(8_000, 72_000, errors=800, stable_errors=3_600), Limits(), mirror=False).state == "failed"


def test_a_slow_one_fails_and_one_at_the_limit_is_undecided() -> None:
    assert states(judge(tally(1_000, 9_000, times=3.0), Limits(), mirror=False))["latency"] == "failed"
    assert states(judge(tally(1_000, 9_000, times=1.5), Limits(), mirror=False))["latency"] == "undecided"
    assert states(judge(tally(1_000, 9_000, times=1.5), Limits(latency=2.0), mirror=False))["latency"] == "passed"


def test_a_mirrored_one_must_agree() -> None:
    assert judge(tally(1_000, 9_000, agreed=985), Limits(), mirror=True).state == "passed"
    assert judge(tally(1_000, 9_000, agreed=900), Limits(), mirror=True).state == "failed"
    assert states(judge(tally(1_000, 9_000, agreed=955), Limits(), mirror=True))["agreement"] == "undecided"


def test_limits_that_so_few_answers_cannot_show_are_refused() -> None:
    with refused(InputError, "LX-SERVE-193", "500", "657", "--requests 657"):
        Limits(least=500)
    Limits(least=657)
    with refused(InputError, "LX-SERVE-193", "99.90%", "6,629"):
        Limits(agreement=0.999)
    for wrong in ({"errors": 0.0}, {"latency": 0.5}, {"agreement": 1.0}, {"least": 0}):
        with refused(InputError, "LX-SERVE-192"):
            Limits(**wrong)


def test_the_least_numbers_are_those_from_which_a_criterion_can_pass() -> None:
    limits = Limits()
    for count, mirror, name in (
        (limits.least_for_errors, False, "errors"),
        (limits.least_for_agreement, True, "agreement"),
    ):
        assert states(judge(tally(count, 100_000, agreed=count), limits, mirror=mirror))[name] == "passed"
        short = judge(tally(count - 1, 100_000, agreed=count - 1), limits, mirror=mirror)
        assert states(short)[name] == "undecided"
    assert math.isinf(percentile(tally(least_for_latency() - 2, 0).canary.times)[1])
    assert not math.isinf(percentile(tally(least_for_latency(), 0).canary.times)[1])


def test_newcombes_interval_is_that_of_his_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_Z", NormalDist().inv_cdf(0.975))
    assert difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference(1, 1, 0, 0) == (-1.0, 1.0)


@given(st.integers(1, 10**6).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilsons_bounds_are_where_the_score_test_just_rejects(counts: tuple[int, int]) -> None:
    count, total = counts
    z = NormalDist().inv_cdf(0.995)
    for bound in wilson(count, total):
        deviation = abs(count / total - bound)
        assert deviation == pytest.approx(z * math.sqrt(bound * (1 - bound) / total), rel=1e-6, abs=1e-7)


@given(st.lists(st.floats(1e-4, 5.0), min_size=150, max_size=400))
def test_the_interval_of_the_percentile_holds_that_of_the_sample(times: list[float]) -> None:
    found = Tally()
    for seconds in times:
        found.canary.note(200, seconds)
    low, high = percentile(found.canary.times)
    middle = sorted(times)[math.ceil(0.95 * len(times)) - 1]
    assert low <= middle * (1 + 1e-9)
    assert middle <= high * (1 + 1e-9)
    assert bounds(bucket(middle))[1] / bounds(bucket(middle))[0] == pytest.approx(2 ** (1 / 16)) or middle <= 50e-6
