"""Evaluating runs and archives on labelled data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.export.evaluate import evaluate
from lexport.export.evidence import read_evidence
from lexport.models.run import Run


def test_a_run_scores_on_its_test_part_what_its_metrics_say(
    run_folder: Path, trained_run: Run, tiny_csv: Path
) -> None:
    found = evaluate(run_folder, str(tiny_csv), part="test")
    expected = trained_run.metrics["test"]
    assert found["accuracy"] == expected["accuracy"]
    assert found["macro_f1"] == expected["macro_f1"]
    assert found["confusion"] == expected["confusion"]
    assert found["seen"] == 0
    low, high = found["accuracy_interval"]
    assert low <= found["accuracy"] <= high


@pytest.mark.parametrize("variant", ["torchscript-int8", "onnx-fp32"])
def test_an_archive_scores_what_its_evidence_says(
    archive_of: Callable[[str], Path], run_folder: Path, tiny_csv: Path, variant: str
) -> None:
    found = evaluate(archive_of(variant), str(tiny_csv), part="test")
    assert found["accuracy"] == read_evidence(run_folder).variant(variant).test["accuracy"]


def test_texts_that_were_trained_on_are_counted(run_folder: Path, trained_run: Run, tiny_csv: Path) -> None:
    found = evaluate(run_folder, str(tiny_csv))
    assert found["seen"] == trained_run.info.data["train"]
    assert found["count"] == sum(trained_run.info.data[part] for part in ("train", "validation", "test"))


def test_other_data_count_as_unseen(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na goal for the league,sport\nbutter and bread,kitchen\n")
    found = evaluate(run_folder, str(tmp_path / "new.csv"))
    assert (found["accuracy"], found["seen"], found["count"]) == (1.0, 0, 2)


def test_labels_the_model_does_not_know_are_named(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na goal,sport\na vote,politics\n")
    with pytest.raises(InputError, match="does not know: politics; it knows: kitchen, sport, weather"):
        evaluate(run_folder, str(tmp_path / "new.csv"))


def test_an_unknown_part_is_refused(run_folder: Path, tiny_csv: Path) -> None:
    with pytest.raises(InputError, match="--part 'half' is not known"):
        evaluate(run_folder, str(tiny_csv), part="half")
