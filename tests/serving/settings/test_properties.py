from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.serving.settings.properties import parse, render

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT.filter(bool), TEXT))
def test_what_is_rendered_is_parsed_back(settings: dict[str, str]) -> None:
    text = render(settings, "a comment")
    assert text.isascii()
    assert parse(text) == settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1\n# b=2\n! c=3\n\n  d = 4", {"a": "1", "d": "4"}),
        ("a : 1\nb 2\nc", {"a": "1", "b": "2", "c": ""}),
        ("a=1,\\\n   2\nb=3", {"a": "1,2", "b": "3"}),
        ("a=x\\\\\nb=2", {"a": "x\\", "b": "2"}),
        ("a\\=b=c\\u00e9\\td", {"a=b": "cé\td"}),
        ("a=1\na=2", {"a": "2"}),
        ("url=http://127.0.0.1:8080\r\nx=(?!)", {"url": "http://127.0.0.1:8080", "x": "(?!)"}),
        ("a=1\\", {"a": "1"}),
    ],
)
def test_parse_reads_as_java_does(text: str, expected: dict[str, str]) -> None:
    assert parse(text) == expected
