"""Which requests a canary gets: a share of them, the same ones each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.serving.canary.rule import Chooser, Rule

from ...refusals import refused


@given(st.text(min_size=1), st.floats(0.001, 0.9), st.floats(0.001, 0.9))
def test_a_value_goes_to_the_same_version_each_time_and_stays_with_a_larger_share(
    value: str, one: float, other: float
) -> None:
    smaller, larger = (Chooser(Rule("m", "2.0", share)) for share in sorted((one, other)))
    assert smaller.is_chosen(value) == Chooser(Rule("m", "2.0", min(one, other))).is_chosen(value)
    assert larger.is_chosen(value) or not smaller.is_chosen(value)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_the_share_is_met_with_ids_and_without(share: float) -> None:
    chooser = Chooser(Rule("m", "2.0", share))
    with_ids = sum(chooser.is_chosen(f"id-{number}") for number in range(5_000)) / 5_000
    assert with_ids == pytest.approx(share, abs=0.02)
    without = sum(chooser.is_chosen(None) for _ in range(5_000)) / 5_000
    assert without == pytest.approx(share, abs=0.001)


def test_another_version_asks_other_users() -> None:
    first, second = (Chooser(Rule("m", version, 0.1)) for version in ("2.0", "3.0"))
    both = sum(first.is_chosen(f"u{number}") and second.is_chosen(f"u{number}") for number in range(5_000))
    assert both / 5_000 == pytest.approx(0.01, abs=0.005)


def test_what_cannot_be_a_rule_is_refused() -> None:
    for share in (0.0, 0.95, -1.0, float("nan")):
        with refused(InputError, "LX-SERVE-190", "--share 10%"):
            Rule("m", "2.0", share)
    for header in ("", "X-User", "a b", "a\r\nb"):
        with refused(InputError, "LX-SERVE-191", repr(header)):
            Rule("m", "2.0", 0.1, header)
