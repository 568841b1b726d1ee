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
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted label of a text."""

    label: str
    score: float
    """Score of the label, 0 to 1."""
    scores: dict[str, float]
    """Score of every label, together 1; with `top_k` in the request only the best, best first."""
    tokens: int
    """Tokens that the model read."""
    unknown: int
    """Those of them that the model does not know."""
    truncated: bool
    """Whether the text was cut to the model's longest text."""


@dataclass(frozen=True, slots=True)
class MultiLabelPrediction:
    """The predicted labels of a text, any number of them."""

    labels: tuple[Scored, ...]
    """Labels whose score reaches the threshold, best first."""
    scores: dict[str, float]
    """Score of every label, each 0 to 1; with `top_k` in the request only the best, best first."""
    tokens: int
    """Tokens that the model read."""
    unknown: int
    """Those of them that the model does not know."""
    truncated: bool
    """Whether the text was cut to the model's longest text."""


@dataclass(frozen=True, slots=True)
class Vector:
    """The vector of a text or an image."""

    vector: tuple[float, ...]
    """Length 1; zeros for a text without a known token."""
    tokens: int | None = None
    """Tokens that the model read; None for an image."""
    unknown: int | None = None
    """Those of them that the model does not know; None for an image."""
    truncated: bool | None = None
    """Whether the text was cut to the model's longest text; None for an image."""


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


Answer = Prediction | MultiLabelPrediction | Vector
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
            return MultiLabelPrediction(labels, scores, *_counts(value))
        return Prediction(str(value["label"]), float(value["score"]), scores, *_counts(value))
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
