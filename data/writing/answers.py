"""The columns of a model's answers, the same wherever answers are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .kinds import Kind

ONE_LABEL: Mapping[str, Kind] = {"prediction": Kind.TEXT, "confidence": Kind.NUMBER}
"""The label, and its score."""
SEVERAL_LABELS: Mapping[str, Kind] = {"prediction": Kind.TEXTS, "confidence": Kind.NUMBERS}
"""The labels, the best first, and their scores."""
VECTOR: Mapping[str, Kind] = {"vector": Kind.NUMBERS}
"""The vector."""
ERROR: Mapping[str, Kind] = {"error": Kind.TEXT}
"""Why there is no answer."""


def score_column(label: str) -> str:
    """Return the name of the column of a label's score."""
    return f"score_{label}"


def score_columns(labels: Iterable[str]) -> dict[str, Kind]:
    """Return a column for the score of each label."""
    return {score_column(label): Kind.NUMBER for label in labels}
