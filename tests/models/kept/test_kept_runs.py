"""Runs that earlier versions wrote still open and answer as they did; `answers.json` holds their answers of then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import lexport
from lexport.client import Prediction

KEPT = sorted(path.parent for path in Path(__file__).parent.glob("*/run.json"))


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_a_run_of_an_earlier_version_answers_as_it_did(folder: Path) -> None:
    kept = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    run = lexport.load(folder)
    assert isinstance(run, lexport.Run)
    for answer, scores in zip(run.predict(kept["texts"]), kept["scores"], strict=True):
        assert isinstance(answer, Prediction)
        assert list(answer.scores.values()) == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_it_is_evaluated_exported_and_packed(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run")
    run = lexport.load(tmp_path / "run")
    assert isinstance(run, lexport.Run)
    assert run.evaluate().value == run.metrics["test"]["accuracy"]
    run.export("onnx-fp32")
    with run.archive("1.0", out=tmp_path) as archive:
        assert archive.predict("a superb film").label == run.predict("a superb film").label  # type: ignore[union-attr]


def test_there_is_a_run_of_each_schema() -> None:
    assert {json.loads((folder / "run.json").read_text(encoding="utf-8"))["schema"] for folder in KEPT} == {1}
