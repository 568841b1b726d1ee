"""Tables in notebooks."""

from __future__ import annotations

import re

from lexport.reports import notebook

from ..hostile import EVIL, check

LEFT = 'style="text-align:left"'


def test_facts_are_a_title_and_a_row_for_each() -> None:
    assert re.sub(
        r"\n+", "", notebook.facts("Run <x>", {"recipe": "bag", "accuracy": 0.123456, "parameters": 7})
    ) == (
        f"<table><caption {LEFT}><b>Run &lt;x&gt;</b></caption><tbody>"
        f"<tr><th {LEFT}>recipe</th><td {LEFT}>bag</td></tr>"
        f'<tr><th {LEFT}>accuracy</th><td style="text-align:right">0.1235</td></tr>'
        f"<tr><th {LEFT}>parameters</th><td {LEFT}>7</td></tr>"
        "</tbody></table>"
    )


def test_a_share_has_a_bar_of_its_length() -> None:
    text = notebook.table(
        ("text", "score", "other"), [("a", 0.25, 0.5), ("b", 7.0, 1.0)], shares=frozenset({"score"})
    )
    assert re.sub(r"\n+", "", text) == (
        f"<table><thead><tr><th {LEFT}>text</th><th {LEFT}>score</th><th {LEFT}>other</th></tr></thead><tbody>"
        f'<tr><td {LEFT}>a</td><td style="text-align:right;background:linear-gradient(to right,#4a90d955 25.0%,'
        'transparent 25.0%)">0.25</td><td style="text-align:right">0.5</td></tr>'
        f'<tr><td {LEFT}>b</td><td style="text-align:right;background:linear-gradient(to right,#4a90d955 100.0%,'
        'transparent 100.0%)">7</td><td style="text-align:right">1</td></tr>'
        "</tbody></table>"
    )


def test_fifty_answers_are_shown_and_the_others_counted() -> None:
    assert notebook.table(("text",), [["a"]] * 50).count("<td") == 50
    assert "more" not in notebook.table(("text",), [["a"]] * 50)
    text = notebook.table(("text",), [["a"]] * 1_051)
    assert text.count("<td") == 50
    assert text.endswith("<p>and 1,001 more</p>\n")


def test_names_and_values_from_outside_are_text() -> None:
    hostile = f"{EVIL}\"'><img src=x>"
    for text in (notebook.facts(hostile, {hostile: hostile}), notebook.table((hostile,), [[hostile]])):
        check(text)
        assert not re.search(r"<(img|script)", text)
        assert r"x\x1b[2J" in text
