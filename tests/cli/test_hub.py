"""The commands hub push and hub pull."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from .conftest import Place, Result

Command = Callable[..., Result]


def test_a_run_goes_out_and_comes_back(place: Place, lexport: Command, run_folder: Path) -> None:
    sent = lexport("hub", "push", str(run_folder), "--out", "shared", "--license", "mit", "--language", "en")
    assert sent.code == 0
    assert "Next: hf upload USER/topics shared" in sent.out
    held_out = json.loads((run_folder / "metrics.json").read_text())
    texts = held_out["validation"]["count"] + held_out["test"]["count"]
    assert f"Its {texts} texts of the data can be read" in " ".join(sent.out.split())
    back = lexport("hub", "pull", "shared", "--out", "back", "--json")
    assert back.code == 0
    assert json.loads(back.out)["path"] == "back"
    assert lexport("evaluate", "back", "--json").code == 0


def test_an_archive_goes_into_a_store(place: Place, lexport: Command, archive_of: Callable[[str], Path]) -> None:
    assert lexport("hub", "push", str(archive_of("onnx-int8")), "--out", "shared").code == 0
    (place.cwd / "model_store").mkdir()
    back = lexport("hub", "pull", "shared", "--out", "model_store")
    assert back.code == 0
    assert "Next: lexport serve model_store/topics-1.0.mar" in back.out
    again = lexport("hub", "pull", "shared", "--out", "model_store")
    assert (again.code, "LX-FILE-001" in again.err) == (2, True)
    assert lexport("hub", "pull", "shared", "--out", "model_store", "--force").code == 0
