"""JSON from outside: what other readers may read otherwise is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.storage.strict_json import MAX_DEPTH, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=3), one, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_has_is_read(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b"NaN", "NaN is not a finite number"),
        (b"[-Infinity]", "-Infinity is not a finite number"),
        (b'{"rate": 1e999}', "1e999 is not a finite number"),
        (b"1" * 21, "21 digits, at most 20"),
        (b'{"a": 1, "a": 2}', "a key twice"),
        (b"[" * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1), "nests deeper than 32"),
        (b"[" * 100_000, "nests deeper than 32"),
    ],
)
def test_what_readers_read_otherwise_or_choke_on_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(content)


def test_values_are_counted_before_they_are_read() -> None:
    assert parse_json(b"[1, 2, 3]", most=3) == [1, 2, 3]
    with pytest.raises(ValueError, match="about 3 values, at most 2"):
        parse_json(b"[1, 2, and no JSON", most=2)
