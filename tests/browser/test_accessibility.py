"""Every kind of page against the Web Content Accessibility Guidelines, levels A and AA, as axe-core judges them.

Each is judged on a desktop and on a phone, in light and in dark colours: what scrolls on a phone alone must be
reachable with the keyboard too. `make test` looks at each size and at each set of colours once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.export.report import report as reported
from lexport.loadtest.report import write as write_loadtest
from lexport.loadtest.side_by_side import compare as compare_loadtests
from lexport.loadtest.side_by_side import write as write_comparison
from lexport.reports import diagnosis, evaluation, overview
from lexport.reports.vectors import word_map

from ..reports.samples import CLASSIFY, JOINT, MULTILABEL, VECTOR
from ..reports.test_diagnosis import FOUND
from ..reports.test_word_map import made
from . import axe
from .devtools import Page
from .samples import open_loops, report, rows
from .visits import ask, compare, follow

LOOKS = {"usual": [(1280, "light"), (390, "dark")], "others": [(1280, "dark"), (390, "light")]}
Judged = Callable[..., None]
WORDS = ["goal", "rain", *(f"word{place}" for place in range(300))]

pytestmark = pytest.mark.skipif(axe.source() is None, reason=f"{axe.PACKAGE} is not installed; the extra dev has it")


@pytest.fixture(params=["usual", pytest.param("others", marks=pytest.mark.long)])
def judged(request: pytest.FixtureRequest) -> Judged:
    """Nothing is violated however it is looked at, and the rules that the page gives cause for were tried."""

    def judge(page: Page, *expected: str) -> None:
        for width, colours in LOOKS[request.param]:
            violations, followed = axe.check(page.size(width).show_as(colours=colours))
            assert violations == [], (width, colours)
            assert followed >= {"color-contrast", "document-title", "html-has-lang", *expected}

    return judge


# Of the pages of `lexport ui`, the links that lead to each from the first, and what it must have been judged by.
UI: dict[str, tuple[list[str], str]] = {
    "library": ([], "select-name"),
    "run": (["runs/topics"], "label"),
    "archive": (["topics-1.0.mar"], "label"),
    "evaluation": (["runs/topics", "Metrics, confusion"], "link-name"),
    "report": (["runs/topics", "The whole report"], "svg-img-alt"),
    "map": (["runs/topics", "A map of its words"], "label"),
    "load test": (["loads/today"], "svg-img-alt"),
}


@pytest.mark.parametrize("kind", UI)
def test_a_page_of_the_ui(page: Page, ui_address: str, kind: str, judged: Judged) -> None:
    links, expected = UI[kind]
    page.open(ui_address)
    for link in links:
        follow(page, link)
    judged(page, expected)


@pytest.mark.parametrize("name", ["runs/topics", "topics-1.0.mar"])
def test_answers_and_what_words_add(page: Page, ui_address: str, name: str, judged: Judged) -> None:
    follow(page.open(ui_address), name)
    ask(page, "the goal by zzzq in the rain")
    judged(page, "label")


@pytest.mark.long
def test_a_comparison_with_answers_of_both(page: Page, ui_address: str, judged: Judged) -> None:
    compare(page.open(ui_address))
    ask(page, "the goal by zzzq in the rain")
    judged(page, "label")


def test_the_texts_that_one_alone_has_right(page: Page, ui_address: str, judged: Judged) -> None:
    compare(page.open(ui_address))
    follow(page, "Texts that one has right")
    assert page.evaluate("document.querySelectorAll('td.long').length")
    judged(page)


def test_two_load_tests_of_the_ui(page: Page, ui_address: str, judged: Judged) -> None:
    compare(page.open(ui_address), form=1)
    judged(page, "svg-img-alt")


def test_the_texts_behind_a_cell_of_the_confusion(page: Page, ui_address: str, judged: Judged) -> None:
    follow(page.open(ui_address), "runs/topics")
    follow(page, "Metrics, confusion")
    page.evaluate("document.querySelector('svg a').dispatchEvent(new MouseEvent('click'))")
    page.until("location.href.includes('/texts/') && document.readyState == 'complete'")
    judged(page)


def test_what_cannot_be_shown(page: Page, ui_address: str, judged: Judged) -> None:
    judged(page.open(f"{ui_address}item/none"))


@pytest.fixture(scope="module")
def run_report(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `lexport report RUN --text … --loadtest …` writes."""
    folder = tmp_path_factory.mktemp("report")
    write_loadtest(report(rows()), folder / "load", "")
    found = reported(run_folder, texts=["a goal in the rain zzzq"], loadtest=folder / "load")
    path = folder / "report.html"
    overview.write(found, path)
    return path


