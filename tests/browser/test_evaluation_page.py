"""The page of an evaluation, looked at: the texts of the mistakes can be read wherever it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lexport.reports.evaluation import html

from ..reports.samples import CLASSIFY, JOINT, MULTILABEL, VECTOR
from .devtools import Page
from .looks import A4, boxes, cut_off, drawings, faint, fits

LONG = "it was not the film that anybody had hoped for, and yet nobody left before its end " * 8
TASKS: dict[str, dict[str, Any]] = {
    "classify": CLASSIFY
    | {"mistakes": [CLASSIFY["mistakes"][0] | {"text": LONG}, CLASSIFY["mistakes"][1] | {"text": "x" * 600}]},
    "multilabel": MULTILABEL | {"mistakes": [MULTILABEL["mistakes"][0] | {"text": LONG}]},
    "vector": VECTOR | {"mistakes": [VECTOR["mistakes"][0] | {"text": LONG, "found": LONG}]},
    "joint": JOINT,
}


@pytest.fixture(params=list(TASKS))
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "evaluation.html"
    path.write_text(html(TASKS[request.param], "runs/topics"), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "medium"), [(1280, "screen"), (820, "screen"), (390, "screen"), (A4, "print")])
def test_the_texts_of_the_mistakes_are_whole_and_wrap_from_the_left(
    page: Page, found: Path, width: int, medium: str
) -> None:
    """What failed before: they stood on one line, set right, as wide as the longest, beyond the page's edge."""
    page.size(width).show_as(medium).open(found)
    assert cut_off(page, ".cards td:not(:empty)") == []
    texts = boxes(page, "td.long")
    assert len(texts) == page.evaluate("document.querySelectorAll('.cards tbody tr').length")
    for text in texts:
        assert text["right"] <= width
        if len(text["text"]) > 300:
            assert text["height"] > 60  # of several lines
    assert set(
        page.evaluate("[...document.querySelectorAll('td.long')].map(n => getComputedStyle(n).textAlign)")
    ) <= {"left"}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_can_be_read_on_a_phone_in_the_dark_and_loads_nothing(page: Page, found: Path, colours: str) -> None:
    page.size(390).show_as(colours=colours).open(found)
    assert fits(page)
    # Numbers of the confusion matrix stand on cells of their own colours.
    assert [one for one in faint(page) if not one.split()[0].replace(",", "").isdigit()] == []
    assert all(chart["drawn"] and not chart["outside"] for chart in drawings(page))
    assert page.requests == [found.resolve().as_uri()]
    assert page.problems == []
