"""A store is a folder that plain TorchServe serves from."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.export.archive.inprocess import load_archive
from lexport.serving.torchserve.java import find_java

from ...handlers.test_stock import TEXTS, ask, stock_torchserve
from .conftest import Fill


@pytest.mark.long
def test_plain_torchserve_serves_an_archive_of_the_store(store: Fill, tmp_path: Path) -> None:
    find_java()
    folder = store("1.0", "1.1")
    (folder / "README.md").write_text("about this store")
    with stock_torchserve(folder / "topics-1.1.mar", tmp_path) as url:
        answer = ask(url, TEXTS)
    with load_archive(folder / "topics-1.1.mar") as own:
        assert answer == own.predict(TEXTS)
