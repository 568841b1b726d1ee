"""Tasks and their metrics: the same for a trained model and its exported variants.

`outputs` below are the outputs of a model for one part of the data: scores float32 [texts, labels] for
"classify" and "multilabel"; for "vector" the vectors of all texts, then of all their pairs, float32
[2 * texts, size]; for "joint" those of all texts, then of all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.load import Columns, Dataset, halves, label_sets
from ..data.samples import SAMPLES
from ..errors import InputError
from .metrics import retrieval, score, score_multilabel, wilson

Outputs = npt.NDArray[np.float32]

# The metric that gates read and that reports show first.
METRIC = {"classify": "accuracy", "multilabel": "micro_f1", "vector": "recall_at_1", "joint": "recall_at_1"}

# The columns to read if none are named; `columns_for` adds the labels if a task needs them.
UNLABELLED = Columns(label=None)


def columns_for(task: str, source: str, columns: Columns) -> Columns:
    """Return `columns`, with the default name of the label column if the task needs labels and none is named.

    "vector" needs none; "joint" uses those that a sample set has.
    """
    needed = task in ("classify", "multilabel") or (task == "joint" and source in SAMPLES)
    return replace(columns, label="label") if needed and columns.label is None else columns


def prepare_dataset(task: str, dataset: Dataset, columns: Columns) -> Dataset:
    """Return `dataset` as `task` needs it: for "vector" without pairs, the two halves of each text.

    Raises InputError if "joint" has no images, and for pairs or images named in `columns` that the task does not use.
    """
    if columns.image is None and task != "joint":
        dataset = replace(dataset, images=None)  # of a sample set that has them
    if task == "joint" and dataset.images is None:
        raise InputError(
            f"{dataset.name} has no images, which the head 'joint' needs. Name --image-column.", code="LX-EVAL-004"
        )
    for what, column, user in (("pairs", dataset.pairs, "vector"), ("images", dataset.images, "joint")):
        if column is not None and task != user:
            raise InputError(
                f"{dataset.name} has {what}, which only the head {user!r} uses. Leave the column "
                f"out, or use a model with that head (`lexport recipes`).",
                code="LX-EVAL-005",
            )
    return halves(dataset) if task == "vector" and dataset.pairs is None else dataset


def compute_metrics(
    task: str, part: Dataset, outputs: Outputs, labels: Sequence[str], threshold: float = 0.5
) -> dict[str, Any]:
    """Return the metrics of `outputs` for the texts of `part`, as JSON can hold them.

    "classify": as `metrics.score`, with `accuracy_interval`; "multilabel": as `metrics.score_multilabel`;
    "vector": `metrics.retrieval` of each text's pair among all pairs; "joint": of the images with a text's label
    among all images, and under `image_to_text` the other way round.
    """
    if task == "classify":
        predicted = [labels[top] for top in outputs.argmax(axis=1)]
        found = score(part.labels, predicted, labels)
        right = sum(a == b for a, b in zip(part.labels, predicted, strict=True))
        return {"accuracy": found.pop("accuracy"), "accuracy_interval": list(wilson(right, len(predicted))), **found}
    if task == "multilabel":
        return score_multilabel(label_sets(part.labels), outputs, labels, threshold)
    texts, others = outputs[: len(part)], outputs[len(part) :]
    groups = group_ids(task, part)
    found = retrieval(texts, others, groups, groups)
    if task == "joint":
        found["image_to_text"] = retrieval(others, texts, groups, groups)
    return found


def group_ids(task: str, part: Dataset) -> npt.NDArray[np.int64]:
    """Return the group of each row, int64 [texts]: for "joint" rows of the same label, else each row its own."""
    if task == "joint" and any(part.labels):
        place = {label: index for index, label in enumerate(part.classes)}
        return np.array([place[label] for label in part.labels], np.int64)
    return np.arange(len(part))


def flips(task: str, outputs: Outputs, reference: Outputs, threshold: float = 0.5) -> int:
    """Return how many predictions differ: another label, another set of labels, another nearest neighbour."""
    if task == "classify":
        return int((outputs.argmax(axis=1) != reference.argmax(axis=1)).sum())
    if task == "multilabel":
        return int(((outputs >= threshold) != (reference >= threshold)).any(axis=1).sum())
    half = len(outputs) // 2
    nearest = [(vectors[:half] @ vectors[half:].T).argmax(axis=1) for vectors in (outputs, reference)]
    return int((nearest[0] != nearest[1]).sum())
