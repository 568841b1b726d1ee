"""What `lexport` alone shows: what is here, and what can be done next."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Place, Result

Command = Callable[..., Result]


def test_an_empty_folder_has_the_ways_to_begin(place: Place, lexport: Command) -> None:
    result = lexport()
    assert (result.code, result.err) == (0, "")
    assert "lexport demo" in result.out
    assert "lexport train reviews.csv --out reviews" in result.out
    assert "lexport --help" in result.out


def test_runs_and_archives_have_their_next_command(
    place: Place, lexport: Command, run_folder: Path, archive_of: Callable[[str], Path]
) -> None:
    shutil.copytree(run_folder, place.cwd / "runs" / "topics")
    shutil.copytree(run_folder, place.cwd / "not exported", ignore=shutil.ignore_patterns("export"))
    (place.cwd / "model_store").mkdir()
    shutil.copy(archive_of("onnx-int8"), place.cwd / "model_store")
    accuracy = json.loads((run_folder / "metrics.json").read_text())["test"]["accuracy"]
    shown = " ".join(lexport().out.split())
    assert f"runs/topics recipe bag, data topics.csv, accuracy {accuracy:.4f}" in shown
    assert "lexport archive runs/topics --version 1.0" in shown
    assert "lexport export 'not exported'" in shown
    assert "model_store/topics-1.0.mar model topics 1.0, variant onnx-int8, size " in shown
    assert "lexport serve model_store/topics-1.0.mar" in shown


@pytest.mark.parametrize("content", ["", "[]", "{", '{"test": 1}', '{"test": {"accuracy": "high"}}', "[" * 100_000])
def test_a_damaged_run_hides_nothing_else(place: Place, lexport: Command, run_folder: Path, content: str) -> None:
    shutil.copytree(run_folder, place.cwd / "good", ignore=shutil.ignore_patterns("export"))
    (place.cwd / "damaged" / "export").mkdir(parents=True)
    for file in ("run.json", "metrics.json", "export/evidence.json"):
        (place.cwd / "damaged" / file).write_text(content)
    result = lexport()
    assert result.code == 0
    assert "damaged" in result.out
    assert "good" in result.out
    assert "lexport export good" in result.out


def test_the_newest_are_shown(place: Place, lexport: Command) -> None:
    for number in range(20):
        folder = place.cwd / f"run-{number}"
        folder.mkdir()
        (folder / "run.json").write_text("{}")
    assert "the newest 8 of 20" in lexport().out
