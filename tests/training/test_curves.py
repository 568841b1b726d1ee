"""The curves that a run keeps of its training: losses and score of each epoch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def kept(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run keeps of its training, and its metrics on the validation texts."""
    read = {name: json.loads((run / f"{name}.json").read_text(encoding="utf-8")) for name in ("run", "metrics")}
    return read["run"]["training"], read["metrics"]["validation"]


@pytest.mark.parametrize(("name", "metric"), [("classify", "accuracy"), ("multilabel", "micro_f1")])
def test_the_score_of_the_best_epoch_is_that_of_the_run(
    run_folder: Path, task_run: Callable[[str], Path], name: str, metric: str
) -> None:
    training, validation = kept(run_folder if name == "classify" else task_run(name))
    assert len(training["validation_scores"]) == len(training["validation_losses"]) == training["epochs"]
    assert training["validation_scores"][training["best_epoch"] - 1] == pytest.approx(validation[metric], abs=1e-6)


def test_the_training_loss_falls(run_folder: Path) -> None:
    training, _ = kept(run_folder)
    assert len(training["training_losses"]) == training["epochs"]
    assert training["training_losses"][-1] < training["training_losses"][0]


def test_search_has_losses_alone(task_run: Callable[[str], Path]) -> None:
    training, _ = kept(task_run("vector"))
    assert training["validation_scores"] == []
    assert len(training["training_losses"]) == training["epochs"]
