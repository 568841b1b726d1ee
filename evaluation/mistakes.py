"""The worst mistakes of a model: the texts to read first."""

from __future__ import annotations

from typing import Any

from ..data.load import Dataset
from ..handlers.text.encoder import TextEncoder
from .metrics import Outputs
from .tasks import Task


def mistakes(
    task: Task, part: Dataset, outputs: Outputs, encoder: TextEncoder, *, most: int = 10
) -> list[dict[str, Any]]:
    """Return the `most` worst mistakes in `outputs` for `part`, as JSON can hold them, the worst first.

    Each has the facts of `Task.mistakes`, and `text`, `tokens`, `unknown` and `truncated`.
    """
    worst = sorted(task.mistakes(part, outputs), key=lambda one: (-one.badness, one.row))[:most]
    rows = [one.row for one in worst]
    languages = None if part.languages is None else [part.languages[row] for row in rows]
    tokens = encoder.look_up([part.texts[row] for row in rows], languages)
    return [
        {"text": part.texts[one.row], **one.facts, "tokens": count, "unknown": unknown, "truncated": cut}
        for one, count, unknown, cut in zip(
            worst, tokens.lengths.tolist(), tokens.unknown.tolist(), tokens.truncated, strict=True
        )
    ]
