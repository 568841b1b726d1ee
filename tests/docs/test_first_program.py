"""The program that README.md, the site's first page and docs/python.md begin with."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest

from lexport.serving.torchserve.java import find_java

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/index.md", "docs/python.md"]


def program(page: str) -> str:
    """Return the first block of a page that imports lexport, indented or between fences."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = re.search(r"^```python\n(import lexport\n.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.search(r"^    import lexport\n(?:    .*\n|\n)*", text, re.MULTILINE)
    if indented and (not fenced or indented.start() < fenced.start()):
        return textwrap.dedent(indented[0]).strip() + "\n"
    assert fenced
    return fenced[1]


def test_it_is_short_and_the_same_on_the_first_pages() -> None:
    readme, site = (re.sub(r" +#.*", "", program(page)) for page in PAGES[:2])
    assert readme == site
    assert len([line for line in program("README.md").splitlines() if line.strip()]) == 6


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_it_runs_as_it_is_shown(page: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_java()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copy(tiny_csv, "reviews.csv")
    # Other tests may have the usual port.
    code = program(page).replace("lexport.serve(archive)", "lexport.serve(archive, port=0)")
    assert "port=0" in code
    exec(compile(code, page, "exec"), {})