def test_the_report_of_a_run_with_the_texts_behind_a_cell(page: Page, run_report: Path, judged: Judged) -> None:
    page.open(run_report)
    page.evaluate("document.querySelector('svg a').dispatchEvent(new MouseEvent('click'))")
    page.until("document.querySelector('.behind:target') != null")
    judged(page, "svg-img-alt", "link-name")


@pytest.mark.long
def test_the_report_of_an_archive(
    page: Page, archive_of: Callable[[str], Path], tmp_path: Path, judged: Judged
) -> None:
    overview.write(reported(archive_of("onnx-int8")), tmp_path / "report.html")
    judged(page.open(tmp_path / "report.html"))


FILES: dict[str, Callable[[Path], object]] = {
    "evaluation of labels": lambda path: evaluation.write(CLASSIFY, "runs/topics", path),
    "evaluation of sets of labels": lambda path: evaluation.write(MULTILABEL, "runs/topics", path),
    "evaluation of vectors": lambda path: evaluation.write(VECTOR, "runs/topics", path),
    "evaluation of texts with images": lambda path: evaluation.write(JOINT, "runs/topics", path),
    "diagnosis": lambda path: path.write_text(diagnosis.html(FOUND.to_json()), encoding="utf-8"),
    "map": lambda path: path.write_text(word_map.page(made(WORDS)), encoding="utf-8"),
    "load test": lambda path: write_loadtest(report(rows()), path.parent / "out", ""),
    "load test, several archives": lambda path: write_loadtest(
        report(rows(("films-torchscript-fp32-dynamic", "films-onnx-int8-text"))), path.parent / "out", ""
    ),
    "load test, a ramp": lambda path: write_loadtest(open_loops("ramp"), path.parent / "out", ""),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_page_that_is_a_file(page: Page, tmp_path: Path, kind: str, judged: Judged) -> None:
    path = tmp_path / "page.html"
    FILES[kind](path)
    judged(page.open(path if path.is_file() else tmp_path / "out" / "report.html"))


@pytest.mark.long
def test_two_load_tests_side_by_side(page: Page, tmp_path: Path, judged: Judged) -> None:
    write_loadtest(report(rows(users=(1, 16))), tmp_path / "a", "")
    write_loadtest(report(rows(("films-1.1",), users=(16, 64))), tmp_path / "b", "")
    write_comparison(compare_loadtests(tmp_path / "a", tmp_path / "b"), tmp_path / "both.html")
    judged(page.open(tmp_path / "both.html"), "svg-img-alt")


def test_a_word_that_was_found_on_a_map(page: Page, tmp_path: Path, judged: Judged) -> None:
    path = tmp_path / "map.html"
    path.write_text(word_map.page(made(WORDS)), encoding="utf-8")
    page.open(path)
    page.evaluate("document.querySelector('#wanted').focus()")
    page.send("Input.insertText", text="rain")
    page.evaluate("document.querySelector('#matches button').click()")
    assert page.evaluate("document.querySelector('#word').textContent") == "rain"
    judged(page, "button-name")


BAD = """<!DOCTYPE html><html lang="en"><title>bad</title><p style="color:#bbb;background:#fff">faint</p>
<input><img src="data:,"><div style="overflow:auto;height:20px"><p>a<p>b<p>c</div>"""


def test_a_page_that_is_not_accessible_is_told_so(page: Page, tmp_path: Path) -> None:
    """So that the other tests can trust it."""
    path = tmp_path / "bad.html"
    path.write_text(BAD)
    violations, _ = axe.check(page.open(path))
    assert {"color-contrast", "label", "image-alt"} <= {one.split()[0] for one in violations}
