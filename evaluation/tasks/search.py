"""The tasks of models that answer vectors: find the other text of a pair, or the image of a text.

The outputs of "vector" are the vectors of all texts, then of all their pairs, those of "joint" of all texts, then of
all images: float32 [2 * texts, size].
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...data.load import Columns, Dataset, Source, halves
from ...data.samples import SAMPLES
from ...data.writing.kinds import Kind
from ...errors import InputError
from ..bootstrap import insert_intervals, rank_intervals
from ..metrics import Counts, Outputs, Values, ranks, retrieval
from .base import Mistake, Task

_ROUNDING = 1e-6
"""Products of unit vectors that differ by no more are equal: a text alone and in a batch differs by as much."""
_OWN = -2.0
"""In the place of a vector's product with itself: below that of any two unit vectors."""


class _Search(Task):
    """A task whose outputs are unit vectors of texts and of what they are to find."""

    METRIC: ClassVar[str] = "recall_at_1"
    HEADLINES: ClassVar[Mapping[str, str]] = {"recall_at_1": "recall@1", "recall_at_10": "recall@10"}
    GIVES_SCORES: ClassVar[bool] = False
    MISTAKE_COLUMNS: ClassVar[Mapping[str, bool]] = {"rank": True, "of": True, "score": True, "first score": True}
    TARGET: ClassVar[str]
    """What is to be found, for the model card."""

    @classmethod
    def check(cls, dataset: Dataset) -> None:
        """Accept any data: nothing is learned of labels."""

    @classmethod
    def label_sets(cls, part: Dataset) -> list[tuple[str, ...]]:
        """Return no rows: nothing is learned of labels."""
        return []

    def truth(self, part: Dataset) -> npt.NDArray[Any]:
        """Return the group of each row, int64 [texts]: rows of one group fit each other."""
        return self.groups(part)

    def groups(self, part: Dataset) -> Counts:
        """Return the group of each row, int64 [texts]: each row is its own."""
        return np.arange(len(part))

    def metrics(self, part: Dataset, outputs: Outputs) -> dict[str, Any]:
        """Return `metrics.retrieval` of each text's own target among all."""
        texts, others, groups = self._sides(part, outputs)
        return retrieval(texts, others, groups, groups)

    def with_intervals(self, part: Dataset, outputs: Outputs, metrics: dict[str, Any]) -> dict[str, Any]:
        """Add bootstrap intervals."""
        return insert_intervals(metrics, rank_intervals(self.ranks(part, outputs)))

    def terms(self, part: Dataset, outputs: Outputs) -> Values:
        """Return 1 for each text whose nearest target is a right one, float64 [texts, 1]."""
        return (self.ranks(part, outputs) <= 1)[:, None].astype(np.float64)

    def ranks(self, part: Dataset, outputs: Outputs) -> Values:
        """Return the rank of each text's first right target, float64 [texts]."""
        texts, others, groups = self._sides(part, outputs)
        return ranks(texts, others, groups, groups)

    def changed(self, outputs: Outputs, reference: Outputs) -> npt.NDArray[np.bool_]:
        """Return which texts have another nearest target; of targets that are equally near any is the same."""
        half = len(outputs) // 2
        return _moved(*(vectors[:half] @ vectors[half:].T for vectors in (outputs, reference)))

    def flips_alone(self, alone: Outputs, together: Outputs) -> int:
        """Return how many texts have another nearest text: targets are not among these outputs."""
        return int(_moved(_likeness(alone), _likeness(together)).sum())

    def distances(self, outputs: Outputs, reference: Outputs, count: int) -> Values:
        """Return 1 - cosine, for each text."""
        found: Values = np.square(outputs[:count] - reference[:count]).sum(axis=1) / 2
        return found

    def predictions(self, outputs: Outputs) -> list[tuple[str, ...]]:
        """Return no rows: there are no labels."""
        return []

    def answer_columns(self) -> dict[str, Kind]:
        """Return the rank of the first right target, from 1."""
        return {"rank": Kind.WHOLE}

    def answer_cells(self, part: Dataset, outputs: Outputs) -> Iterator[dict[str, Any]]:
        """Yield it for each text."""
        for rank in self.ranks(part, outputs).tolist():
            yield {"rank": int(rank)}

    def describe(self, row: Outputs) -> str:
        """Return the first components of the vector."""
        return "(" + ", ".join(f"{value:.3f}" for value in row[:4]) + ", …)"

    def mistakes(self, part: Dataset, outputs: Outputs) -> Iterator[Mistake]:
        """Yield texts by the `rank` of the first right target of all `targets`.

        `score` is its product with the text; `found` and `found_score` are the nearest wrong one.
        """
        texts, others, groups = self._sides(part, outputs)
        rank = self.ranks(part, outputs)
        for row in np.flatnonzero(rank > 1).tolist():
            products = others @ texts[row]
            right = groups == groups[row]
            first = int(np.where(right, -np.inf, products).argmax())
            facts: dict[str, Any] = {
                "rank": int(rank[row]),
                "targets": len(others),
                "score": float(products[right].max()),
            }
            facts |= {"found": self.name_of(part, first), "found_score": float(products[first])}
            yield Mistake(float(rank[row]), row, facts)

    @abstractmethod
    def name_of(self, part: Dataset, row: int) -> str:
        """Return the name of a target, for people."""

    @classmethod
    def mistake_cells(cls, facts: Mapping[str, Any]) -> list[str | int | float]:
        """Return the rank, the number of targets, and the scores of the right and the nearest one."""
        return [facts["rank"], facts["targets"], facts["score"], facts["found_score"]]

    @classmethod
    def mistake_text(cls, facts: Mapping[str, Any]) -> list[str]:
        """Return the text and what was found."""
        return [facts["text"], facts["found"]]

    @classmethod
    def card_results(cls, test: Mapping[str, Any]) -> list[str]:
        """Return a table of how often the target is among the nearest."""
        rows = [
            f"| {name.removeprefix('recall_at_')} | {value:.3f} | {test[f'chance_at_{name[10:]}']:.3f} |"
            for name, value in test.items()
            if name.startswith("recall_at_")
        ]
        return [
            f"How often {cls.TARGET} is among the nearest, on the {test['count']:,} test texts:",
            "",
            "| nearest | share | by chance |",
            "|--:|--:|--:|",
            *rows,
        ]

    def _sides(self, part: Dataset, outputs: Outputs) -> tuple[Outputs, Outputs, Counts]:
        return outputs[: len(part)], outputs[len(part) :], self.groups(part)


