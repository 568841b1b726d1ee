"""What a model is asked to do, and how well it does it: the same judgement for a trained model and its exports.

A task's outputs are what `outputs` of a part's texts are called below: scores float32 [texts, labels] for
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

# What a gate reads and a headline shows.
METRIC = {"classify": "accuracy", "multilabel": "micro_f1", "vector": "recall_at_1", "joint": "recall_at_1"}

# Which columns to read when nobody names any; `columns_for` adds the labels where a task needs them.
UNLABELLED = Columns(label=None)


def columns_for(task: str, source: str, columns: Columns) -> Columns:
    """`columns`, with the label column's usual name where the task needs labels and none is named.

    Vectors need none; a joint model is judged by those that a sample set has.
    """
    needed = task in ("classify", "multilabel") or (task == "joint" and source in SAMPLES)
    return replace(columns, label="label") if needed and columns.label is None else columns


def suited(task: str, dataset: Dataset, columns: Columns) -> Dataset:
    """`dataset` as `task` takes it: without pairs, "vector" is given the halves of each text.

    Raises InputError for images that "joint" lacks, and for pairs or images named in `columns` that the task has no
    use for.
    """
    if columns.image is None and task != "joint":
        dataset = replace(dataset, images=None)  # of a sample set that has them
    if task == "joint" and dataset.images is None:
        raise InputError(f"{dataset.name} has no images, which the head 'joint' needs. Name --image-column.")
    for what, column, user in (("pairs", dataset.pairs, "vector"), ("images", dataset.images, "joint")):
        if column is not None and task != user:
            raise InputError(
                f"{dataset.name} comes with {what}, which only the head {user!r} has a use for. Leave the column "
                f"out, or take a model with that head (`lexport recipes`)."
            )
    return halves(dataset) if task == "vector" and dataset.pairs is None else dataset


def judge(
    task: str, part: Dataset, outputs: Outputs, labels: Sequence[str], threshold: float = 0.5
) -> dict[str, Any]:
    """The metrics of `outputs` for the texts of `part`, as JSON can hold them.

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
    """Which rows are right for one another, int64 [texts]: those of one label for "joint", else each its own."""
    if task == "joint" and any(part.labels):
        place = {label: index for index, label in enumerate(part.classes)}
        return np.array([place[label] for label in part.labels], np.int64)
    return np.arange(len(part))


def flips(task: str, outputs: Outputs, reference: Outputs, threshold: float = 0.5) -> int:
    """How many texts are answered otherwise: another label, another set of labels, another nearest neighbour."""
    if task == "classify":
        return int((outputs.argmax(axis=1) != reference.argmax(axis=1)).sum())
    if task == "multilabel":
        return int(((outputs >= threshold) != (reference >= threshold)).any(axis=1).sum())
    half = len(outputs) // 2
    nearest = [(vectors[:half] @ vectors[half:].T).argmax(axis=1) for vectors in (outputs, reference)]
    return int((nearest[0] != nearest[1]).sum())
