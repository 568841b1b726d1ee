"""Two load tests side by side, looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.loadtest.report import write
from lexport.loadtest.side_by_side import compare
from lexport.loadtest.side_by_side import write as write_page

from .devtools import Page
from .looks import A4, cut_off, drawings, faint, fits
from .samples import report, rows


@pytest.fixture
def found(tmp_path: Path) -> Path:
    write(report(rows(users=(1, 16))), tmp_path / "a", "")
    write(report(rows(("films-1.1",), users=(16, 64))), tmp_path / "b", "")
    write_page(compare(tmp_path / "a", tmp_path / "b"), tmp_path / "both.html")
    return tmp_path / "both.html"


@pytest.mark.parametrize(("width", "medium"), [(1280, "screen"), (820, "screen"), (390, "screen"), (A4, "print")])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_is_whole_everywhere(page: Page, found: Path, width: int, medium: str, colours: str) -> None:
    page.size(width).show_as(medium, colours).open(found)
    assert fits(page)
    assert cut_off(page, ".cards td:not(:empty), .banner, figure") == []
    assert faint(page) == []
    charts = drawings(page)
    assert [chart["title"] for chart in charts] == ["Requests per second", "Latency, p99"]
    assert all(chart["drawn"] == 8 and not chart["outside"] and not chart["overlap"] for chart in charts)
    assert page.requests == [found.resolve().as_uri()]
    assert page.problems == []
