"""The charts of a training: which lines they have, and what is said of the epoch that was kept."""

from __future__ import annotations

from typing import Any

from lexport.reports.training import curves

TRAINING: dict[str, Any] = {
    "epochs": 3,
    "best_epoch": 2,
    "validation_losses": [0.6, 0.4, 0.5],
    "training_losses": [0.7, 0.5, 0.3],
    "validation_scores": [0.7, 0.85, 0.8],
}


def test_losses_and_score_of_each_epoch_are_drawn_with_the_one_that_was_kept() -> None:
    found = curves(TRAINING, "accuracy")
    assert found is not None
    loss, score = found.figures
    assert [key.name for key in found.keys] == ["validation", "training"]
    for title in ("epoch 2: validation loss 0.4000", "epoch 3: training loss 0.3000"):
        assert title in loss.drawing
    assert "epoch 2: accuracy 0.8500" in score.drawing
    for figure in (loss, score):
        assert "epoch 2, kept" in figure.drawing
        assert "Number 2 was kept." in figure.caption
    assert score.title == "Accuracy on the validation texts"


def test_runs_of_earlier_versions_have_their_validation_loss() -> None:
    older = {name: TRAINING[name] for name in ("epochs", "best_epoch", "validation_losses")}
    found = curves(older, "accuracy")
    assert found is not None
    assert [figure.title for figure in found.figures] == ["Loss"]
    assert found.keys == []


def test_a_linear_recipe_shows_the_strengths_that_were_tried() -> None:
    found = curves({"epochs": 2, "best_epoch": 1, "validation_losses": [0.3, 0.4], "strength": 1.0}, "accuracy")
    assert found is not None
    assert "strength tried 1, kept" in found.figures[0].drawing


def test_weights_from_before_are_said_to_be_kept_and_no_losses_have_no_chart() -> None:
    found = curves(TRAINING | {"best_epoch": 0}, "accuracy")
    assert found is not None
    assert ", kept" not in found.figures[0].drawing
    assert "None was better" in found.figures[0].caption
    assert curves(TRAINING | {"validation_losses": []}, "accuracy") is None
