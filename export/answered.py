"""Runs evaluated on their test texts with the answer to each: what is behind a figure, what two runs differ in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..evaluation.bootstrap import bootstrap_means, percentile_interval
from .evaluate import evaluate


@dataclass(frozen=True)
class Answered:
    """An evaluation as JSON, and the texts that it was made on."""

    found: dict[str, Any]
    """What `Evaluation.to_json` returns."""
    texts: tuple[dict[str, Any], ...]
    """Each text with its `label`, `prediction` and `confidence`; none where an answer is no single label."""

    def behind(self, truth: str, answer: str) -> list[dict[str, Any]]:
        """Return the texts with this label that were answered like this, those with the highest score first."""
        found = [one for one in self.texts if (one["label"], one["prediction"]) == (truth, answer)]
        return sorted(found, key=lambda one: -one["confidence"])


@dataclass(frozen=True)
class Paired:
    """Two evaluations on the texts that both have, with the same true label."""

    shared: int
    """How many texts these are."""
    both: int
    """How many both have right."""
    only_one: list[dict[str, Any]]
    """Those that the first alone has right, those first where the second is surest: `text`, `label`, the answers and
    scores of both as `one`, `other`, `one_score`, `other_score`."""
    only_other: list[dict[str, Any]]
    """Those that the second alone has right, those first where the first is surest."""
    difference: float
    """The accuracy of the second minus that of the first on these texts."""
    interval: tuple[float, float]
    """Its 95 % bootstrap interval, each text drawn with both of its answers."""


def pair(one: Answered, other: Answered) -> Paired:
    """Compare the answers of two runs text by text. Raises InputError where they have no text in common."""
    answers = {(text["text"], text["label"]): text for text in other.texts}
    texts = [(text, answers[place]) for text in one.texts if (place := (text["text"], text["label"])) in answers]
    if not texts:
        raise InputError(
            f"The {len(one.texts):,} test texts of one run and the {len(other.texts):,} of the other have none in "
            "common, so their answers cannot be compared. Expected runs that were trained on the same data.",
            code="LX-UI-010",
        )
    right = np.array([[text["prediction"] == text["label"] for text in pair] for pair in texts], dtype=np.float64)
    gain = right[:, 1] - right[:, 0]
    rows = [
        {
            "text": first["text"],
            "label": first["label"],
            "one": first["prediction"],
            "other": second["prediction"],
            "one_score": first["confidence"],
            "other_score": second["confidence"],
        }
        for first, second in texts
    ]
    low, high = percentile_interval(bootstrap_means(gain[:, None])[:, 0])
    return Paired(
        shared=len(texts),
        both=int((right.sum(axis=1) == 2).sum()),
        only_one=sorted((rows[at] for at in np.flatnonzero(gain < 0)), key=lambda row: -row["other_score"]),
        only_other=sorted((rows[at] for at in np.flatnonzero(gain > 0)), key=lambda row: -row["one_score"]),
        difference=float(gain.mean()),
        interval=(low, high),
    )


def evaluate_texts(folder: Path, *, mistakes: int, unknown_rates: Sequence[float] = ()) -> Answered:
    """Evaluate the run in `folder` on its test texts and keep them. Options and errors are those of `evaluate`."""
    with tempfile.TemporaryDirectory(prefix="lexport-texts-") as scratch:
        answers = Path(scratch) / "answers.jsonl"
        evaluation = evaluate(
            folder, part="test", mistakes=mistakes, unknown_rates=unknown_rates, predictions=answers
        ).to_json()
        # Vector models and sets of labels have no matrix whose cells could be asked for.
        with answers.open(encoding="utf-8", newline="\n") as lines:
            texts = tuple(json.loads(line) for line in lines) if "confusion" in evaluation else ()
    return Answered(evaluation, texts)
