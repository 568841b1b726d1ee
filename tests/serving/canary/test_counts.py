"""What is counted while a canary runs, and what counts as the same answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.serving.canary.agreement import compare
from lexport.serving.canary.counts import Tally, bounds, bucket
from lexport.serving.embedded.statistics import added


@given(st.floats(0, 200))
def test_a_time_lies_within_its_bucket(seconds: float) -> None:
    lower, upper = bounds(bucket(seconds))
    assert lower * (1 - 1e-9) <= seconds <= upper * (1 + 1e-9)


def test_counts_of_processes_add_up() -> None:
    one, other = Tally(), Tally()
    one.stable.note(200, 0.001)
    one.canary.note(503, 0.0)
    other.stable.note(200, 0.002)
    other.stable.note(404, 0.001)
    other.compare(b'{"label":"a"}', b'{"label":"b"}')
    both = Tally.of(json.loads(json.dumps(added([one.to_json(), other.to_json()]))))
    assert (both.stable.answers, both.stable.errors, sum(both.stable.times)) == (3, 1, 2)
    assert (both.canary.answers, both.canary.errors, sum(both.canary.times)) == (1, 1, 0)
    assert (both.compared, both.agreed, dict(both.changes)) == (1, 0, {"a → b": 1})


def test_at_most_fifty_kinds_of_changes_are_kept() -> None:
    tally = Tally()
    for number in range(80):
        tally.compare(b'{"label":"a"}', json.dumps({"label": f"b{number}"}).encode())
    assert (tally.compared, len(tally.changes)) == (80, 50)


@pytest.mark.parametrize(
    ("stable", "canary", "agrees", "change"),
    [
        ({"label": "a", "scores": {"a": 0.9}}, {"label": "a", "scores": {"a": 0.5}}, True, ""),
        ({"label": "a"}, {"label": "b"}, False, "a → b"),
        ([{"label": "a"}, {"label": "c"}], [{"label": "a"}, {"label": "b"}], False, "c → b"),
        ([{"label": "a"}], [{"label": "a"}, {"label": "b"}], False, ""),
        ({"labels": [{"label": "a"}, {"label": "b"}]}, {"labels": [{"label": "b"}, {"label": "a"}]}, True, ""),
        ({"labels": []}, {"labels": [{"label": "b"}]}, False, "no label → b"),
        ({"vector": [1.0, 0.0]}, {"vector": [0.999, 0.02]}, True, ""),
        ({"vector": [1.0, 0.0]}, {"vector": [0.0, 1.0]}, False, ""),
        ({"vector": [0.0]}, {"vector": [0.0]}, True, ""),
        ({"vector": [1.0]}, {"vector": [1.0, 0.0]}, False, ""),
        ({"vector": [1.0]}, {"label": "a"}, False, ""),
        ({"outputs": [{"name": "label", "data": ["a"]}]}, {"outputs": [{"name": "label", "data": ["a"]}]}, True, ""),
        (
            {"outputs": [{"name": "label", "data": ["a"]}, {"name": "scores", "data": [0.1]}]},
            {"outputs": [{"name": "label", "data": ["b"]}, {"name": "scores", "data": [0.1]}]},
            False,
            "a → b",
        ),
        ({"of": "another handler"}, {"of": "another handler", "more": 1}, False, ""),
    ],
)
def test_answers_agree_by_labels_and_vectors(stable: Any, canary: Any, agrees: bool, change: str) -> None:
    assert compare(json.dumps(stable).encode(), json.dumps(canary).encode()) == (agrees, change)


def test_what_is_no_json_agrees_byte_by_byte() -> None:
    assert compare(b"ok", b"ok") == (True, "")
    assert compare(b"ok", b"no") == (False, "")
