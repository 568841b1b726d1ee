"""What the browser tells of a page that is not as it should be, so that the other tests can trust it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .devtools import Browser, Failed, Page
from .looks import cut_off, drawings, faint, fits

BAD = """<!DOCTYPE html><meta name="viewport" content="width=device-width, initial-scale=1">
<style>p{background:#fff;color:#aaa}@media(prefers-color-scheme:dark){p{background:#000;color:#eee}}</style>
<p>a text</p><img src="http://127.0.0.1:9/picture.png">
<div style="overflow:hidden;width:50px;white-space:nowrap"><span>a long line of words</span></div>
<div style="width:600px">wide</div>
<figure><svg role="img" aria-label="a chart" viewBox="0 0 100 50" width="200"><text x="10" y="20">one</text>
<text x="12" y="20">two</text><rect class="bar" x="90" y="1" width="30" height="5"/></svg></figure>
<script>console.error("no"); nothing.at.all</script>"""


@pytest.fixture
def bad(page: Page, tmp_path: Path) -> Page:
    path = tmp_path / "bad.html"
    path.write_text(BAD)
    return page.size(390).open(path)


def test_problems_and_requests_of_a_page_are_heard(bad: Page) -> None:
    bad.until("document.images[0].complete")
    assert any("'no'" in one for one in bad.problems)
    assert "Uncaught" in bad.problems
    assert "http://127.0.0.1:9/picture.png" in bad.requests


def test_what_is_too_wide_cut_off_or_faint_is_found(bad: Page) -> None:
    assert not fits(bad)
    assert cut_off(bad, "span") == ["SPAN a long line of words"]
    assert [one.split()[:2] for one in faint(bad)] == [["a", "text"]]
    assert faint(bad.show_as(colours="dark")) == []
    [chart] = drawings(bad)
    assert (chart["drawn"], chart["outside"], chart["overlap"]) == (1, ["bar"], ["one / two"])


def test_a_page_that_is_not_there_or_ends_badly_is_an_error(browser: Browser, tmp_path: Path) -> None:
    page = browser.page()
    with pytest.raises(Failed, match="ERR_FILE_NOT_FOUND"):
        page.open(tmp_path / "absent.html")
    with pytest.raises(Failed, match="nothing"):
        page.evaluate("nothing.at.all")
    page.close()
