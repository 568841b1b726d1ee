"""Which answers count, and what is said of the others."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.driver.answers import Expectation, found, parse_path

ANSWER = {"predictions": [{"label": "a", "score": 0.5}, {"label": None}], "top label": {"x": 1}, "empty": []}


@pytest.mark.parametrize(
    ("path", "has"),
    [
        ("$", True),
        ("$.predictions", True),
        ("$.predictions[0].label", True),
        ("$.predictions[1].label", False),  # null is no value
        ("$.predictions[-1]", True),
        ("$.predictions[2]", False),
        ("$.predictions[*].label", True),
        ("$['top label'].x", True),
        ('$["top label"]["x"]', True),
        ("$.*", True),
        ("$.empty[*]", False),
        ("$.empty", True),
        ("$.nothing", False),
        ("$.predictions.label", False),
        ("$[0]", False),
    ],
)
def test_a_json_path_finds_a_value_or_not(path: str, has: bool) -> None:
    assert found(ANSWER, parse_path(path)) is has
    problem = Expectation(path).fault(200, json.dumps(ANSWER).encode())
    assert problem == (None if has else f"no {path} in the answer")


@pytest.mark.parametrize("path", ["label2", "$.", "$[", "$..a", "$.a[?(@.b)]", "$[1:2]", "", "a.b", "$ .a"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"is not understood; expected label, status, or a JSONPath"):
        Expectation(path)


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1), st.integers())
def test_any_value_is_found_where_it_is(names: list[str], value: int) -> None:
    answer: object = value
    for name in reversed(names):
        answer = {name: answer}
    assert found(answer, parse_path("$" + "".join(f".{name}" for name in names)))
    assert found(answer, parse_path("$" + "".join(f"[{name!r}]" for name in names)))
    assert not found(answer, parse_path("$" + "".join(f".{name}" for name in names) + ".more"))


@pytest.mark.parametrize(
    ("words", "status", "content", "problem"),
    [
        ("label", 200, '{"label": "a"}', None),
        ("label", 200, '[{"label": "a"}, {"labels": []}]', None),
        ("label", 200, '[{"label": "a"}, {}]', "no label or vector in the answer"),
        ("label", 200, "[]", "no label or vector in the answer"),
        ("label", 202, '{"label": "a"}', "HTTP 202"),
        ("status", 204, "", None),
        ("status", 200, "<html>", None),
        ("status", 502, "<html>", "HTTP 502, not JSON"),
        ("status", 503, '{"type": "ServiceUnavailableException"}', "HTTP 503 ServiceUnavailableException"),
        ("label", 429, '{"code": "LX-HTTP-117"}', "HTTP 429 LX-HTTP-117"),
        ("label", 500, '{"code": 500}', "HTTP 500"),
        ("$.label", 200, "<html>", "HTTP 200, not JSON"),
        ("$.label", 500, '{"label": "a"}', "HTTP 500"),
        ("$.label", 201, '{"label": "a"}', None),
    ],
)
def test_an_answer_counts_or_is_named(words: str, status: int, content: str, problem: str | None) -> None:
    assert Expectation(words).fault(status, content.encode()) == problem


def test_a_bad_request_counts_where_it_is_refused() -> None:
    assert Expectation("label").fault(400, b"no", bad=True) is None
    assert Expectation("status").fault(200, b"{}", bad=True) == "HTTP 200 to a bad request"
    assert Expectation("$.a").fault(500, b"{}", bad=True) == "HTTP 500 to a bad request"
