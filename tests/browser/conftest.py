"""A headless browser to look at pages with: `page.size(390).open(path)`; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .devtools import PROGRAMS, Browser, Page, find


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip(f"there is no Chromium here (looked for {', '.join(PROGRAMS)})")
    running = Browser(program, tmp_path_factory.mktemp("browser"))
    yield running
    running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1,280 pixels, as a desktop has it."""
    opened = browser.page()
    yield opened.size(1280)
    opened.close()
