"""Choosing the golden requests of a run and writing down both models' answers to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..handlers.predictor import Predictor
from ..models.data import Dataset
from ..models.run import Run
from ..models.train import scores

LEAST = 16
# Of a model with more labels than this leaves room for, the first labels are covered: every worker answers them all.
MOST = 64
# Latin, Han, Greek with a capital sigma, Turkish dotted I, a combining accent, emoji joined by U+200D.
_NON_ASCII = "Très bien, 很好! ΟΔΥΣΣΕΥΣ İyi cafe\u0301 👩\u200d👧 \u00a0"
_UNKNOWN = "qxzvkj wqpfzx 12345678901234567890"


def choose_goldens(run: Run, validation: Dataset) -> list[str]:
    """At least 16 texts: empty, all unknown, non-ASCII, the longest, and real ones covering every label.

    The real ones come from the validation texts, in their order, so that the test texts stay unpublished; a
    label gets the texts that carry it and, where the model ever answers it, one it answers.
    """
    chosen = ["", _UNKNOWN, _NON_ASCII, max(validation.texts, key=len)]
    predicted = scores(run.model, run.encoder, validation.texts).argmax(axis=1).tolist()
    each = -(-(LEAST - len(chosen)) // len(run.labels))
    for position, label in enumerate(run.labels[: MOST - len(chosen)]):
        answered = [text for text, top in zip(validation.texts, predicted, strict=True) if top == position]
        carrying = [text for text, own in zip(validation.texts, validation.labels, strict=True) if own == label]
        chosen += (answered[:1] + carrying)[:each]
    for text in validation.texts:
        if len(dict.fromkeys(chosen)) >= LEAST:
            break
        chosen.append(text)
    return list(dict.fromkeys(chosen))


def golden_lines(run: Run, predictor: Predictor, texts: Sequence[str]) -> bytes:
    """`golden.jsonl`: each text with the trained model's answer and this variant's own, UTF-8."""
    trained = scores(run.model, run.encoder, texts)
    lines = []
    for text, row, variant in zip(texts, trained, predictor.predict(texts), strict=True):
        answer: dict[str, Any] = {
            "label": run.labels[int(row.argmax())],
            "scores": dict(zip(run.labels, row.tolist(), strict=True)),
        }
        line = {"text": text, "trained": answer, "variant": variant}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(lines).encode()
