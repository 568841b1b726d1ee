"""`--cv K`: K models are trained, each on all texts but a K-th, and judged on those."""

from __future__ import annotations

import dataclasses
import logging
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...data import load as data
from ...data.folds import NOWHERE, fold_parts
from ...data.load import Columns, Dataset, Reading, Source
from ...data.splits import SplitOptions
from ...data.teacher import Teacher
from ...errors import InputError
from ...evaluation.diagnostics.advice import Command
from ...evaluation.tasks import TASKS
from ...models import run as runs
from ...models.recipes import Recipe
from ...storage.compression import listed
from ...storage.progress import Say, silent
from ..distributed import processes
from ..teaching import check_teachable
from ..train import train


def train_validated(source: Source | Dataset, out: Path, *, folds: int, recipe: Recipe, **options: Any) -> runs.Run:
    """Cross-validate a recipe, and then train it on `source` and write the run folder `out`, which has the result.

    `options` are those of `train`. Raises InputError as `cross_validate` and `train` do.
    """
    if options.get("resume") and (out / "run.json").is_file():
        return train(source, out, recipe=recipe, **options)
    dataset = loaded(source, recipe, options["columns"], options["splitting"], options["reading"])
    options["command"] = options.get("command") or command_of(source, out)
    options["held_out"] = held_out_loaded(recipe, **options)
    found = cross_validate(dataset, recipe, folds=folds, **options)
    return train(dataset, out, recipe=recipe, cross_validation=found, **options)


def loaded(
    source: Source | Dataset, recipe: Recipe, columns: Columns, splitting: SplitOptions, reading: Reading
) -> Dataset:
    """Return the data, read once for several trainings: standard input cannot be read again."""
    if isinstance(source, Dataset):
        return source
    task = TASKS[recipe.task]
    named = dataclasses.replace(task.columns(source, columns), key=splitting.column)
    return data.load(source, named, multi_label=task.MULTI_LABEL, reading=reading)


def held_out_loaded(
    recipe: Recipe,
    *,
    columns: Columns,
    reading: Reading,
    held_out: Mapping[str, Source | Dataset] | None = None,
    **_: Any,
) -> dict[str, Dataset]:
    """Return validation and test data of their own, by part, read once likewise."""
    own = dataclasses.replace(columns, part=None, key=None)
    return {part: loaded(one, recipe, own, SplitOptions(), reading) for part, one in (held_out or {}).items()}


def command_of(source: Source | Dataset, out: Path) -> Command:
    """Return the command that trains on the data, for advice where the user's is not known."""
    return Command(source.name if isinstance(source, Dataset) else source, out)


def cross_validate(
    dataset: Dataset,
    recipe: Recipe,
    *,
    folds: int,
    columns: Columns,
    reading: Reading,
    splitting: SplitOptions,
    start: runs.Run | None = None,
    held_out: Mapping[str, Dataset] | None = None,
    teacher: Teacher | None = None,
    say: Say = silent,
    **options: Any,
) -> dict[str, Any]:
    """Return the metrics of a recipe on the tested texts of each fold of the data, with mean and standard deviation.

    Texts that the data themselves hold back for the test are in no fold; what a `teacher` says of them, or of the
    texts of `held_out`, is not learned. (Stone: Cross-Validatory Choice and Assessment of Statistical Predictions,
    1974.) Raises InputError for data that cannot be divided into so many folds, for a run that is trained further,
    whose texts are in it already, for several processes, and for a teacher of labels that a fold lacks.
    """
    if start is not None or processes() > 1:
        what = "a run that is trained further" if start is not None else "torch's launcher"
        raise InputError(
            f"--cv {folds} does not go with {what}: it trains new models in one process. Leave one of them out.",
            code="LX-TRAIN-032",
        )
    task = TASKS[recipe.task]
    labels = data.label_names(task.label_sets(dataset))
    every_text = {*dataset.texts, *(text for one in (held_out or {}).values() for text in one.texts)}
    if teacher is not None:
        check_teachable(recipe)
        teacher.learn(labels, (), several=task.MULTI_LABEL)
    if dataset.parts is not None:
        dataset = dataset.take([row for row, part in enumerate(dataset.parts) if part != "test"], dataset.name)
    kept = {name: value for name, value in options.items() if name in ("seed", "device", "without", "progress")}
    every = list(fold_parts(dataset, folds, splitting, task.label_sets if task.GIVES_SCORES else None))
    judged: list[dict[str, float]] = []
    tested: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="lexport-cv-") as folder, unlogged():
        for number, parts in enumerate(every, 1):
            rows = [row for row, part in enumerate(parts) if part != NOWHERE]
            fold = dataset.take(rows, dataset.name)
            fold = dataclasses.replace(fold, parts=[parts[row] for row in rows])
            if teacher is not None:
                if lacking := sorted(set(labels) - set(data.label_names(task.label_sets(fold)))):
                    raise InputError(
                        f"--cv {folds}: fold {number} has no text of the label {listed(lacking)}, which the teacher "
                        "has probabilities of. Leave --cv or --teacher out, or use another --split.",
                        code="LX-TRAIN-035",
                    )
                kept["teacher"] = teacher.without(every_text - set(fold.texts))
            run = train(fold, Path(folder, str(number)), recipe=recipe, columns=columns, reading=reading, **kept)
            tested.update(row for row in rows if parts[row] == "test")
            judged.append({name: run.metrics["test"][name] for name in task.HEADLINES})
            shown = ", ".join(f"{task.HEADLINES[name]} {value:.4f}" for name, value in judged[-1].items())
            say(f"fold {number} of {len(every)}: {shown}")
    return {
        "folds": len(every),
        "texts": len(dataset),
        "tested": len(tested),
        "metrics": {name: _summary([one[name] for one in judged]) for name in task.HEADLINES},
    }


def _summary(values: list[float]) -> dict[str, Any]:
    return {"mean": statistics.fmean(values), "deviation": statistics.stdev(values), "folds": values}


@contextmanager
def unlogged() -> Iterator[None]:
    """Context manager: the warnings of trainings whose models are not kept are not logged."""

    def refused(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING

    log = logging.getLogger("lexport")
    log.addFilter(refused)
    try:
        yield
    finally:
        log.removeFilter(refused)
