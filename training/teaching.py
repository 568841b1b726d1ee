"""What a training learns from a teacher: targets for the texts of the data, and the teacher's own texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..data.dataset import SEPARATOR, Dataset, dataset_of, digest
from ..data.part_record import PartRecord
from ..data.splits import Splits
from ..data.teacher import Probabilities, Teacher
from ..errors import InputError
from ..evaluation.tasks import TASKS, Task, task_of
from ..models.recipes import Recipe
from ..storage.progress import Progress
from .prepare import Prepared


class Taught(NamedTuple):
    """Data with what a teacher says of them."""

    prepared: Prepared
    """They, with targets and further training texts."""
    facts: dict[str, Any]
    """What the run keeps of it, as JSON can hold it."""
    said: str
    """The same in a sentence."""


def check_teachable(recipe: Recipe) -> None:
    """Raise InputError for a recipe that does not answer labels."""
    if not TASKS[recipe.task].GIVES_SCORES:
        raise InputError(
            f"--teacher is for recipes that answer labels; {recipe.name} answers {recipe.task}. Leave the teacher "
            "out, or name another --model.",
            code="LX-TRAIN-033",
        )


def teach(
    prepared: Prepared, teacher: Teacher, recipe: Recipe, labels: Sequence[str], *, final: bool, progress: Progress
) -> Taught:
    """Give the training texts (with `final` all texts) targets of the teacher's probabilities and their own labels.

    The recipe's head says which share the teacher has. Texts that only the teacher has are trained on too. They
    follow it alone; where a label is counted, for a warning or a class weight, theirs is what the teacher predicts.
    Raises InputError as `Teacher.learn` does, and if it knows no text.
    """
    parts = prepared.parts
    task = task_of(recipe.task, labels, getattr(recipe.head, "threshold", 0.5))
    weight = float(getattr(recipe.head, "teacher_weight", 1.0))
    asked = prepared.dataset.texts if final else parts.train.texts
    teacher.learn(labels, asked, several=task.MULTI_LABEL, progress=progress)
    known = set(prepared.dataset.texts)
    more = [text for text in teacher.texts if text not in known]
    unspoken = len(more) if parts.train.languages is not None else 0
    more = [] if unspoken else more
    covered = [text for text in parts.train.texts if teacher.knows(text)]
    if not covered and not more:
        raise InputError(
            f"The teacher {teacher.name} knows none of the {len(parts.train):,} training texts. Check that the texts "
            "are the same, and in the same --text-column.",
            code="LX-TRAIN-034",
        )
    said = f"teacher {teacher.name}: it knows {len(covered):,} of {len(parts.train):,} training texts"
    said += f"; {len(more):,} texts more, which the data lack, are trained on" if more else ""
    said += f"; {unspoken:,} texts that the data lack are left out, as they have no language" if unspoken else ""
    used = [*covered, *more]
    facts = {
        "name": teacher.name,
        "digest": digest(used, [""] * len(used), images=teacher.probabilities(used)),
        "texts": len(covered),
        "added": len(more),
        "weight": weight,
    }
    train, *held_out = (
        replace(part, targets=_targets(task, part, teacher.probabilities(part.texts), weight))
        if final or part is parts.train
        else part
        for part in (parts.train, parts.validation, parts.test)
    )
    record = prepared.record
    if more:
        train = _with_more(task, train, more, teacher.probabilities(more))
        record = PartRecord.with_training(record, more)
    return Taught(prepared._replace(parts=Splits(train, *held_out), record=record), facts, said)


def _targets(task: Task, part: Dataset, taught: Probabilities, weight: float) -> Probabilities:
    """Return what is learned of each text, float32 [texts, labels]: `weight` of what is `taught`, if anything is."""
    truth = task.truth(part)
    found = truth.copy() if truth.ndim > 1 else np.eye(len(task.labels), dtype=np.float32)[truth]
    known = ~np.isnan(taught).any(axis=1)
    found[known] = (1 - weight) * found[known] + weight * taught[known]
    return found


def _with_more(task: Task, train: Dataset, texts: list[str], taught: Probabilities) -> Dataset:
    """Return the training texts and behind them those that only the teacher has."""
    predicted = [SEPARATOR.join(own) for own in task.predictions(taught)]
    assert train.targets is not None
    whole = dataset_of([*train.texts, *texts], [*train.labels, *predicted], train.name)
    return replace(whole, targets=np.concatenate([train.targets, taught]))
