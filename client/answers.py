"""What a model answers, typed: one dataclass for each kind of answer."""

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
    """One label of a text, and the scores of all (of the best `top_k`, where that was asked for)."""

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
    """A token as the model reads it, where it stands in the text, and what it adds to the logit of each label."""

    token: str
    start: int
    end: int
    contributions: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a text's tokens add to the bias, of each label, to make its logit.

    labels: what the model answers, best first; one, but of a multi-label model any number. method: "additive", exact,
    or "shapley", sampled by so many `orders` of the tokens with a `standard_error`.
    """

    labels: tuple[Scored, ...]
    method: str
    bias: dict[str, float]
    logits: dict[str, float]
    tokens: tuple[Contribution, ...]
    truncated: bool
    orders: int | None = None
    standard_error: float | None = None


Answer = Classification | Labelled | Vector
_SAID = ("label", "labels")


def is_own(value: Any) -> bool:
    """Whether a JSON value has the keys of an answer that an archive made by lexport gives."""
    if not isinstance(value, dict):
        return False
    return "vector" in value or (value.keys() >= {"scores", "tokens"} and not value.keys().isdisjoint(_SAID))


def read_answer(value: Any) -> Answer:
    """An answer out of its JSON. Raises ValueError for what is none; keys not known here are left out."""
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
        raise ValueError(f"no answer of a text model: {type(error).__name__} {error}") from None


def read_explanation(value: Any) -> Explanation:
    """An explanation out of its JSON. Raises ValueError for what is none."""
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
        raise ValueError(f"no explanation: {type(error).__name__} {error}") from None


def _counts(value: Mapping[str, Any]) -> tuple[int, int, bool]:
    return int(value["tokens"]), int(value["unknown"]), bool(value["truncated"])
