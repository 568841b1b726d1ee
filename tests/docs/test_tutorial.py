"""The tutorial, from its first command to its last, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lexport.serving.torchserve.java import find_java

from .test_models import BLOCK, Block, execute

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.mark.long
def test_every_command_does_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_java()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    page = PAGE.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    printed = ""
    for found in BLOCK.finditer(page):
        body = found["body"]
        if found["kind"] == "text":
            # What does not depend on the machine: rows of metrics, contributions and answers.
            for number in re.findall(r"(?<![\d.])\d\.\d{4}(?!\d)", body):
                assert number in printed
            continue
        # Other tests may have the usual port.
        body = body.replace("lexport serve ", "lexport serve --port 0 ").replace("--slo p99=100ms", "--duration 2s")
        line = page.count("\n", 0, found.start()) + 1
        printed = execute(Block(found["kind"], None, body, line), names) or ""
    assert (tmp_path / "evaluation.html").is_file()
    assert (tmp_path / "report" / "report.html").is_file()
