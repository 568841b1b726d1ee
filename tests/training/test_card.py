"""The model card: true of every kind of model, and nothing that is not so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.evaluation.tasks import task_of_run
from lexport.models.run import Run, open_run
from lexport.training.card import write_card

from ..conftest import TASKS


def card_of(run: Run) -> str:
    return write_card(run.folder.name, run.info, run.recipe, task_of_run(run), run.metrics, run.encoder.spec)


@pytest.mark.parametrize("name", TASKS)
def test_the_card_of_a_run_can_be_written_again(task_run: Callable[[str], Path], name: str) -> None:
    run = open_run(task_run(name))
    assert card_of(run) == (run.folder / "README.md").read_text(encoding="utf-8")


def test_a_classifier(trained_run: Run) -> None:
    card = card_of(trained_run)
    for words in (
        "# topics\n",
        "A text classifier for 3 labels (kitchen, sport, weather), trained by lexport",
        "with the recipe `bag`",
        "topics.csv, 488 training texts",
        f"SHA-256 of the cleaned rows: `{trained_run.info.data['digest']}`",
        "embedding `table`, encoder `bag`, head `classifier`",
        f"{len(trained_run.encoder.vocabulary):,} words (seen 2 times or more), 4,096 buckets for n-grams of up to 2",
        "16 dimensions",
        "1,024 tokens per text; the rest is cut off",
        "The scores are not calibrated.",
        f"accuracy {trained_run.metrics['test']['accuracy']:.4f}",
        "| kitchen | ",
    ):
        assert words in card


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("multilabel", ["any number of 4 labels (kitchen, long, sport, weather)", "micro f1 ", "| long | "]),
        (
            "vector",
            ["turns a text into a unit vector", "How often the other half of a pair is among the nearest, on the"],
        ),
        (
            "joint",
            ["texts and images into one space", "How often an image that fits the text is among the nearest, on the"],
        ),
        ("languages", ["words by language: ", " of en, ", " of ne (seen 1 times or more), 256 buckets for n-grams"]),
    ],
)
def test_other_kinds_of_models(task_run: Callable[[str], Path], name: str, words: list[str]) -> None:
    run = open_run(task_run(name))
    card = card_of(run)
    for one in words:
        assert one in card
    if run.recipe.task in ("vector", "joint"):
        assert "calibrated" not in card
        assert (
            f"| 10 | {run.metrics['test']['recall_at_10']:.3f} | {run.metrics['test']['chance_at_10']:.3f} |" in card
        )
