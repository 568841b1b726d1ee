"""What people see of answers, for every task."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from lexport.reports import tables as screens

COUNTS = {"tokens": 3, "unknown": 1, "truncated": False}


def shown(given: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells of the table's lines, rules left out."""
    screen = io.StringIO()
    Console(file=screen, width=200).print(screens.answers(given, found))
    return [line.split() for line in screen.getvalue().splitlines() if any(letter.isalnum() for letter in line)]


def test_a_label_with_its_score() -> None:
    answer = {"label": "good", "score": 0.75, "scores": {"good": 0.75, "bad": 0.25}, **COUNTS, "truncated": True}
    assert shown(["fine"], [answer]) == [
        ["text", "label", "score", "tokens", "unknown"],
        ["'fine'", "good", "0.7500", "3+", "1"],
    ]


def test_every_label_on_a_line_of_its_own_or_none() -> None:
    labels = [{"label": "good", "score": 0.75}, {"label": "long", "score": 0.5}]
    found = [{"labels": labels, "scores": {}, **COUNTS}, {"labels": [], "scores": {}, **COUNTS}]
    assert shown(["fine", "odd"], found)[1:] == [
        ["'fine'", "good", "0.7500", "3", "1"],
        ["long", "0.5000"],
        ["'odd'", "none", "3", "1"],
    ]


def test_the_first_values_of_a_vector_and_how_many_there_are() -> None:
    found = [{"vector": [0.5, -0.25, 0.0, 1.0, 0.125], **COUNTS}]
    assert shown(["x" * 100], found) == [
        ["text", "vector", "values", "tokens", "unknown"],
        ["'" + "x" * 59 + "…'", "0.5000", "-0.2500", "0.0000", "1.0000", "…", "5", "3", "1"],
    ]


def test_images_have_no_tokens() -> None:
    found = [{"vector": [0.5, -0.25]}]
    assert shown(["cat.png"], found) == [["image", "vector", "values"], ["'cat.png'", "0.5000", "-0.2500", "2"]]


def drawn(table: screens.Table, width: int) -> list[str]:
    """The lines of a table on a screen of this width, without empty ones."""
    screen = io.StringIO()
    Console(file=screen, width=width).print(table)
    return [line.rstrip() for line in screen.getvalue().splitlines() if line.strip()]


def measured() -> screens.Table:
    table = screens.new_table("variant", "label flips", "size", "median time")
    table.add_row("torchscript-int8-dynamic", "1,234", "17.3 MB", "0.168")
    return table


def test_a_table_that_fits_is_drawn_as_ever() -> None:
    assert drawn(measured(), 80)[0] == "  variant                    label flips      size   median time"


def test_on_a_narrow_screen_names_and_heads_are_wrapped_and_figures_are_whole() -> None:
    """What failed before: the figures were cut, 17.3… in the place of 17.3 MB."""
    assert drawn(measured(), 50) == [
        "                        label             median",
        "  variant               flips      size     time",
        " ────────────────────────────────────────────────",
        "  torchscript-int8-dy   1,234   17.3 MB    0.168",
        "  namic",
    ]


def test_where_figures_would_be_cut_each_row_has_names_with_values() -> None:
    assert drawn(measured(), 34) == [
        " torchscript-int8-dynamic",
        "   label flips 1,234",
        "   size 17.3 MB",
        "   median time 0.168",
    ]
