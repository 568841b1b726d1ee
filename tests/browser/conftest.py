"""A headless browser to look at pages with: `page.size(390).open(path)`; skipped where there is none."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lexport.loadtest.report import write
from lexport.ui.server import Server

from .devtools import PROGRAMS, Browser, Page, find
from .samples import report, rows


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


@pytest.fixture(scope="session")
def ui_address(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Path, short_run: Path, archive_of: Callable[[str], Path]
) -> Iterator[str]:
    """`lexport ui` of a folder with two runs, an archive, two load tests, and a run that is damaged."""
    folder = tmp_path_factory.mktemp("looked at")
    shutil.copytree(run_folder, folder / "runs" / "topics")
    shutil.copytree(short_run, folder / "runs" / "short")
    (folder / "model_store").mkdir()
    shutil.copy(archive_of("onnx-int8"), folder / "model_store")
    for name in ("today", "before"):
        write(report(rows(users=(1, 16))), folder / "loads" / name, "")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    server = Server(folder, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.address
    server.shutdown()
    thread.join()
    server.server_close()
