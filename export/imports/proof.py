"""What a foreign model and the run that was made of it answer to the same texts, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...evaluation.metrics import Outputs
from ...evaluation.tasks import Task

_LEAST_COSINE = 0.9999
_TOLD = 5  # texts at most


@dataclass(frozen=True)
class Proof:
    """What was found when both answered the user's texts."""

    proven: bool
    """Whether both gave the same answers."""
    texts: int
    """Number of texts."""
    same: int
    """Texts with the same label, the same set of labels, or a vector of the same direction."""
    largest_difference: float
    """Largest difference of a score, or of a vector's component; infinite where their shapes differ."""
    allowed: float
    """Largest difference of a score that is allowed; of a vector the cosine must be 0.9999 or more."""
    least_cosine: float | None = None
    """Least cosine of the vectors of a text; None for scores."""
    why: str = ""
    """What the differences are."""


def compare(task: Task, allowed: float, texts: Sequence[str], before: Outputs, after: Outputs) -> Proof:
    """Compare the outputs of the foreign model, `before`, with those of the run, float32 [texts, labels or dim].

    `allowed` is the largest difference of a score. Another label counts as the same where the foreign model's own
    scores of both are no further apart than twice what is allowed: neither is then more right than the other.
    """
    if before.shape != after.shape:
        why = f"the outputs have the shapes {list(before.shape)} and {list(after.shape)}"
        return Proof(False, len(texts), 0, math.inf, allowed, why=why)
    differences = np.abs(before.astype(np.float64) - after).max(axis=1, initial=0.0)
    cosines: float | None = None
    if task.GIVES_SCORES:
        same = ~task.changed(after, before) | _close(task, before, after, allowed)
        # Written so that a NaN is no agreement.
        good = same & (differences <= allowed)
    else:
        along = (before.astype(np.float64) * after).sum(axis=1)
        nothing = ~before.any(axis=1) & ~after.any(axis=1)
        along[nothing] = 1.0  # texts of which both know nothing
        cosines = float(along.min(initial=1.0))
        same = good = along >= _LEAST_COSINE
    wrong = np.flatnonzero(~good).tolist()
    told = "; ".join(
        f"{texts[row][:60]!r}: {task.describe(before[row])} before, {task.describe(after[row])} after"
        for row in wrong[:_TOLD]
    )
    return Proof(
        proven=not wrong,
        texts=len(texts),
        same=int(same.sum()),
        largest_difference=float(differences.max(initial=0.0)),
        allowed=allowed,
        least_cosine=cosines,
        why=f"{len(wrong):,} of {len(texts):,} texts are answered otherwise, such as {told}" if wrong else "",
    )


def _close(task: Task, before: Outputs, after: Outputs, allowed: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return where the answers differ only because the foreign scores are as good as equal, bool [texts]."""
    rows = np.arange(len(before))
    if task.MULTI_LABEL:
        moved = (before >= task.threshold) != (after >= task.threshold)
        near = np.abs(before - task.threshold) <= allowed
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (~moved | near).all(axis=1)
        return found
    gap = before[rows, before.argmax(axis=1)] - before[rows, after.argmax(axis=1)]
    close: np.ndarray[tuple[int], np.dtype[np.bool_]] = gap <= 2 * allowed
    return close
