"""Record docs/walk.gif, a walk of a minute through `lexport ui`; Chromium and Pillow must be there.

python docs/generate/walk.py    # what it shows is made in build/example first
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lexport.docs.generate import example
from lexport.docs.generate.screenshots import find_word, opened, served
from lexport.tests.browser.devtools import Page
from lexport.tests.browser.visits import compare, follow

TARGET = Path(__file__).resolve().parents[1] / "walk.gif"
WIDTH, HEIGHT = 960, 560  # px of the page
_CAPTION = 44  # px below it
_LARGEST = 3_000_000  # bytes
_COLOURS = 256
_TYPED = 4  # characters of a frame
_BACKGROUND, _INK, _POINTER = "#14171b", "#ffffff", "#d9480f"


@dataclass
class Recording:
    """Frames of a page with captions, and how long each is shown."""

    page: Page
    frames: list[Image.Image] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    caption: str = ""

    def hold(self, seconds: float, caption: str = "", pointer: str = "") -> None:
        """Add what the window shows, with a pointer at the element that a JavaScript expression returns."""
        self.caption = caption or self.caption
        place = self._place(pointer) if pointer else None
        with Image.open(io.BytesIO(self.page.window())) as found:
            shown = found.convert("RGB")
        frame = Image.new("RGB", (WIDTH, HEIGHT + _CAPTION), _BACKGROUND)
        frame.paste(shown, (0, 0))
        drawing = ImageDraw.Draw(frame)
        drawing.text(
            (WIDTH / 2, HEIGHT + _CAPTION / 2), self.caption, _INK, ImageFont.load_default(size=20), anchor="mm"
        )
        if place is not None:
            x, y = place
            drawing.ellipse((x - 14, y - 14, x + 14, y + 14), outline=_POINTER, width=4)
        self.frames.append(frame)
        self.seconds.append(seconds)

    def scroll_to(self, element: str) -> None:
        """Bring the element that a JavaScript expression returns to the top of the window."""
        self.page.evaluate(f"{element}.scrollIntoView()")

    def type(self, field: str, text: str) -> None:
        """Type a text into the field of a selector, a few characters a frame."""
        self.page.evaluate(f"document.querySelector({field!r}).focus()")
        for first in range(0, len(text), _TYPED):
            self.page.send("Input.insertText", text=text[first : first + _TYPED])
            self.hold(0.2)

    def _place(self, element: str) -> tuple[float, float]:
        box = self.page.evaluate(f"({element}).getBoundingClientRect().toJSON()")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def write(self, target: Path) -> None:
        """Write a GIF that begins anew at its end. Ends the program where it is too large."""
        # One palette of all frames: then a frame is stored as the rectangle that changed.
        every = Image.new("RGB", (WIDTH, (HEIGHT + _CAPTION) * len(self.frames)))
        for number, frame in enumerate(self.frames):
            every.paste(frame, (0, number * (HEIGHT + _CAPTION)))
        palette = every.quantize(_COLOURS, dither=Image.Dither.NONE)
        first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        written = io.BytesIO()
        first.save(
            written,
            "GIF",
            save_all=True,
            append_images=others,
            duration=[round(1000 * one) for one in self.seconds],
            loop=0,
            optimize=False,
            disposal=1,
        )
        if len(written.getvalue()) > _LARGEST:
            raise SystemExit(f"The recording has {len(written.getvalue()):,} bytes; expected {_LARGEST:,} at most.")
        target.write_bytes(written.getvalue())
        print(f"{target.name}: {sum(self.seconds):.0f} s, {len(self.frames)} frames, {target.stat().st_size:,} bytes")


def link(text: str) -> str:
    """Return the JavaScript expression of the link with a text."""
    return f"[...document.querySelectorAll('a')].find(one => one.textContent.includes({text!r}))"


def heading(text: str) -> str:
    """Return the JavaScript expression of a heading."""
    return f"[...document.querySelectorAll('h2')].find(one => one.textContent == {text!r})"


def record(page: Page, folder: Path, address: str) -> Recording:
    """Walk through the pages of a folder: an archive, a text, confusion, a map, a load test, a comparison."""
    walk = Recording(page)
    page.size(WIDTH, HEIGHT).open(address)
    walk.hold(4, "lexport ui: the runs, archives and load tests of a folder")
    walk.hold(1.5, pointer=link("news-1.0.mar"))
    follow(page, "news-1.0.mar")
    walk.hold(1.5, "Open an archive and try a text")
    walk.type("#text", example.TEXT)
    walk.hold(0.8, pointer="document.querySelector('form.try button')")
    page.evaluate("document.querySelector('form.try button').click()")
    page.until("document.querySelector('#answers table') && !document.querySelector('[aria-busy]')")
    walk.scroll_to("document.querySelector('#text')")
    walk.hold(6, "Scores, what each word adds, and unknown words, underlined")
    page.open(address)
    follow(page, "runs/news")
    walk.scroll_to(heading("Exported variants"))
    walk.hold(4, "A run: each exported variant measured against the trained model")
    follow(page, "Metrics, confusion")
    walk.scroll_to(heading("Confusion"))
    walk.hold(3, "What is confused with what")
    mistake = "[...document.querySelectorAll('svg a')].find(one => one.querySelector('g.c1'))"
    walk.hold(1.5, pointer=mistake)
    page.evaluate(f"{mistake}.dispatchEvent(new MouseEvent('click'))")
    page.until("location.href.includes('/texts/') && document.readyState == 'complete'")
    walk.hold(4.5, "A click on a cell shows the texts behind it")
    page.open(folder / "map.html")
    walk.hold(3.5, "A map of its words")
    find_word(page, "minister")
    walk.hold(4.5, "Find a word, and those nearest to it")
    page.open(folder / "loads" / "news" / "report.html")
    walk.hold(4, "A load test: TorchServe and the embedded engine")
    walk.scroll_to(heading("Throughput and latency by load"))
    walk.hold(4)
    page.open(address)
    page.evaluate("document.querySelector('form').scrollIntoView()")
    walk.hold(1.5, "Two beside each other", pointer="document.querySelector('form button')")
    compare(page)
    walk.scroll_to(heading("Scores"))
    walk.hold(5, "Scores with intervals, labels, costs")
    follow(page, "Texts that one has right")
    walk.hold(5, "and the texts that one alone has right")
    return walk


if __name__ == "__main__":
    made = example.make()
    with opened() as shown, served(made) as start:
        record(shown, made, start).write(TARGET)
