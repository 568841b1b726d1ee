"""Which candidates there are, and in what order they are tried."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lexport.export.archive.batching import Batches
from lexport.loadtest.tuning.space import Served, candidates, default_of, server_of

from .surface import DEEP, REVIEWS

BOTH = ("torchserve", "embedded")


def test_the_default_is_what_serve_does_and_comes_first() -> None:
    found = candidates([REVIEWS, DEEP], BOTH, cores=2)
    assert str(found[0]) == "reviews-1.0 on torchserve cpu:2, batches of 64, 1 ms"
    assert found[0] == default_of(REVIEWS, "torchserve", 2)
    assert str(candidates([REVIEWS], ["embedded"], 8)[0]) == "reviews-1.0 on embedded cpu:4, batches of 64"


def test_on_two_cores_a_small_model_has_sixteen_candidates() -> None:
    found = candidates([REVIEWS], BOTH, cores=2)
    assert len(found) == len(set(found)) == 16
    assert {one.batch_delay for one in found if one.engine == "embedded"} == {0}
    assert {one.batch_delay for one in found if one.batch_size == 1} == {0, 1}  # a batch of one never waits
    assert {one.threads for one in found} == {None}


def test_threads_are_tried_of_models_that_gain_by_them() -> None:
    found = candidates([DEEP], ["torchserve"], cores=4)
    assert {one.worker_set for one in found} == {"cpu:1", "cpu:2", "cpu:4", "cpu:1x1", "cpu:2x1"}


def test_batches_and_workers_that_an_archive_fixes_stay() -> None:
    fixed = replace(REVIEWS, batches=Batches(16, 50), can_change=False, workers=3)
    found = candidates([fixed], ["torchserve"], cores=4)
    assert [str(one) for one in found] == ["reviews-1.0 on torchserve cpu:3, batches of 16, 50 ms"]


def test_a_delay_is_a_difference_only_where_both_wait() -> None:
    default = default_of(REVIEWS, "torchserve", 2)
    alone = replace(default, batch_size=1)
    assert default.differences(replace(default, batch_delay=5)) == ["batch_delay"]
    assert default.differences(replace(default, engine="embedded", batch_delay=0)) == ["engine"]
    assert default.differences(replace(alone, batch_delay=100)) == ["batch_size"]
    assert alone.differences(replace(alone, batch_delay=100)) == []


@given(st.lists(st.sampled_from([REVIEWS, DEEP]), unique=True, min_size=1), st.integers(1, 32))
def test_candidates_of_one_server_follow_one_another_and_the_first_ones_are_spread(
    archives: list[Served], cores: int
) -> None:
    found = candidates(archives, BOTH, cores)
    servers = [server_of(one) for one in found]
    changes = sum(one != other for one, other in pairwise(servers))
    assert changes == len(set(servers)) - 1
    heads = list(dict.fromkeys(servers))
    second = next(one for one in found if server_of(one) == heads[1])
    assert second.engine != found[0].engine
