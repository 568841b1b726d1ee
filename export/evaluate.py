"""Evaluate a trained run or the variant in an archive on any data that suit its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..data.load import USUAL_READING, Columns, Dataset, Reading, Source, load
from ..data.writing.kinds import Kind
from ..data.writing.targets import Target, check_target
from ..errors import InputError
from ..evaluation.metrics import Outputs, label_indices
from ..evaluation.mistakes import mistakes as worst
from ..evaluation.robustness import robustness
from ..evaluation.tasks import UNLABELLED, Task
from .archive.trust.keys import PublicKey
from .evaluation import Evaluation, check_names
from .targets import ArchiveTarget, RunTarget, open_target

PARTS = ("all", "train", "validation", "test")


def evaluate(
    target: Path,
    source: Source | None = None,
    *,
    columns: Columns = UNLABELLED,
    reading: Reading = USUAL_READING,
    part: str = "all",
    mistakes: int = 10,
    unknown_rates: Sequence[float] = (),
    minimum: Mapping[str, float] | None = None,
    predictions: str | Path | None = None,
    trusted: Sequence[PublicKey] | None = None,
) -> Evaluation:
    """Evaluate the run folder or `.mar` at `target` on `source`, or a run on its own test texts.

    `part` keeps only the texts of one part of the split; `mistakes` is how many of the worst are kept; with
    `unknown_rates`, shares of the tokens, robustness to unknown words is measured too. `minimum` has the least value
    of metrics by their names, for `Evaluation.require`. The file `predictions` gets each text with what is right,
    what was answered and the scores; an old one is replaced. With `trusted` keys (None: those that LEXPORT_KEYS
    names) one of them must have signed an archive. Raises InputError for data that do not fit, for a metric that the
    task does not have, and as `inprocess.load_archive` does.
    """
    if part not in PARTS:
        raise InputError(f"--part {part!r} is not known; choose one of: {', '.join(PARTS)}.", code="LX-EXPORT-001")
    written = None if predictions is None else check_target(Path(predictions), option="--predictions", replace=True)
    with open_target(target, trusted) as opened_target:
        task = opened_target.task
        if source is None:
            chosen, part, seen = _kept(opened_target, columns, part)
        else:
            chosen, seen = read_data(opened_target, source, columns, reading, part)
        opened_target.check(chosen)
        model = opened_target.open_model()
        if task.GIVES_SCORES:
            label_indices(task.labels, task.label_sets(chosen))  # before all texts are predicted
        outputs = model.predict(chosen)
        metrics = task.with_intervals(chosen, outputs, task.metrics(chosen, outputs))
        check_names(minimum or {}, metrics)
        if written is not None:
            _write(written, task, chosen, outputs)
        return Evaluation(
            task=task.NAME,
            metric=task.METRIC,
            labels=task.labels,
            data=chosen.name,
            part=part,
            count=len(chosen),
            seen=seen,
            notes=chosen.notes,
            metrics=metrics,
            mistakes=worst(task, chosen, outputs, model.encoder, most=mistakes),
            calibration=task.calibration(chosen, outputs),
            robustness=robustness(task, chosen, outputs, model, unknown_rates) if unknown_rates else None,
            minimum=dict(minimum or {}),
        )


def _write(target: Target, task: Task, part: Dataset, outputs: Outputs) -> None:
    """Write each text with its answer."""
    columns = {"text": part.texts, "language": part.languages, "pair": part.pairs}
    given = {name: column for name, column in columns.items() if column is not None}
    with target.open(dict.fromkeys(given, Kind.TEXT) | task.answer_columns()) as writer:
        writer.write(
            dict(zip(given, cells, strict=True)) | answer
            for *cells, answer in zip(*given.values(), task.answer_cells(part, outputs), strict=True)
        )


def _kept(opened_target: RunTarget | ArchiveTarget, columns: Columns, part: str) -> tuple[Dataset, str, int]:
    """Return the run's own held-out texts, their part, and how many of them were trained on."""
    if columns != UNLABELLED:
        raise InputError("Columns are given without DATA. Name DATA, or leave out the columns.", code="LX-EXPORT-002")
    if part == "train":
        raise InputError(
            "A run does not keep training texts; --part train needs DATA, the data it was trained on.",
            code="LX-EXPORT-003",
        )
    part = "test" if part == "all" else part
    held_out = replace(opened_target.held_out(part), name=opened_target.trained_name)
    return held_out, part, len(held_out) if part in opened_target.trained_parts else 0


def read_data(
    opened_target: RunTarget | ArchiveTarget,
    source: Source,
    columns: Columns,
    reading: Reading,
    part: str,
    *,
    labelled: bool = True,
) -> tuple[Dataset, int]:
    """Return the texts of `part` of the data, with their parts in the run, and how many of them were trained on.

    `labelled`: whether they need labels. Raises InputError for data that do not fit the model's task.
    """
    task = opened_target.task
    named = task.columns(source, columns) if labelled else columns
    dataset = load(source, named, multi_label=task.MULTI_LABEL, reading=reading)
    if not task.TAKES_IMAGES and columns.image is None:
        dataset = replace(dataset, images=None)  # of a sample set; the split is not by image
    if part != "all":
        opened_target.require_parts()
    notes = dataset.notes
    dataset = replace(task.prepare(replace(dataset, parts=opened_target.parts_of(dataset)), columns), notes=notes)
    if columns.language is None and not opened_target.languages:
        dataset = replace(dataset, languages=None)  # of a sample set that has them
    own = opened_target.knows_its_texts or dataset.digest == opened_target.trained_on
    places = dataset.parts or []
    rows = [row for row, place in enumerate(places) if part in ("all", place)]
    if not rows:
        raise InputError(f"{dataset.name} has no texts in the part {part!r}.", code="LX-EXPORT-004")
    chosen = dataset if part == "all" else dataset.take(rows, dataset.name)
    chosen = replace(chosen, notes=dataset.notes)
    return chosen, sum(places[row] in opened_target.trained_parts for row in rows) if own else 0
