"""Take the pictures of pages in docs/, as a desktop shows their beginning; Chromium and Pillow must be there.

python docs/generate/screenshots.py             # all; what they show is made in build/example first
python docs/generate/screenshots.py report map  # these alone

The load test in build/example is measured on this machine: on a busy one its figures say little.
"""

from __future__ import annotations

import io
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from PIL import Image

from lexport.docs.generate import example
from lexport.tests.browser.devtools import PROGRAMS, Browser, Page, find
from lexport.tests.browser.visits import ask, compare, follow
from lexport.ui.server import Server

DOCS = Path(__file__).resolve().parents[1]
WIDTH = 1100  # px
_LARGEST = 200_000  # bytes


@contextmanager
def opened() -> Iterator[Page]:
    """Yield a page of a headless browser. Ends the program where there is none."""
    program = find()
    if program is None:
        raise SystemExit(f"There is no Chromium; looked for {', '.join(PROGRAMS)}.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, Path(profile))
        try:
            yield browser.page()
        finally:
            browser.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the address of `lexport ui` for a folder; the one it is in becomes the working directory meanwhile."""
    server = Server(Path(folder.name), 0)  # the first page shows this name, and no path of this machine
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with chdir(folder.parent):
            yield server.address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _library(page: Page, folder: Path, address: str) -> None:
    page.open(address)


def _text(page: Page, folder: Path, address: str) -> None:
    page.open(address)
    follow(page, "runs/news")
    ask(page, example.TEXT)


def _comparison(page: Page, folder: Path, address: str) -> None:
    compare(page.open(address))
    page.evaluate("document.querySelectorAll('h2')[2].scrollIntoView()")


def _map(page: Page, folder: Path, address: str) -> None:
    page.open(folder / "map.html")
    find_word(page, "minister")


def find_word(page: Page, word: str) -> None:
    """Type a word into the field of a map and choose the first that is found."""
    page.evaluate("document.querySelector('#wanted').focus()")
    page.send("Input.insertText", text=word)
    page.evaluate("document.querySelector('#matches button').click()")


def _file(name: str, heading: str = "") -> Callable[[Page, Path, str], None]:
    """Return what shows a page that a command wrote, from a heading on."""

    def show(page: Page, folder: Path, address: str) -> None:
        page.open(folder / name)
        if heading:
            page.evaluate(
                f"[...document.querySelectorAll('h2')].find(one => one.textContent == {heading!r}).scrollIntoView()"
            )

    return show


# By the file below docs/: the height in px, and what brings the page to show.
PICTURES: dict[str, tuple[int, Callable[[Page, Path, str], None]]] = {
    "pictures/library.png": (660, _library),
    "pictures/text.png": (640, _text),
    "pictures/comparison.png": (900, _comparison),
    "pictures/report.png": (1180, _file("report.html")),
    "pictures/confusion.png": (640, _file("report.html", "Confusion")),
    "pictures/map.png": (760, _map),
    "pictures/evaluation.png": (900, _file("evaluation.html")),
    "pictures/diagnosis.png": (760, _file("diagnosis.html")),
    "loadtest-report.png": (1060, _file("loads/news/report.html")),
}


def small(png: bytes) -> bytes:
    """Return the same PNG, compressed better."""
    written = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(written, "PNG", optimize=True)
    return written.getvalue()


def take(names: list[str]) -> None:
    """Write the pictures with these names, without folder and ending; all where none is named."""
    folder = example.make()
    with opened() as page, served(folder) as address:
        for file, (height, show) in PICTURES.items():
            if names and Path(file).stem not in names:
                continue
            page.size(WIDTH, height)
            show(page, folder, address)
            found = small(page.window())
            if len(found) > _LARGEST:
                raise SystemExit(f"{file} has {len(found):,} bytes; expected {_LARGEST:,} at most.")
            (DOCS / file).parent.mkdir(exist_ok=True)
            (DOCS / file).write_bytes(found)
            print(f"{file}: {len(found):,} bytes", flush=True)


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - {Path(file).stem for file in PICTURES}
    if unknown:
        raise SystemExit(f"There is no picture {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}.")
    take(sys.argv[1:])
