"""The page of `lexport report` in a browser: from a cell of the confusion matrix to its texts, without a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.export.report import write_report

from .devtools import Page
from .looks import boxes, faint, fits


@pytest.fixture(scope="module")
def found(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(run_folder, path)
    return path


def shown(page: Page) -> list[str]:
    """The headings of the lists of texts that can be seen."""
    return [one["text"] for one in boxes(page, ".behind h3") if one["width"]]


def test_a_click_on_a_cell_shows_its_texts_and_a_link_hides_them(page: Page, found: Path) -> None:
    page.open(found)
    assert shown(page) == []
    cells = page.evaluate("[...document.querySelectorAll('svg a')].map(one => one.getAttribute('aria-label'))")
    assert cells
    for place, cell in enumerate(cells):
        # "sport answered as kitchen: 3 (5.0%)"
        names, _, counted = cell.rpartition(": ")
        page.evaluate(f"document.querySelectorAll('svg a')[{place}].dispatchEvent(new MouseEvent('click'))")
        page.until("document.querySelector('.behind:target') != null")
        assert shown(page) == [names.replace(" answered as ", ", answered as ")]
        count = int(counted.split(" ")[0])
        texts = page.evaluate("document.querySelectorAll('.behind:target tbody tr').length")
        assert texts == min(count, 20)
        assert f"{count} test texts" in page.evaluate("document.querySelector('.behind:target p').textContent")
    page.evaluate("document.querySelector('.behind:target p a').click()")
    page.until("document.querySelector('.behind:target') == null")
    assert shown(page) == []
    assert page.problems == []
    assert {one.split("#")[0] for one in page.requests} == {found.resolve().as_uri()}


@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (390, "dark")])
def test_the_texts_can_be_read_everywhere_and_reached_with_the_keyboard(
    page: Page, found: Path, width: int, colours: str
) -> None:
    page.size(width).show_as(colours=colours).open(found)
    page.evaluate("document.querySelector('svg a').focus()")
    assert page.evaluate("document.activeElement.getAttribute('href')").startswith("#texts-")
    page.send(
        "Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
    )
    page.until("document.querySelector('.behind:target') != null")
    assert fits(page)
    assert [one for one in faint(page) if not one.split()[0].replace(",", "").isdigit()] == []


def test_paper_has_none_of_the_lists(page: Page, found: Path) -> None:
    page.show_as("print").open(f"{found.resolve().as_uri()}#texts-0")
    assert shown(page) == []
