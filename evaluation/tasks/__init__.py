"""Tasks: what a model answers, its metrics, and how they are shown. `Task` says what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import InputError
from .base import UNLABELLED, Mistake, Task
from .classify import Classify, MultiLabel
from .search import Joint, Vectors

if TYPE_CHECKING:
    from ...models.run import Run  # which needs torch

__all__ = [
    "TASKS",
    "UNLABELLED",
    "Classify",
    "Joint",
    "Mistake",
    "MultiLabel",
    "Task",
    "Vectors",
    "task_of",
    "task_of_run",
]

TASKS: dict[str, type[Task]] = {task.NAME: task for task in (Classify, MultiLabel, Vectors, Joint)}
"""What a head may name as its task."""


def task_of(name: str, labels: Sequence[str] = (), threshold: float = 0.5) -> Task:
    """Return the task of that name for a model's `labels` and `threshold`. Raises InputError for an unknown name."""
    if name not in TASKS:
        raise InputError(f"The task {name!r} is not known; there are: {', '.join(TASKS)}.", code="LX-EVAL-008")
    return TASKS[name](tuple(labels), threshold)


def task_of_run(run: Run) -> Task:
    """Return the task of a trained run, with its labels and its threshold."""
    return task_of(run.recipe.task, run.labels, run.threshold)
