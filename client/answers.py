"""Typed answers of a model: one dataclass for each kind of answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scored:
    """A label and its score."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The label of a text, and the scores of all labels (of the best `top_k` labels if the request has `top_k`)."""

    label: str
    score: float
    scores: dict[str, float]
    tokens: int
    unknown: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of a text that score the threshold or more, best first, and the scores of all."""

    labels: tuple[Scored, ...]
    scores: dict[str, float]
    tokens: int
    unknown: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of length 1; the counts are those of a text, None for an image."""

    vector: tuple[float, ...]
    tokens: int | None = None
    unknown: int | None = None
    truncated: bool | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """A token as the model reads it, its position in the text, and what it adds to the logit of each label."""

    token: str
    start: int
    end: int
    contributions: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The contributions of a text's tokens: for each label, they and the bias add up to the logit."""

    labels: tuple[Scored, ...]
    """The predicted labels, best first: one, or any number for a multi-label model."""
    method: str
    """`additive` (exact) or `shapley` (sampled)."""
    bias: dict[str, float]
    """Logit of the empty text, by label."""
    logits: dict[str, float]
    """Logit of the text, by label."""
    tokens: tuple[Contribution, ...]
    truncated: bool
    """Whether the text was cut to the model's longest text."""
    orders: int | None = None
    """Number of sampled orders of the tokens; None for `additive`."""
    standard_error: float | None = None
    """Largest standard error of a sampled contribution; None for `additive`."""


Answer = Classification | Labelled | Vector
_LABEL_KEYS = ("label", "labels")


def is_own(value: Any) -> bool:
    """Return whether a JSON value has the keys of an answer that an archive made by lexport gives."""
    if not isinstance(value, dict):
        return False
    return "vector" in value or (value.keys() >= {"scores", "tokens"} and not value.keys().isdisjoint(_LABEL_KEYS))


def read_answer(value: Any) -> Answer:
    """Return the typed answer of a JSON value. Raises ValueError if it is not an answer; unknown keys are ignored."""
    try:
        if "vector" in value:
            vector = tuple(map(float, value["vector"]))
            return Vector(vector, value.get("tokens"), value.get("unknown"), value.get("truncated"))
        scores = {str(label): float(score) for label, score in value["scores"].items()}
        if "labels" in value:
            labels = tuple(Scored(one["label"], one["score"]) for one in value["labels"])
            return Labelled(labels, scores, *_counts(value))
        return Classification(str(value["label"]), float(value["score"]), scores, *_counts(value))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer of a text model: {type(error).__name__} {error}") from None


def read_explanation(value: Any) -> Explanation:
    """Return the typed explanation of a JSON value. Raises ValueError if it is not an explanation."""
    try:
        tokens = tuple(
            Contribution(one["token"], one["start"], one["end"], dict(one["contributions"]))
            for one in value["tokens"]
        )
        best = [value] if "label" in value else value["labels"]
        return Explanation(
            tuple(Scored(one["label"], one["score"]) for one in best),
            value["method"],
            dict(value["bias"]),
            dict(value["logits"]),
            tokens,
            value["truncated"],
            value.get("orders"),
            value.get("standard_error"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an explanation: {type(error).__name__} {error}") from None


def _counts(value: Mapping[str, Any]) -> tuple[int, int, bool]:
    return int(value["tokens"]), int(value["unknown"]), bool(value["truncated"])
