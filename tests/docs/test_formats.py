"""The pages on formats name every file and field that a real run and a real archive have."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
VARIANTS = ["onnx-int8", "torchscript-fp32"]


def named(page: str) -> set[str]:
    """What the page puts between backticks."""
    return set(re.findall(r"`([^`\n]+)`", (DOCS / page).read_text(encoding="utf-8")))


def test_every_file_and_field_of_a_run_is_on_its_page(run_folder: Path) -> None:
    names = named("format-run.md")
    assert {path.name for path in run_folder.iterdir() if path.is_file()} <= names
    assert json.loads((run_folder / "run.json").read_text()).keys() <= names
    assert json.loads((run_folder / "text.json").read_text()).keys() <= names
    files = {path.name for path in (run_folder / "export" / "onnx-int8").iterdir()}
    assert {name for name in files if not name.startswith("model.")} <= names


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_member_and_field_of_an_archive_is_on_its_page(archive_of: Callable[[str], Path], variant: str) -> None:
    names = named("format-archive.md")
    with zipfile.ZipFile(archive_of(variant)) as archive:
        members = {re.sub(r"^lexport_handlers/.*", "lexport_handlers/", name) for name in archive.namelist()}
        assert members <= names
        assert json.loads(archive.read("model.json")).keys() <= names
