"""What people see of answers, for every task."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from lexport.reports import tables as screens

COUNTS = {"tokens": 3, "unknown": 1, "truncated": False}


def shown(asked: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells of the table's lines, rules left out."""
    screen = io.StringIO()
    Console(file=screen, width=200).print(screens.answers(asked, found))
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


WORDS = st.text(alphabet="ab é汉", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(
    heads=st.lists(WORDS, min_size=2, max_size=6),
    rows=st.lists(st.lists(WORDS, min_size=6, max_size=6), min_size=1, max_size=4),
    width=st.integers(30, 140),
)
def test_no_word_is_cut_on_a_screen_of_any_width(heads: list[str], rows: list[list[str]], width: int) -> None:
    table = screens.new_table(*heads)
    for row in rows:
        table.add_row(*row[: len(heads)])
    screen = io.StringIO()
    Console(file=screen, width=width).print(table)
    found = screen.getvalue()
    assert "…" not in found
    assert all(cell_len(line) <= width for line in found.splitlines())
    words = Counter(found.split())
    assert not Counter(word for row in rows for cell in row[: len(heads)] for word in cell.split()) - words


def test_where_a_table_has_no_room_each_row_is_a_paragraph() -> None:
    table = screens.new_table("variant", "accuracy", "largest Δ", "gate")
    table.add_row("trained model", "0.8031", "", "")
    table.add_row("torchscript-int8-dynamic", "0.8031", "5.9e-12", "passed")
    screen = io.StringIO()
    Console(file=screen, width=40).print(table)
    assert [line.rstrip() for line in screen.getvalue().splitlines()] == [
        "",
        " trained model  accuracy 0.8031",
        " torchscript-int8-dynamic",
        "    accuracy 0.8031  largest Δ 5.9e-12",
        "    gate passed",
        "",
    ]
