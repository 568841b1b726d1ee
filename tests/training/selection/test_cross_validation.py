"""`--cv`: what a recipe comes to on texts that its models were not trained on, and where that is told."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import lexport
from lexport.data.load import load
from lexport.errors import InputError
from lexport.models.run import open_run

from ...refusals import refused

OPTIONS = ["--model", "bag", "--epochs", "3", "--dim", "8"]


@pytest.fixture(scope="module")
def run_path(tiny_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cv") / "run"
    command = [sys.executable, "-m", "lexport", "train", str(tiny_csv), "--out", str(out), "--cv", "4", *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "fold 4 of 4: accuracy" in done.stdout
    assert "Cross-validation" in done.stdout
    return out


def test_every_fold_is_judged_and_the_run_has_the_mean(run_path: Path, tiny_csv: Path) -> None:
    found = open_run(run_path).info.cross_validation
    assert (found["folds"], found["texts"], found["tested"]) == (
        4,
        len(load(str(tiny_csv))),
        len(load(str(tiny_csv))),
    )
    accuracy = found["metrics"]["accuracy"]
    assert len(accuracy["folds"]) == 4
    assert accuracy["mean"] == pytest.approx(statistics.fmean(accuracy["folds"]))
    assert accuracy["deviation"] == pytest.approx(statistics.stdev(accuracy["folds"]))
    assert accuracy["mean"] > 0.8
    assert f"{accuracy['mean']:.4f} ± {accuracy['deviation']:.4f}" in (run_path / "README.md").read_text("utf-8")


def test_standard_input_is_read_once_for_all_trainings(run_path: Path, tiny_csv: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lexport", "train", "-", "--out", str(tmp_path / "run"), "--cv", "4", *OPTIONS]
    with tiny_csv.open("rb") as file:
        subprocess.run(command, stdin=file, capture_output=True, check=True)
    assert open_run(tmp_path / "run").digest == open_run(run_path).digest


def test_the_kept_model_is_the_one_without_it(run_path: Path, tiny_csv: Path, tmp_path: Path) -> None:
    plain = lexport.train(tiny_csv, out=tmp_path / "run", recipe="bag", epochs=3, dim=8)
    assert open_run(run_path).digest == open_run(plain.folder).digest
    assert open_run(plain.folder).info.cross_validation == {}


def test_the_evidence_has_it(run_path: Path) -> None:
    run = lexport.load(run_path)
    assert isinstance(run, lexport.Run)
    run.export("onnx-fp32")
    evidence = json.loads((run_path / "export" / "evidence.json").read_text("utf-8"))
    assert evidence["run"]["cross_validation"] == open_run(run_path).info.cross_validation


def test_texts_that_are_held_back_for_the_test_are_in_no_fold(tmp_path: Path) -> None:
    texts = [f"{word} {number}" for number in range(30) for word in ("good fun", "bad bore")]
    test = ([f"{word} new {number}" for number in range(5) for word in ("good", "bad")], ["pos", "neg"] * 5)
    run = lexport.train(
        texts=texts, labels=["pos", "neg"] * 30, test=test, out=tmp_path / "run", recipe="bag", epochs=2, cv=3
    )
    assert run.info.cross_validation["texts"] == 60
    assert run.info.data["test"] == 10


def test_with_auto_the_folds_decide(tiny_csv: Path, tmp_path: Path) -> None:
    run = lexport.train(tiny_csv, out=tmp_path / "run", recipe="auto", epochs=1, cv=3, budget=1e-9)
    [line] = run.info.leaderboard
    assert line["cross_validated"]["accuracy"] == run.info.cross_validation["metrics"]["accuracy"]["mean"]
    # What chooses a recipe does not include what the chosen one is judged by.
    assert run.info.cross_validation["texts"] == run.info.data["train"] + run.info.data["validation"]
    assert "in cross-validation" in (tmp_path / "run" / "README.md").read_text("utf-8")


def test_a_run_that_is_trained_further_cannot_be_cross_validated(
    run_path: Path, tiny_csv: Path, tmp_path: Path
) -> None:
    with refused(InputError, "LX-TRAIN-032", "--cv 3", "trained further"):
        lexport.train(tiny_csv, out=tmp_path / "run", start=run_path, cv=3)
    assert not (tmp_path / "run").exists()


def test_folds_that_cannot_be_made_are_an_error(tiny_csv: Path, tmp_path: Path) -> None:
    with refused(InputError, "LX-DATA-093", "--cv 1", "2 to"):
        lexport.train(tiny_csv, out=tmp_path / "run", cv=1)
    assert not (tmp_path / "run").exists()
