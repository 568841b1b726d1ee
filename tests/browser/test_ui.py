"""The pages of `lexport ui` in a browser: a text is answered, links lead on, nothing comes from elsewhere."""

from __future__ import annotations

import pytest

from .devtools import Page
from .looks import cut_off, faint, fits
from .visits import ask, compare, follow


def test_a_text_is_answered_by_every_variant_with_what_its_words_add(page: Page, ui_address: str) -> None:
    page.open(ui_address)
    assert "damaged" in page.evaluate("document.body.textContent")
    follow(page, "runs/topics")
    ask(page, "the goal by zzzq")
    rows = page.evaluate("[...document.querySelectorAll('#answers tbody tr')].map(row => row.cells[1].textContent)")
    assert len(rows) > 5
    assert set(rows) == {"sport"}
    tokens = page.evaluate("[...document.querySelectorAll('.explained span')].map(one => one.textContent)")
    assert tokens == ["the", "goal", "by", "zzzq"]
    unknown = page.evaluate("[...document.querySelectorAll('.explained .unknown')].map(one => one.textContent)")
    assert "zzzq" in unknown
    assert page.problems == []
    assert all(one.startswith(ui_address) for one in page.requests)


def test_a_bad_text_has_its_reason(page: Page, ui_address: str) -> None:
    page.open(ui_address)
    follow(page, "topics-1.0.mar")
    page.evaluate("document.querySelector('#text').value = 'x'.repeat(20001)")
    page.evaluate("document.querySelector('form.try button').click()")
    page.until("document.querySelector('#answers .bad') != null")
    assert "20,001 characters" in page.evaluate("document.querySelector('#answers').textContent")


def test_links_lead_from_the_figures_to_the_texts_and_the_map(page: Page, ui_address: str) -> None:
    page.open(ui_address)
    follow(page, "runs/topics")
    here = page.evaluate("location.href")
    follow(page, "Metrics, confusion")
    page.evaluate("document.querySelector('svg a rect').closest('a').dispatchEvent(new MouseEvent('click'))")
    page.until("location.href.includes('/texts/') && document.readyState == 'complete'")
    assert page.evaluate("document.querySelectorAll('td.long').length") > 0
    for name, sign in (("The whole report", "h2"), ("A map of its words", "canvas")):
        page.open(here)
        follow(page, name)
        assert page.evaluate(f"document.querySelectorAll({sign!r}).length") > 0
    assert page.problems == []
    assert all(one.startswith(ui_address) for one in page.requests)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_pages_fit_and_their_texts_stand_out(page: Page, ui_address: str, width: int, colours: str) -> None:
    page.size(width).show_as(colours=colours).open(ui_address)
    assert fits(page)
    assert faint(page) == []
    follow(page, "runs/topics")
    ask(page, "the goal by zzzq")
    assert fits(page)
    assert faint(page) == []
    assert cut_off(page, "h1, h2, textarea, button, .explained span") == []


def test_everything_on_a_page_can_be_reached_with_the_keyboard(page: Page, ui_address: str) -> None:
    page.open(ui_address)
    follow(page, "runs/topics")
    ask(page, "the goal")
    unreachable = page.evaluate(
        "[...document.querySelectorAll('a, button, textarea, select, .explained span')]"
        ".filter(one => one.tabIndex < 0).map(one => one.textContent)"
    )
    assert unreachable == []
    unlabelled = page.evaluate(
        "[...document.querySelectorAll('textarea, select, input')].filter(one => !one.labels.length).length"
    )
    assert unlabelled == 0


def test_two_runs_are_compared_down_to_the_texts(page: Page, ui_address: str) -> None:
    compare(page.open(ui_address))
    headings = page.evaluate("[...document.querySelectorAll('h2')].map(one => one.textContent)")
    for heading in ("Data and recipe that differ", "Scores", "By label", "What variants cost"):
        assert heading in headings
    assert fits(page.size(390))
    ask(page, "the goal by zzzq")
    names = page.evaluate("[...document.querySelectorAll('#answers h3')].map(one => one.textContent)")
    assert sorted(names) == ["runs/short", "runs/topics"]
    assert page.evaluate("document.querySelector('.soft').textContent") == f"A: {names[0]} · B: {names[1]}"
    follow(page, "Texts that one has right")
    assert "test texts that both have" in page.evaluate("document.body.textContent")
    assert fits(page)
    assert page.problems == []
    assert all(one.startswith(ui_address) for one in page.requests)
