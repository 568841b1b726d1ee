"""The site of the docs loads nothing from other servers: it can be read without a network."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from lexport.docs.generate.site import loaded_from_elsewhere

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")]


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://example.org/a.js"></script>',
        "<link rel=stylesheet href=//fonts.example.org/a.css>",
        '<img alt="a" src="http://example.org/a.png">',
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background: url(https://example.org/a.png)">',
        '<pre class="mermaid"><code>flowchart TD</code></pre>',
    ],
)
def test_what_a_browser_would_load_is_found(html: str) -> None:
    assert len(loaded_from_elsewhere(html)) == 1


def test_links_that_a_reader_follows_are_none_of_it() -> None:
    assert loaded_from_elsewhere('<a href="https://arxiv.org/abs/1"><img src="chain.svg"></a>') == []


def test_no_page_or_picture_names_something_to_load() -> None:
    for path in (*PAGES, *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.svg")):
        text = path.read_text(encoding="utf-8")
        assert loaded_from_elsewhere(text) == [], path
        assert "```mermaid" not in text, path
        assert "](http" not in "".join(line for line in text.splitlines() if line.startswith("![")), path


def test_the_theme_brings_its_fonts_and_asks_no_server_about_the_reader() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings
    for name in ("analytics", "repo_url", "extra_javascript", "extra_css", "mermaid", "http://", "https://"):
        assert name not in settings


@pytest.mark.long
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="`make docs` installs what the site is built with")
def test_every_built_page_loads_only_files_of_the_site(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    for path in (*pages, *tmp_path.rglob("*.css")):
        assert loaded_from_elsewhere(path.read_text(encoding="utf-8")) == [], path
