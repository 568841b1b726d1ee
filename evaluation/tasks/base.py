"""What every task has; docs/extending.md shows how to add one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ...data.load import Columns, Dataset, Source
from ...data.writing.kinds import Kind
from ...errors import InputError
from ..metrics import Outputs, Values

UNLABELLED = Columns(label=None)
"""The columns to read if none are named; `Task.columns` adds the labels if a task needs them."""


class Mistake(NamedTuple):
    """A wrong answer: how bad it is (the worst are the highest), the row of its text, and the facts to report."""

    badness: float
    row: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Task(ABC):
    """What a model answers, and how its outputs are judged: the same for a trained model and its exported variants.

    `outputs` below are a model's outputs for one part of the data: scores float32 [texts, labels], or vectors as
    `search.py` lays them out.
    """

    labels: Sequence[str] = ()
    """The model's labels in the order of its outputs; none for vectors."""
    threshold: float = 0.5
    """The least score of a predicted label, where a text may have several."""

    NAME: ClassVar[str]
    """The name that `HeadOptions.task` gives."""
    ANSWERS: ClassVar[str]
    """The decoder in `handlers/model/decoders.py` that makes answers of the outputs; `model.json` names it."""
    METRIC: ClassVar[str]
    """The metric that gates read."""
    HEADLINES: ClassVar[Mapping[str, str]]
    """The metrics that reports show first, METRIC among them, with their names for people."""
    PURPOSE: ClassVar[str]
    """What the model is for, in a few words: for the bill of materials."""
    GIVES_SCORES: ClassVar[bool]
    """Whether outputs are scores of labels."""
    MULTI_LABEL: ClassVar[bool] = False
    """Whether a text may have any number of labels."""
    TAKES_PAIRS: ClassVar[bool] = False
    """Whether the second text of a row is used."""
    TAKES_IMAGES: ClassVar[bool] = False
    """Whether the image of a row is used."""
    DUPLICATES_LEAK: ClassVar[bool] = True
    """Whether a text that is in two parts of the data makes the held-out metrics too good."""

    @classmethod
    def columns(cls, source: Source, columns: Columns) -> Columns:
        """Return the columns to read from `source`: with the default label column if labels are needed."""
        return replace(columns, label="label") if cls.GIVES_SCORES and columns.label is None else columns

    @classmethod
    def prepare(cls, dataset: Dataset, columns: Columns) -> Dataset:
        """Return `dataset` as the task needs it.

        Raises InputError for pairs or images named in `columns` that the task does not use.
        """
        if columns.image is None and not cls.TAKES_IMAGES:
            dataset = replace(dataset, images=None)  # of a sample set that has them
        for what, column, user, used in (
            ("pairs", dataset.pairs, "vector", cls.TAKES_PAIRS),
            ("images", dataset.images, "joint", cls.TAKES_IMAGES),
        ):
            if column is not None and not used:
                raise InputError(
                    f"{dataset.name} has {what}, which only the head {user!r} uses. Leave the column "
                    f"out, or use a model with that head (`lexport recipes`).",
                    code="LX-EVAL-005",
                )
        return dataset

    @classmethod
    @abstractmethod
    def check(cls, dataset: Dataset) -> None:
        """Raise InputError for data that nothing can be learned from."""

    @classmethod
    @abstractmethod
    def label_sets(cls, part: Dataset) -> list[tuple[str, ...]]:
        """Return the labels of each text that the model learns; no rows for a task without labels."""

    @abstractmethod
    def truth(self, part: Dataset) -> npt.NDArray[Any]:
        """Return what the loss compares with: one row for each text."""

    @abstractmethod
    def metrics(self, part: Dataset, outputs: Outputs) -> dict[str, Any]:
        """Return the metrics of `outputs` for the texts of `part`, as JSON can hold them."""

    @abstractmethod
    def with_intervals(self, part: Dataset, outputs: Outputs, metrics: dict[str, Any]) -> dict[str, Any]:
        """Return `metrics`, which `metrics` made, with `NAME_interval` [low, high], 95 %, after every metric."""

    @abstractmethod
    def terms(self, part: Dataset, outputs: Outputs) -> Values:
        """Return what each text adds to METRIC, float64 [texts, m]; `metric` takes the means."""

    def metric(self, means: Values) -> Values:
        """Return METRIC, float64 […], from the means of `terms` over texts, float64 […, m]."""
        found: Values = means[..., 0]
        return found

    @abstractmethod
    def changed(self, outputs: Outputs, reference: Outputs) -> npt.NDArray[np.bool_]:
        """Return which predictions differ, bool [texts]."""

    def flips(self, outputs: Outputs, reference: Outputs) -> int:
        """Return how many predictions differ."""
        return int(self.changed(outputs, reference).sum())

    def flips_alone(self, alone: Outputs, together: Outputs) -> int:
        """Return how many predictions for texts, each by itself, differ from those for the same texts in batches."""
        return self.flips(alone, together)

    @abstractmethod
    def distances(self, outputs: Outputs, reference: Outputs, count: int) -> Values:
        """Return how far the outputs of the first `count` texts are from the reference's, float [count]."""

    @abstractmethod
    def predictions(self, outputs: Outputs) -> list[tuple[str, ...]]:
        """Return the predicted labels of each text; no rows for a task without labels."""

    @abstractmethod
    def answer_columns(self) -> dict[str, Kind]:
        """Return the columns of `answer_cells`."""

    @abstractmethod
    def answer_cells(self, part: Dataset, outputs: Outputs) -> Iterator[dict[str, Any]]:
        """Yield for each row what is right, what was answered and its scores, to be written beside the text."""

    @abstractmethod
    def describe(self, row: Outputs) -> str:
        """Return the answer of one row of outputs in words."""

    def calibration(self, part: Dataset, outputs: Outputs) -> dict[str, Any] | None:
        """Return the calibration of the scores, as `calibration.calibration` does; None where there are none."""
        return None

    @abstractmethod
    def mistakes(self, part: Dataset, outputs: Outputs) -> Iterator[Mistake]:
        """Yield the wrong answers, in any order."""

    MISTAKES: ClassVar[str]
    """The title of a table of mistakes."""
    MISTAKE_COLUMNS: ClassVar[Mapping[str, bool]]
    """The columns of that table before the token counts, and whether each has numbers."""

    @classmethod
    @abstractmethod
    def mistake_cells(cls, facts: Mapping[str, Any]) -> list[str | int | float]:
        """Return one mistake's cells for MISTAKE_COLUMNS."""

    @classmethod
    def mistake_text(cls, facts: Mapping[str, Any]) -> list[str]:
        """Return the text of a mistake; behind it what was found instead, if the task finds something."""
        return [facts["text"]]

    @abstractmethod
    def card_title(self, labels: str) -> str:
        """Return the beginning of the model card's first sentence; `labels` are their names, already escaped."""

    @classmethod
    @abstractmethod
    def card_results(cls, test: Mapping[str, Any]) -> list[str]:
        """Return the lines of the model card, Markdown, that show the metrics of the test texts."""
