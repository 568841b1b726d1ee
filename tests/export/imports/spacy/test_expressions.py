"""Which regular expressions of a tokenizer may take a text time without bound."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.export.imports.spacy.expressions import problem_of


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(a+)+$", r"(a|a)*b", r"(\w+\s?)*$", r"^(a|ab|b)*$", r"(?:[a-z]+)*1", r"(?:(?:X..)+)+", r"x(?=(a+)+b)c"),
        *(r"(?<!a)(?:ab|a|b)+c", r"(?i)(?:[a-z]+K)*", r"(?:a{1,9}){1,9}b", r"(?:a+?)+?b", r"(?:.|\n|a)*b"),
    ],
)
def test_exponentially_many_ways_are_seen(pattern: str) -> None:
    assert problem_of(pattern, 5) == "there are exponentially many ways to match a text in"


@pytest.mark.parametrize("pattern", [r"(a*)*", r"(a?){25}a{25}", r"(?:a|b*)+", r"(?:a{0,9}){0,9}b"])
def test_repeating_what_may_be_empty_is_seen(pattern: str) -> None:
    assert problem_of(pattern, 5) == "it repeats what may be empty"


@pytest.mark.parametrize(
    ("pattern", "degree"),
    [
        *[(r"\w+-\w+", 0), (r"(?:[a-z]+\.)+com", 0), (r"(?:ab|a)*c", 0), (r"(?:\d{1,3}\.){3}\d{1,3}$", 0)],
        *[(r"a*a*b", 1), (r".*foo.*bar", 1), (r"\S*\S*\S*$", 2), (r"(?i)a+b*A+", 1), ("a?" * 3, 2), ("", 0)],
    ],
)
def test_repetitions_that_share_a_text_are_counted(pattern: str, degree: int) -> None:
    assert problem_of(pattern, degree) is None
    if degree:
        assert problem_of(pattern, degree - 1) == f"{degree + 1} repetitions behind one another read the same text"


@pytest.mark.parametrize(
    ("pattern", "told"),
    [(r"(a)\1", "refers to another part"), ("a" * 200_000, "200,000 characters"), ("(?:a{8}){8}" * 400, "parts")],
)
def test_what_is_not_looked_at_is_told(pattern: str, told: str) -> None:
    assert told in (problem_of(pattern, 2) or "")


_EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", r"\w", "a?", "a+", "b*"]),
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})")
        | st.tuples(inner, st.sampled_from(["+", "*", "?", "{2}", "{1,3}"])).map(lambda one: f"(?:{one[0]}){one[1]}")
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(pattern=_EXPRESSIONS, text=st.text("ab", min_size=1, max_size=3))
def test_what_is_accepted_takes_little_time(pattern: str, text: str) -> None:
    if problem_of(pattern, 1) is None:
        before = time.process_time()
        re.compile(f"^{pattern}$").search(text * 30 + "!")
        # Of the cube of 90 characters some microseconds each; 2 to the power of 30 takes minutes.
        assert time.process_time() - before < 5
