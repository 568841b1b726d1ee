"""A run evaluated on its test texts, with the texts behind each cell of its confusion matrix."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
