"""Train a recipe on labelled texts and write the run folder."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ..data import load as data
from ..data.load import USUAL_READING, Columns, Dataset, Reading, Source
from ..data.splits import SplitOptions
from ..data.teacher import Teacher
from ..evaluation.diagnostics.advice import Advice, Command
from ..evaluation.diagnostics.leave_out import check_kinds, leave_out
from ..evaluation.diagnostics.tokenized import TokenizedSplits
from ..evaluation.diagnostics.warnings import data_warnings
from ..evaluation.tasks import TASKS, UNLABELLED, task_of
from ..models import recipes, run
from ..storage import atomic as files
from ..storage.compression import listed
from ..storage.memory import give_back
from ..storage.progress import Progress, Say, silent
from .checkpoint import Checkpoints, check_resumable, checkpoint_folder, folder_of
from .device import Device
from .distributed import ProcessGroup, process_group
from .facts import identity_of, info_of, summary
from .final import fit_on_all, judge
from .fit import Fit, fit
from .linear import fit_linear
from .optimization.class_weights import explain_weights
from .optimization.steps import choose_steps
from .prepare import (
    labels_without,
    new_encoder,
    prepare,
    require_known_labels,
    split_texts,
    without_rows,
    without_training_texts,
)
from .save import check_replaceable, save, unknown_share
from .teaching import check_teachable, teach

log = logging.getLogger("lexport")

CHECKPOINT_EVERY = 30.0
"""Seconds between two checkpoints: a killed training loses at most this much work."""

FITTERS: dict[str, Callable[..., Fit]] = {"newton": fit_linear}
"""How a recipe is fitted, by its optimizer, unless by the gradient steps of `trainer.fit`; with its arguments."""


def train(
    source: Source | Dataset,
    out: Path,
    *,
    recipe: recipes.Recipe,
    columns: Columns = UNLABELLED,
    splitting: SplitOptions = SplitOptions(),  # noqa: B008  (it is immutable)
    held_out: Mapping[str, Source | Dataset] | None = None,
    reading: Reading = USUAL_READING,
    teacher: Teacher | None = None,
    start: run.Run | None = None,
    seed: int = 0,
    device: Device = Device(),  # noqa: B008  (it is immutable)
    resume: bool = False,
    checkpoint_every: float = CHECKPOINT_EVERY,
    replace: bool = False,
    without: Collection[str] = (),
    final: bool = False,
    cross_validation: Mapping[str, Any] | None = None,
    command: Command | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> run.Run:
    """Train `recipe` on a sample set, a file or a dataset. Write the run folder `out` completely or not at all.

    `splitting` says how the data are split; `held_out` has validation or test texts of their own, by "validation"
    and "test". What `teacher` knows of the texts is learned, see teaching.py. With `start` training begins with that
    run's vocabulary, labels and weights; `recipe` is then its recipe, with other training options. A checkpoint is
    written every `checkpoint_every` seconds to the folder `out`.training; with `resume` a killed training continues
    from there and ends with the same weights as without the interruption. Processes that torch's launcher started
    train together, and rank 0 writes. `without`: kinds of rows to leave out, see
    evaluation/diagnostics/leave_out.py. `final`: judge the model, then fit it on all texts for as many epochs as
    were best on validation. `cross_validation`: what the recipe came to in it. `command`: the user's command line,
    so that warnings can suggest a changed one. `progress` is called with (steps done, most steps, description).
    Raises InputError for data or an output folder that cannot be used, and for a checkpoint of another training.
    """
    check_kinds(without)
    if teacher is not None:
        check_teachable(recipe)
    if resume and (out / "run.json").is_file():
        say(f"{out} is finished; nothing to resume")
        return run.open_run(out)
    check_replaceable(out, replace=replace)
    files.check_folder(out, replace=replace)
    check_resumable(out, resume=resume, replace=replace)
    _train(
        source,
        out,
        recipe=recipe,
        columns=columns,
        splitting=splitting,
        held_out=held_out,
        reading=reading,
        teacher=teacher,
        start=start,
        seed=seed,
        device=device,
        resume=resume,
        checkpoint_every=checkpoint_every,
        replace=replace,
        without=without,
        final=final,
        cross_validation=cross_validation,
        command=command,
        say=say,
        progress=progress,
    )
    give_back()
    return run.open_run(out)


def _train(
    source: Source | Dataset,
    out: Path,
    *,
    recipe: recipes.Recipe,
    columns: Columns,
    splitting: SplitOptions,
    held_out: Mapping[str, Source | Dataset] | None,
    reading: Reading,
    teacher: Teacher | None,
    start: run.Run | None,
    seed: int,
    device: Device,
    resume: bool,
    checkpoint_every: float,
    replace: bool,
    without: Collection[str],
    final: bool,
    cross_validation: Mapping[str, Any] | None,
    command: Command | None,
    say: Say,
    progress: Progress,
) -> None:
    """Do what `train` says, its arguments checked."""
    with process_group(device.torch_device) as group:
        if not group.is_main:
            say, progress = silent, silent
        with _target(out, group, resume=resume, replace=replace) as (folder, training):
            prepared = prepare(source, recipe, columns, splitting, held_out, reading)
            dataset = prepared.dataset
            for note in dataset.notes:
                say(note)
            labels = list(data.label_names(TASKS[recipe.task].label_sets(dataset)))
            if start is not None:
                run.require_known(start, dataset)
                require_known_labels(dataset, labels, start)
                labels = start.labels
            taught: dict[str, Any] | None = None
            if teacher is not None:
                prepared, taught, said = teach(prepared, teacher, recipe, labels, final=final, progress=progress)
                say(said)
            parts, corpus = prepared.parts, None
            if start is None:
                corpus = split_texts(recipe, parts.train)
                recipe, encoder = new_encoder(recipe, corpus, len(parts.train), len(labels), say)
            else:
                encoder = start.encoder
            prepared = without_rows(prepared)
            dataset = prepared.dataset
            tokens = TokenizedSplits.of(encoder, parts, corpus)
            del corpus  # and the strings of its words
            give_back()
            left_out: dict[str, int] = {}
            if without:
                parts, tokens, left_out = leave_out(without, encoder, labels, parts, tokens)
                say("left out: " + ", ".join(f"{count:,} {kind}" for kind, count in left_out.items()))
            recipe, steps = choose_steps(recipe, tokens.train.lengths)
            for line in (steps, explain_weights(recipe, labels, parts.train)):
                if line:
                    say(line)
            untested = labels_without(parts.test, labels, TASKS[recipe.task])
            if untested:
                say(f"{len(untested):,} of {len(labels):,} labels have no test text: {listed(untested)}")
            say(summary(dataset, parts, encoder, recipe, labels, unknown_share(tokens.validation)))
            warnings = _Warnings(
                command or Command(dataset.name if isinstance(source, Dataset) else source, out), say
            )
            if recipe.learns:
                further = start is not None
                for advice in data_warnings(
                    recipe, parts, encoder, labels, tokens, warnings.command, further=further
                ):
                    warnings.add(advice)
            if TASKS[recipe.task].GIVES_SCORES and not final:
                parts = without_training_texts(parts)
            prepared = prepared._replace(parts=parts)  # without what was left out
            give_back()
            identity = identity_of(recipe, seed, prepared, labels, start, device, group, left_out, taught)
            fitter = FITTERS.get(recipe.training.optimizer, fit)
            fit_result = fitter(
                recipe,
                parts,
                labels,
                encoder,
                seed=seed,
                start=start,
                device=device,
                group=group,
                checkpoints=Checkpoints(training, checkpoint_every, identity),
                tokens=tokens,
                say=say,
                progress=progress,
            )
            give_back()
            if fit_result.advice is not None:
                warnings.add(fit_result.advice)
            kept = {"validation": parts.validation, "test": parts.test}
            looked_up = {
                "validation": (tokens.validation, tokens.validation_pairs),
                "test": (tokens.test, tokens.test_pairs),
            }
            unknown, judged, final_texts = unknown_share(tokens.validation), None, 0
            if final:
                threshold = getattr(recipe.head, "threshold", 0.5)
                judged = judge(task_of(recipe.task, labels, threshold), fit_result, encoder, kept, looked_up)
                again = partial(
                    fitter, seed=seed, start=start, device=device, group=group, say=say, progress=progress
                )
                say("fitting on all texts, the held-out ones too")
                last = fit_on_all(recipe, parts, labels, fit_result, start, again)
                recipe, encoder, final_texts, looked_up = last.recipe, last.encoder, last.texts, {}
                seconds = fit_result.seconds + last.fit.seconds
                fit_result = dataclasses.replace(fit_result, model=last.fit.model, seconds=seconds)
            if folder is not None:
                given = warnings.to_json()
                info = info_of(recipe, seed, prepared, untested, unknown, fit_result, start, left_out, given)
                info = dataclasses.replace(info, cross_validation=dict(cross_validation or {}))
                if steps:
                    info.training["steps"] = steps
                if taught:
                    info.training["teacher"] = taught
                if final:
                    info.training["final"] = {"texts": final_texts}
                save(
                    folder,
                    out.name,
                    info,
                    recipe,
                    fit_result.model,
                    encoder,
                    labels,
                    kept,
                    warnings.add,
                    looked_up,
                    prepared.record,
                    judged,
                )
            warnings.print_summary()
        group.wait()


class _Warnings:
    """Print each warning with a command that follows its advice, and at the end one command for all of them."""

    def __init__(self, command: Command, say: Say) -> None:
        self.command = command
        self._say = say
        self._given: list[Advice] = []

    def add(self, advice: Advice) -> None:
        self._given.append(advice)
        line = f"{advice.warning} Try: {self.command.with_all([advice])}"
        self._say(f"warning: {line}")
        log.warning("%s: %s", advice.code, line)

    def to_json(self) -> list[dict[str, Any]]:
        return [advice.to_json() for advice in self._given]

    def print_summary(self) -> None:
        if len(self._given) > 1:
            self._say(f"all advice together: {self.command.with_all(self._given)}")


@contextmanager
def _target(out: Path, group: ProcessGroup, *, resume: bool, replace: bool) -> Iterator[tuple[Path | None, Path]]:
    """Context manager: the new run folder (None unless this is rank 0) and the folder of the checkpoints."""
    if not group.is_main:
        yield None, folder_of(out)
        return
    with checkpoint_folder(out, resume=resume) as training, files.new_folder(out, replace=replace) as folder:
        yield folder, training
