"""From a model's outputs to its answers: one decoder for each kind of answer, named by `task` in `model.json`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..engine.engines import Counts, Scores
from ..text.hashing import Ids

_COUNTS = ("tokens", "unknown", "truncated")


class Decoder(ABC):
    """How outputs become answers, and what a request may ask of them."""

    GIVES_SCORES: ClassVar[bool]
    """Whether an answer has a score for each label: such answers take `top_k` and can be explained."""
    TENSORS: ClassVar[tuple[str, ...]]
    """What of an answer is a tensor in the Open Inference Protocol, in its order."""
    TAKES_THRESHOLD: ClassVar[bool] = False
    """Whether a request may choose the least score of a label."""
    TAKES_IMAGES: ClassVar[bool] = False
    """Whether the model has an image tower."""

    @abstractmethod
    def decode(
        self, outputs: Scores, counted: Counts, labels: Sequence[str], threshold: float
    ) -> list[dict[str, Any]]:
        """Return one answer for each row of `outputs`, float32 [texts, outputs], with the counts of its tokens."""

    def count_labels(self, outputs: Scores, threshold: float) -> Ids:
        """Return how many texts got each label, and how many none, int64 [labels + 1], where answers have scores."""
        return np.bincount(outputs.argmax(axis=1), minlength=outputs.shape[1] + 1)


class OneLabel(Decoder):
    """Answers with label, score, and scores by label."""

    GIVES_SCORES: ClassVar[bool] = True
    TENSORS: ClassVar[tuple[str, ...]] = ("label", "score", "scores", *_COUNTS)

    def decode(
        self, outputs: Scores, counted: Counts, labels: Sequence[str], threshold: float
    ) -> list[dict[str, Any]]:
        """Return the label with the highest score, for each text."""
        return [
            {
                "label": labels[top],
                "score": row[top],
                "scores": dict(zip(labels, row, strict=True)),
                "tokens": count,
                "unknown": missed,
                "truncated": truncated,
            }
            for row, top, count, missed, truncated in zip(
                outputs.tolist(),
                outputs.argmax(axis=1).tolist(),
                counted.lengths.tolist(),
                counted.unknown.tolist(),
                counted.truncated.tolist(),
                strict=True,
            )
        ]


class SeveralLabels(Decoder):
    """Answers with labels (each with its score, best first), and scores by label."""

    GIVES_SCORES: ClassVar[bool] = True
    TENSORS: ClassVar[tuple[str, ...]] = ("scores", *_COUNTS)
    TAKES_THRESHOLD: ClassVar[bool] = True

    def decode(
        self, outputs: Scores, counted: Counts, labels: Sequence[str], threshold: float
    ) -> list[dict[str, Any]]:
        """Return the labels whose score reaches `threshold`, for each text."""
        tables = [dict(zip(labels, row, strict=True)) for row in outputs.tolist()]
        return _with_counts(
            [{"labels": labels_above(threshold, scores), "scores": scores} for scores in tables], counted
        )

    def count_labels(self, outputs: Scores, threshold: float) -> Ids:
        """Return how many texts got each label, and how many none; a text counts once for each of its labels."""
        chosen = outputs >= threshold
        return np.append(chosen.sum(axis=0), (~chosen.any(axis=1)).sum())


class TextVector(Decoder):
    """Answers with a vector."""

    GIVES_SCORES: ClassVar[bool] = False
    TENSORS: ClassVar[tuple[str, ...]] = ("vector", *_COUNTS)

    def decode(
        self, outputs: Scores, counted: Counts, labels: Sequence[str], threshold: float
    ) -> list[dict[str, Any]]:
        """Return the row, for each text."""
        return _with_counts(vectors(outputs), counted)


class JointVector(TextVector):
    """Answers with the vector of a text or an image."""

    TAKES_IMAGES: ClassVar[bool] = True


DECODERS: dict[str, Decoder] = {
    "classify": OneLabel(),
    "multilabel": SeveralLabels(),
    "vector": TextVector(),
    "joint": JointVector(),
}
"""What `task` in `model.json` may be."""


def vectors(outputs: Scores) -> list[dict[str, Any]]:
    """Return an answer with each row of `outputs` as its vector."""
    return [{"vector": row} for row in outputs.tolist()]


def labels_above(threshold: float, scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the labels whose score is `threshold` or more, best first, each with its score."""
    chosen = [{"label": label, "score": score} for label, score in scores.items() if score >= threshold]
    return sorted(chosen, key=lambda one: -one["score"])


def _with_counts(answers: list[dict[str, Any]], counted: Counts) -> list[dict[str, Any]]:
    counts = zip(counted.lengths.tolist(), counted.unknown.tolist(), counted.truncated.tolist(), strict=True)
    for answer, (count, missed, truncated) in zip(answers, counts, strict=True):
        answer |= {"tokens": count, "unknown": missed, "truncated": truncated}
    return answers