class Vectors(_Search):
    """A unit vector for a text, near that of the other text of its pair."""

    NAME: ClassVar[str] = "vector"
    ANSWERS: ClassVar[str] = "vector"
    PURPOSE: ClassVar[str] = "text vectors"
    TAKES_PAIRS: ClassVar[bool] = True
    MISTAKES: ClassVar[str] = "Hardest to find: the rank of the right pair; after the arrow what came first"
    TARGET: ClassVar[str] = "the other half of a pair"

    @classmethod
    def prepare(cls, dataset: Dataset, columns: Columns) -> Dataset:
        """Return `dataset` with pairs: the two halves of each text if it has none."""
        dataset = super().prepare(dataset, columns)
        return halves(dataset) if dataset.pairs is None else dataset

    def name_of(self, part: Dataset, row: int) -> str:
        """Return the second text of a row."""
        assert part.pairs is not None
        return part.pairs[row]

    def card_title(self, labels: str) -> str:
        """Return what it is."""
        return "A model that turns a text into a unit vector"


class Joint(_Search):
    """Unit vectors of texts and images in one space; images of the same label fit the same texts."""

    NAME: ClassVar[str] = "joint"
    ANSWERS: ClassVar[str] = "joint"
    PURPOSE: ClassVar[str] = "vectors of texts and images"
    TAKES_IMAGES: ClassVar[bool] = True
    DUPLICATES_LEAK: ClassVar[bool] = False  # rows are told apart by their images
    MISTAKES: ClassVar[str] = "Hardest to find: the rank of the right image; after the arrow what came first"
    TARGET: ClassVar[str] = "an image that fits the text"

    @classmethod
    def columns(cls, source: Source, columns: Columns) -> Columns:
        """Return the columns to read: with the labels that a sample set has."""
        return (
            replace(columns, label="label")
            if isinstance(source, str) and source in SAMPLES and columns.label is None
            else columns
        )

    @classmethod
    def prepare(cls, dataset: Dataset, columns: Columns) -> Dataset:
        """Return `dataset`. Raises InputError if it has no images."""
        if dataset.images is None:
            raise InputError(
                f"{dataset.name} has no images, which the head 'joint' needs. Name --image-column.",
                code="LX-EVAL-004",
            )
        return super().prepare(dataset, columns)

    def groups(self, part: Dataset) -> Counts:
        """Return the group of each row, int64 [texts]: rows of the same label, or each row its own without labels."""
        if not any(part.labels):
            return super().groups(part)
        place = {label: index for index, label in enumerate(part.classes)}
        return np.array([place[label] for label in part.labels], np.int64)

    def metrics(self, part: Dataset, outputs: Outputs) -> dict[str, Any]:
        """Return `metrics.retrieval` of the images that fit a text, and under `image_to_text` the other way round."""
        texts, images, groups = self._sides(part, outputs)
        return super().metrics(part, outputs) | {"image_to_text": retrieval(images, texts, groups, groups)}

    def with_intervals(self, part: Dataset, outputs: Outputs, metrics: dict[str, Any]) -> dict[str, Any]:
        """Add bootstrap intervals, in both directions."""
        texts, images, groups = self._sides(part, outputs)
        back = insert_intervals(metrics["image_to_text"], rank_intervals(ranks(images, texts, groups, groups)))
        return super().with_intervals(part, outputs, metrics | {"image_to_text": back})

    def name_of(self, part: Dataset, row: int) -> str:
        """Return an image's label, or its number."""
        return part.labels[row] or f"image {row + 1:,}"

    def card_title(self, labels: str) -> str:
        """Return what it is."""
        return "A model that puts texts and images into one space, as unit vectors"


def _likeness(vectors: Outputs) -> Outputs:
    """Return the product of each vector with each other one, that with itself below all, float32 [texts, texts]."""
    likeness: Outputs = vectors @ vectors.T
    np.fill_diagonal(likeness, _OWN)
    return likeness


def _moved(likeness: Outputs, reference: Outputs) -> npt.NDArray[np.bool_]:
    """Return for which rows the highest column is another one in the reference, not by rounding, bool [rows]."""
    found = likeness.argmax(axis=1)[:, None]
    below: npt.NDArray[np.bool_] = reference.max(axis=1) - np.take_along_axis(reference, found, 1)[:, 0] > _ROUNDING
    return below
