"""A trained run or an archive's own variant, judged on any data that suit its task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.data import Columns, Dataset, load
from ..models.lessons import outputs
from ..models.run import open_run, require_known
from ..models.splits import parts_of
from ..models.tasks import METRIC, UNLABELLED, Outputs, columns_for, judge, suited
from .inprocess import Archived, opened
from .reader import EVIDENCE, read_json, read_labels

PARTS = ("all", "train", "validation", "test")


def evaluate(target: Path, source: str, *, columns: Columns = UNLABELLED, part: str = "all") -> dict[str, Any]:
    """Metrics of the run folder or `.mar` at `target` on `source`.

    What `tasks.judge` gives for the model's task, and: `task`, `metric` (the name of the one that gates read),
    `labels`, `data`, `part`, `count`, and `seen`: how many of the texts the model was trained on, as far as the data
    are the run's own. `part` keeps only the texts of one part of the split. Raises InputError for data that do not
    fit.
    """
    if part not in PARTS:
        raise InputError(f"--part {part!r} is not known; expected one of: {', '.join(PARTS)}.")
    judged = _Archive(target) if not target.is_dir() else _Run(target)
    dataset = load(source, columns_for(judged.task, source, columns), multi_label=judged.task == "multilabel")
    dataset = suited(judged.task, dataset, columns)
    if columns.language is None and not judged.languages:
        dataset = replace(dataset, languages=None)  # of a sample set that has them
    places = parts_of(dataset)
    rows = [row for row, place in enumerate(places) if part in ("all", place)]
    if not rows:
        raise InputError(f"{dataset.name} has no texts in the part {part!r}.")
    chosen = dataset if part == "all" else dataset.take(rows, dataset.name)
    found = judge(judged.task, chosen, judged.outputs(chosen), judged.labels, judged.threshold)
    own = dataset.digest == judged.trained_on
    return {
        **found,
        "task": judged.task,
        "metric": METRIC[judged.task],
        "labels": judged.labels,
        "data": dataset.name,
        "part": part,
        "count": len(chosen),
        "seen": sum(places[row] == "train" for row in rows) if own else 0,
    }


class _Run:
    """A run folder, to be judged."""

    def __init__(self, folder: Path) -> None:
        self._run = open_run(folder)
        self.task = self._run.recipe.task
        self.labels = self._run.labels
        self.threshold = self._run.threshold
        self.languages = self._run.encoder.languages
        self.trained_on = str(self._run.info.data["digest"])

    def outputs(self, part: Dataset) -> Outputs:
        """The trained model's outputs for `part`."""
        require_known(self._run, part)
        return outputs(self._run.model, self._run.encoder, part)


class _Archive:
    """An archive's own variant, to be judged through its own handler."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            described = read_json(path, EVIDENCE)["run"]
            self.task = str(described["task"])
            self.threshold = float(described["threshold"])
            self.trained_on = str(described["data"]["digest"])
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{path}: {EVIDENCE} does not name its data. Make the archive again.") from None
        self.labels = read_labels(path)
        self.languages = tuple(read_json(path, "text.json").get("languages", ()))

    def outputs(self, part: Dataset) -> Outputs:
        """The served answers to `part`, as models/tasks.py lays them out."""
        with opened(self._path) as archived:
            found = [self._texts(archived, part.texts, part.languages)]
            if part.pairs is not None:
                found.append(self._texts(archived, part.pairs, part.languages))
            if part.images is not None:
                answers = archived.predict_images(part.images.tolist())
                found.append(np.array([answer["vector"] for answer in answers], np.float32))
        return np.concatenate(found)

    def _texts(self, archived: Archived, texts: list[str], languages: list[str] | None) -> Outputs:
        answers = archived.predict(texts, languages)
        if self.task in ("vector", "joint"):
            return np.array([answer["vector"] for answer in answers], np.float32)
        return np.array([[answer["scores"][label] for label in self.labels] for answer in answers], np.float32)
