"""What people see of an evaluation, in the terminal and on the page."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lexport.errors import InputError
from lexport.export.evaluate import evaluate
from lexport.reports import evaluation as evaluation_page
from lexport.reports import pages
from lexport.reports.evaluation_tables import confused, evaluation, line, verdict

from ..conftest import TASKS
from ..refusals import refused

EXCESS = {"of": "answers", "mean_score": 0.8, "share_right": 0.75, "excess": 0.05}


@pytest.fixture(scope="module")
def found(run_folder: Path) -> dict[str, Any]:
    return evaluate(run_folder, part="test", unknown_rates=[0.5]).to_json()


def screens(values: dict[str, Any]) -> str:
    screen = io.StringIO()
    console = Console(file=screen, width=120)
    for one in evaluation(values):
        console.print(one)
    return screen.getvalue()


def test_every_part_of_an_evaluation_has_its_screen(found: dict[str, Any]) -> None:
    shown = screens(found)
    for words in ("accuracy", "Confusion: true labels by row", "Brier score", "50%", "macro-F1"):
        assert words in shown


def test_many_labels_are_shown_by_the_pairs_confused_most(found: dict[str, Any]) -> None:
    names = [f"a label of some length {place}" for place in range(8)]
    matrix = [[5 + (row == column) * 20 + row for column in range(8)] for row in range(8)]
    shown = screens(found | {"labels": names, "confusion": matrix})
    assert "the 15 most frequent of 56 pairs" in shown
    assert confused(names, matrix)[0][:3] == (names[7], names[0], 12)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([0.02, 0.08], r"Overconfident by 5\.0 points \[2\.0, 8\.0\]"),
        ([-0.08, -0.02], r"Underconfident by 5\.0 points \[2\.0, 8\.0\]"),
        ([-0.01, 0.08], r"neither over- nor underconfident.*between -1\.0 and \+8\.0 points"),
    ],
)
def test_a_sentence_says_how_far_scores_can_be_trusted(ends: list[float], words: str) -> None:
    assert re.search(words, verdict(EXCESS | {"excess_interval": ends}))


def test_a_text_cannot_move_the_cursor() -> None:
    assert line("a\n b\t\x1b[2Jc") == r"a b \x1b[2Jc"


def test_the_page_loads_nothing_and_its_pictures_are_sound(found: dict[str, Any]) -> None:
    page = evaluation_page.html(found, "runs/topics")
    assert not re.search(r"<script|<link|<img|\b(src|href)=|https?:", page)
    pictures = [ET.fromstring(one) for one in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    assert [one.get("aria-label") for one in pictures] == ["Confusion matrix", "Reliability diagram"]
    cells = pictures[0].findall(".//rect")
    assert len(cells) == len(found["labels"]) ** 2


def test_what_users_wrote_is_escaped_on_the_page(found: dict[str, Any]) -> None:
    mistake = {"text": "<script>&", "truth": "<b>", "answer": "x", "score": 0.9, "truth_score": 0.1}
    mistake |= {"tokens": 1, "unknown": 0, "truncated": False}
    page = evaluation_page.html(found | {"mistakes": [mistake], "data": "<i>.csv"}, "<u>")
    for tag in ("<script>", "<b>", "<i>", "<u>"):
        assert tag not in page


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_screens_and_its_page(task_run: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    values = evaluate(task_run(name), unknown_rates=[0.3]).to_json()
    assert "With a share of the tokens replaced" in screens(values)
    evaluation_page.write(values, name, tmp_path / "page.html")
    assert "<h2>Unknown words</h2>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_page_has_a_name_of_its_own_and_a_place(tmp_path: Path) -> None:
    with refused(InputError, "LX-REPORT-001"):
        pages.check(tmp_path / "data.csv")
    (tmp_path / "folder.html").mkdir()
    with refused(InputError, "LX-REPORT-002"):
        pages.check(tmp_path / "folder.html")
    (tmp_path / "file").write_text("")
    with refused(InputError, "LX-FILE-004"):
        pages.check(tmp_path / "file" / "page.html")
    pages.check(tmp_path / "new" / "page.html")
