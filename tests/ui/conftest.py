"""A folder with a run, an archive, a load test and damaged ones, and its site."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lexport.ui.site import Reply, Site

HOST = "127.0.0.1:7070"


class Visitor:
    """Asks a site as its own pages do."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def ask(self, place: str, method: str = "GET", body: bytes = b"") -> Reply:
        return self.site.respond(method, f"/{self.site.token}/{place}", {"host": HOST}, body)

    def page(self, place: str = "") -> str:
        reply = self.ask(place)
        assert reply.status == 200, reply.content
        return reply.content.decode()

    def links(self, place: str = "") -> dict[str, str]:
        """The addresses of a page's links, by what they are called."""
        found = re.findall(r'<a href="([^"]+)">([^<]*)</a>', self.page(place))
        return {html.unescape(name): html.unescape(address) for address, name in found}

    def answer(self, key: str, **asked: Any) -> Any:
        reply = self.ask(f"answer/{key}", "POST", json.dumps(asked).encode())
        return json.loads(reply.content)


@pytest.fixture
def folder(tmp_path: Path, run_folder: Path, archive_of: Callable[[str], Path]) -> Path:
    shutil.copytree(run_folder, tmp_path / "runs" / "topics")
    (tmp_path / "model_store").mkdir()
    shutil.copy(archive_of("onnx-int8"), tmp_path / "model_store")
    return tmp_path


@pytest.fixture
def visitor(folder: Path) -> Iterator[Visitor]:
    site = Site(folder, HOST)
    yield Visitor(site)
    site.close()
