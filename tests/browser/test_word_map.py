"""The page of a map of words in a browser: found, pointed at, chosen, moved with the keyboard; of 5,000 words too."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.reports.vectors.word_map import page as html

from ..reports.test_word_map import made
from .devtools import Page
from .looks import fits

WORDS = ["rain", "storm", "goal", *(f"word{place}" for place in range(4_997))]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "map.html"
    path.write_text(html(made(WORDS)), encoding="utf-8")
    return path


def shown(page: Page) -> tuple[str, list[str]]:
    """The word that is described, and those that are nearest."""
    word = page.evaluate("document.querySelector('#word').textContent")
    return word, page.evaluate("[...document.querySelectorAll('#near button')].map(one => one.textContent)")


def place(page: Page, at: int) -> tuple[float, float]:
    """Where a word is in the window."""
    x, y = page.evaluate(
        f"(box => placeOf({at}).map((one, n) => one + [box.x, box.y][n]))(canvas.getBoundingClientRect())"
    )
    return x, y


def press(page: Page, key: str, code: int, text: str = "") -> None:
    for kind in ("keyDown", "keyUp"):
        extra = {"text": text} if text and kind == "keyDown" else {}
        page.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)


def test_a_word_is_found_and_its_neighbours_lead_on(page: Page, found: Path) -> None:
    page.open(found)
    page.evaluate("document.querySelector('#wanted').focus()")
    page.send("Input.insertText", text="Rai")
    assert page.evaluate("[...document.querySelectorAll('#matches button')].map(one => one.textContent)") == ["rain"]
    press(page, "Enter", 13, "\r")
    word, near = shown(page)
    assert word == "rain"
    assert near[0] == "storm"
    page.evaluate("document.querySelector('#near button').click()")
    assert shown(page)[0] == "storm"
    assert page.problems == []
    assert page.requests == [found.resolve().as_uri()]


def test_a_word_is_described_when_it_is_pointed_at(page: Page, found: Path) -> None:
    page.open(found)
    page.until("width > 0")
    page.evaluate("choose(2)")  # enlarged, so that no other word is nearer
    x, y = place(page, 2)
    page.evaluate("describe(0)")
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.until("document.querySelector('#word').textContent == 'goal'")
    assert page.problems == []


def test_the_keyboard_moves_enlarges_and_shows_all(page: Page, found: Path) -> None:
    page.open(found)
    page.until("width > 0")
    page.evaluate("document.querySelector('#map').focus()")
    begin = page.evaluate("[scale, left]")
    press(page, "+", 187, "+")
    press(page, "ArrowLeft", 37)
    scale, left = page.evaluate("[scale, left]")
    assert scale > begin[0]
    assert left != begin[1]
    press(page, "0", 48, "0")
    assert page.evaluate("[scale, left]") == begin
    order = "[...document.querySelectorAll('a, button, input, canvas')].filter(one => one.tabIndex < 0).length"
    assert page.evaluate(order) == 0


def test_the_map_is_drawn_on_a_phone_in_the_dark(page: Page, found: Path) -> None:
    page.size(390).show_as(colours="dark").open(found)
    page.until("width > 0")
    assert fits(page)
    page.evaluate("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    drawn = "pen.getImageData(0, 0, canvas.width, canvas.height).data.filter((one, n) => n % 4 == 3 && one).length"
    assert page.evaluate(drawn) > 1_000
    assert page.problems == []
