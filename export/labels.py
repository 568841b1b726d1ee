"""Labels of a data set that are likely wrong: who judges them, what is found, and the file to correct them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.dataset import SEPARATOR, Dataset
from ..data.writing.kinds import Kind
from ..data.writing.targets import Target
from ..evaluation.diagnostics.findings import FINE, NOTE, SKIPPED, WARNING, Finding, LabelError
from ..evaluation.diagnostics.label_errors import (
    FEWEST,
    Probabilities,
    Scores,
    combined,
    disagreeing,
    suspects,
    suspects_of_decisions,
)
from ..evaluation.metrics import label_matrix, wilson
from ..evaluation.tasks import Task
from ..storage.compression import excerpt, shown
from ..storage.progress import Progress

if TYPE_CHECKING:
    from ..models.recipes import Recipe

BAYES = "bayes"
"""What `--judge` calls naive Bayes."""
JUDGES = ("linear", BAYES)
"""Who judges labels if nobody else is named; docs/benchmarks.md has what others find."""
_FOLDS = 5
_MANY = 0.05
"""The share of other labels among the texts that the judges are surest of from which on it is more than a note."""
_EVEN = 0.5


def judged_out_of_fold(
    dataset: Dataset, task: Task, judges: Sequence[str | Recipe], seed: int, progress: Progress
) -> tuple[Scores, str]:
    """Return the probabilities of the labels, float64 [texts, labels], by models trained on other texts, and which.

    judges: recipes, and BAYES for naive Bayes. Raises InputError for data that cannot be divided into folds.
    """
    from ..models import recipes  # which need torch
    from ..training.linear import fit_bayes
    from ..training.selection.out_of_fold import out_of_fold

    plain = replace(dataset, languages=None, pairs=None, images=None, keys=None)
    found, names = [], []
    for judge in judges:
        own = recipes.load("linear" if judge == BAYES else judge) if isinstance(judge, str) else judge
        names.append(own.name if judge != BAYES else "naive Bayes")
        if task.MULTI_LABEL:
            own = own.changed("head", multi_label=True)
        fitter = fit_bayes if judge == BAYES else None
        found.append(out_of_fold(plain, own, task.labels, folds=_FOLDS, seed=seed, fitter=fitter, progress=progress))
    return combined(found, several=task.MULTI_LABEL), " and ".join(names)


def find_label_errors(
    dataset: Dataset, task: Task, probabilities: Probabilities, how: str
) -> tuple[Finding, list[LabelError]]:
    """Return what is found about the labels of `dataset`, and the likely errors, the likeliest first.

    probabilities: of the task's labels, [texts, labels], by a classifier that has not seen the texts, in words `how`.
    """
    judged, errors, wrong, surest = (_of_sets if task.MULTI_LABEL else _of_labels)(dataset, task, probabilities)
    if not judged:
        few = f"there are no two labels with {FEWEST} texts each; of fewer nothing can be said"
        return Finding("labels", SKIPPED, few), []
    left_out = f"; {len(dataset) - judged:,} texts of labels with fewer than {FEWEST} texts are not judged"
    about = f"{judged:,} texts judged {how}{left_out * (judged < len(dataset))}"
    sure = f"of the {surest:,} that these are surest of, {wrong:,} ({wrong / surest:.1%}) have another label"
    figures = {"judged": judged, "suspected": len(errors), "surest": surest, "surest_wrong": wrong}
    if not errors:
        return Finding("labels", FINE, f"no label is likely wrong: {about}", "", "", figures), []
    first = errors[0]
    return Finding(
        "labels",
        WARNING if wilson(wrong, surest)[0] > _MANY else NOTE,
        f"{len(errors):,} labels may be wrong, {len(errors) / judged:.1%}: {about}; {sure}. The likeliest: "
        f'"{excerpt(first.text)}" is {shown(first.given) or "(none)"}, rather {shown(first.suggested) or "(none)"}',
        "A model learns wrong labels, and is measured by them. Some of these texts are right and only hard.",
        "read them: --relabel FILE writes all texts with a column `suggested`, these first; correct `label`, train "
        "with FILE",
        figures,
    ), errors


def _of_labels(dataset: Dataset, task: Task, probabilities: Probabilities) -> tuple[int, list[LabelError], int, int]:
    """Return how many texts are judged, the likely errors, and `disagreeing` of the judged texts."""
    given = task.truth(dataset)
    found = suspects(given, probabilities)
    order = found.order()
    errors = [
        _error(dataset, row, task.labels[int(found.suggested[row])], float(found.score[row]))
        for row in order.tolist()
        if found.suspected[row]
    ]
    sure = probabilities[order]
    agrees = sure.argmax(axis=1) == given[order]
    return len(order), errors, *disagreeing(agrees, np.asarray(sure.max(axis=1), np.float64))


def _of_sets(dataset: Dataset, task: Task, probabilities: Probabilities) -> tuple[int, list[LabelError], int, int]:
    """Return the same of texts that may have several labels; of decisions only those that someone says yes to."""
    given = label_matrix(task.label_sets(dataset), task.labels)
    scores, suspected = suspects_of_decisions(given, probabilities)
    lowest = np.where(suspected, scores, np.inf).min(axis=1)
    rows = np.flatnonzero(suspected.any(axis=1))
    errors = []
    for row in rows[np.argsort(lowest[rows], kind="stable")].tolist():
        own = given[row] ^ suspected[row]
        names = [label for label, there in zip(task.labels, own.tolist(), strict=True) if there]
        errors.append(_error(dataset, row, SEPARATOR.join(names), float(lowest[row])))
    judged = np.isfinite(scores)
    said = probabilities >= _EVEN
    chosen = judged & (said | given)
    confidence = np.abs(np.asarray(probabilities, np.float64) - _EVEN)
    counted = disagreeing((said == given)[chosen], confidence[chosen])
    return int(judged.any(axis=1).sum()), errors, *counted


def _error(dataset: Dataset, row: int, suggested: str, score: float) -> LabelError:
    part = "" if dataset.parts is None else dataset.parts[row]
    return LabelError(dataset.texts[row], dataset.labels[row], suggested, score, part, row)


def write_relabelled(target: Target, dataset: Dataset, errors: Sequence[LabelError]) -> None:
    """Write all texts of `dataset`, those with a likely wrong label first, with `suggested` and `score`.

    `label` is the given one, for a person to correct; `lexport train` reads the file with or without corrections.
    """
    columns = {"text": dataset.texts, "label": dataset.labels, "language": dataset.languages, "part": dataset.parts}
    given = {name: column for name, column in columns.items() if column is not None}
    kinds = dict.fromkeys(given, Kind.TEXT) | {"suggested": Kind.TEXT, "score": Kind.NUMBER}
    first = {one.row: one for one in errors}
    order = [*first, *(row for row in range(len(dataset)) if row not in first)]
    with target.open(kinds) as writer:
        for row in order:
            cells: dict[str, Any] = {name: column[row] for name, column in given.items()}
            error = first.get(row)
            if error is not None:
                cells |= {"suggested": error.suggested, "score": round(error.score, 4)}
            writer.write([cells])
