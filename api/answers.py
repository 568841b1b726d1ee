"""Answers of the Python API: typed, in a list that notebooks show as a table."""

from __future__ import annotations

from collections.abc import Sequence

from ..client.answers import Answer, MultiLabelPrediction, Prediction
from ..reports import notebook


class Predictions(list[Answer]):
    """The answers to several texts, in their order: a list with the texts as an attribute."""

    def __init__(self, texts: Sequence[str], answers: Sequence[Answer]) -> None:
        """Keep `answers`, one for each of `texts` (none are named for images)."""
        super().__init__(answers)
        self.texts = list(texts)

    def _repr_html_(self) -> str:
        texts = self.texts or [""] * len(self)
        if all(isinstance(answer, Prediction) for answer in self):
            rows = [(text, one.label, one.score) for text, one in zip(texts, self, strict=True)]  # type: ignore[union-attr]
            return notebook.table(("text", "label", "score"), rows, shares=frozenset({"score"}))
        return notebook.table(
            ("text", "answer"), [(text, _short(one)) for text, one in zip(texts, self, strict=True)]
        )


def _short(answer: Answer) -> str:
    if isinstance(answer, Prediction):
        return f"{answer.label} ({answer.score:.3f})"
    if isinstance(answer, MultiLabelPrediction):
        return ", ".join(f"{one.label} ({one.score:.3f})" for one in answer.labels) or "no label"
    head = ", ".join(f"{value:.3f}" for value in answer.vector[:4])
    return f"[{head}, …] of {len(answer.vector)} numbers"
