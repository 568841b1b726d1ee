"""Training: texts in, a run folder out."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..data import load as data
from ..data.load import Columns, Dataset
from ..data.pretrained import open_vectors
from ..data.splits import Splits, split
from ..errors import InputError
from ..evaluation.diagnostics.advice import Advice, Command
from ..evaluation.diagnostics.leave_out import check_kinds, leave_out
from ..evaluation.diagnostics.warnings import LookedUp, of_data
from ..evaluation.tasks import UNLABELLED, columns_for, suited
from ..handlers.text.encoder import TextEncoder
from ..models import recipes, run
from ..models.embeddings.buckets import AUTO, choose_buckets
from ..models.vocabulary import build_encoder
from ..storage import atomic as files
from ..storage.progress import Progress, Say, silent
from .checkpoint import Checkpoints, check_resumable, folder_of, kept
from .device import Machine
from .dimension import choose_dim
from .distributed import Team, team
from .save import check_replaceable, save, unknown_share
from .trainer import Fit, fit

CHECKPOINT_EVERY = 30.0
"""Seconds between two checkpoints: what a killed training loses at most, beside the epoch's order."""


def train(
    source: str | Dataset,
    out: Path,
    *,
    recipe: recipes.Recipe,
    columns: Columns = UNLABELLED,
    start: run.Run | None = None,
    seed: int = 0,
    machine: Machine = Machine(),  # noqa: B008  (it is immutable)
    resume: bool = False,
    checkpoint_every: float = CHECKPOINT_EVERY,
    replace: bool = False,
    without: Collection[str] = (),
    command: Command | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> run.Run:
    """Train `recipe` on a sample set, a file or a dataset and write the run folder `out`, whole or not at all.

    With `start` that run's words, labels and weights are where training begins (`recipe` is then its own, perhaps
    with other training options). While it works a checkpoint is written every `checkpoint_every` seconds, beside
    `out` in a folder of its name and `.training`; with `resume` a training that was killed goes on from there, to
    the weights it would have had. In processes that torch's launcher started they train together, and the first
    writes. `without`: kinds of rows to leave out, see evaluation/diagnostics/leave_out.py. `command`: the command
    line that asked for this, for warnings to say which one follows their advice. `progress` is told (steps done,
    steps at most, what is going on). Raises InputError for data or a target that cannot be used, and for a checkpoint
    of another training.
    """
    check_kinds(without)
    if resume and (out / "run.json").is_file():
        say(f"{out} is finished; there is nothing to resume")
        return run.open_run(out)
    check_replaceable(out, replace=replace)
    files.check_folder(out, replace=replace)
    check_resumable(out, resume=resume, replace=replace)
    with team(machine.device) as crew:
        if not crew.leads:
            say, progress = silent, silent
        with _target(out, crew, resume=resume, replace=replace) as (folder, training):
            dataset, parts = prepare(source, recipe, columns)
            if start is None:
                recipe, encoder = _fresh(recipe, parts.train, say)
                labels = list(_classes(recipe, dataset))
            else:
                encoder, labels = start.encoder, start.labels
                run.require_known(start, dataset)
                _require_known(dataset, _classes(recipe, dataset), start)
            tokens = LookedUp.of(encoder, parts)
            left_out: dict[str, int] = {}
            if without:
                parts, left_out = leave_out(without, encoder, labels, parts, tokens)
                tokens = LookedUp.of(encoder, parts)
                say("left out: " + ", ".join(f"{count:,} {kind}" for kind, count in left_out.items()))
            say(_summary(dataset, parts, encoder, recipe, labels, unknown_share(tokens.validation)))
            warnings = _Warnings(command or Command(source if isinstance(source, str) else dataset.name, out), say)
            if recipe.learns:
                further = start is not None
                for advice in of_data(recipe, parts, encoder, labels, tokens, warnings.command, further=further):
                    warnings.add(advice)
            identity = _identity(recipe, seed, dataset, labels, start, machine, crew, left_out)
            fitted = fit(
                recipe,
                parts,
                labels,
                encoder,
                seed=seed,
                start=start,
                machine=machine,
                team=crew,
                checkpoints=Checkpoints(training, checkpoint_every, identity),
                tokens=tokens,
                say=say,
                progress=progress,
            )
            if fitted.advice is not None:
                warnings.add(fitted.advice)
            if folder is not None:
                info = _info(recipe, seed, dataset, parts, unknown_share(tokens.validation), fitted, start, left_out)
                held_out = {"validation": parts.validation, "test": parts.test}
                save(folder, out.name, info, recipe, fitted.model, encoder, labels, held_out, warnings.add)
            warnings.sum_up()
        crew.wait()
    return run.open_run(out)


class _Warnings:
    """Says each warning with the command that follows it, and at the end the one that follows them all."""

    def __init__(self, command: Command, say: Say) -> None:
        self.command = command
        self._say = say
        self._given: list[Advice] = []

    def add(self, advice: Advice) -> None:
        self._given.append(advice)
        self._say(f"warning: {advice.warning} Try: {self.command.with_all([advice])}")

    def sum_up(self) -> None:
        if len(self._given) > 1:
            self._say(f"all of that advice together: {self.command.with_all(self._given)}")


@contextmanager
def _target(out: Path, crew: Team, *, resume: bool, replace: bool) -> Iterator[tuple[Path | None, Path]]:
    """The folder that becomes the run, for the process that writes it, and the one of its checkpoints."""
    if not crew.leads:
        yield None, folder_of(out)
        return
    with kept(out, resume=resume) as training, files.new_folder(out, replace=replace) as folder:
        yield folder, training


def _identity(
    recipe: recipes.Recipe,
    seed: int,
    dataset: Dataset,
    labels: list[str],
    start: run.Run | None,
    machine: Machine,
    crew: Team,
    left_out: dict[str, int],
) -> dict[str, Any]:
    """All that the weights depend on, as JSON holds it: what must be equal for a training to go on."""
    values = {
        "recipe": recipe.to_json(),
        "seed": seed,
        "data": dataset.digest,
        "labels": labels,
        "from": None if start is None else start.digest,
        "device": machine.device.type,
        "threads": machine.threads,
        "processes": crew.size,
        "torch": torch.__version__,
        **({"left_out": left_out} if left_out else {}),
    }
    given: dict[str, Any] = json.loads(json.dumps(values))
    return given


def _info(
    recipe: recipes.Recipe,
    seed: int,
    dataset: Dataset,
    parts: Splits,
    unknown: float,
    fitted: Fit,
    start: run.Run | None,
    left_out: dict[str, int],
) -> run.RunInfo:
    return run.RunInfo(
        recipe=recipe.to_json(),
        seed=seed,
        data={
            "name": dataset.name,
            "digest": dataset.digest,
            "dropped": dataset.dropped | left_out,
            "train": len(parts.train.texts),
            "validation": len(parts.validation.texts),
            "test": len(parts.test.texts),
            "unknown_share": unknown,
            "image_values": 0 if dataset.images is None else dataset.images.shape[1],
        },
        parameters=sum(parameter.numel() for parameter in fitted.model.parameters()),
        training={
            "epochs": len(fitted.losses),
            "best_epoch": fitted.best_epoch,
            "validation_losses": fitted.losses,
            "seconds": round(fitted.seconds, 1),
        },
        versions=run.versions(),
        created=int(time.time()),
        history=[] if start is None else [*start.info.history, {"trained_from": start.digest}],
    )


def prepare(source: str | Dataset, recipe: recipes.Recipe, columns: Columns) -> tuple[Dataset, Splits]:
    """Load and split the data as the recipe's task needs them. Raises InputError for what is missing."""
    task = recipe.task
    if isinstance(source, str):
        source = data.load(source, columns_for(task, source, columns), multi_label=task == "multilabel")
    dataset = suited(task, source, columns)
    if recipe.inputs != "languages" and columns.language is None:
        dataset = dataclasses.replace(dataset, languages=None)  # of a sample set that has them
    if (recipe.inputs == "languages") != (dataset.languages is not None):
        raise InputError(
            f"The embedding {recipe.embedding.NAME!r} needs the language of every text, and {dataset.name} has none. "
            "Name --language-column."
            if dataset.languages is None
            else f"{dataset.name} names languages, which the embedding {recipe.embedding.NAME!r} has no use for. "
            "Leave out --language-column, or use --model multilingual."
        )
    if task in ("classify", "multilabel"):
        data.require_classes(dataset, multi_label=task == "multilabel")
    return dataset, split(dataset, kind=task)


def _fresh(recipe: recipes.Recipe, part: Dataset, say: Say) -> tuple[recipes.Recipe, TextEncoder]:
    """The encoder of new training texts, and the recipe with its dimension and buckets settled."""
    texts = part.texts if part.pairs is None else [*part.texts, *part.pairs]
    languages = None if part.languages is None else [*part.languages, *(part.languages if part.pairs else [])]
    encoder = build_encoder(texts, recipe.text, inputs=recipe.inputs, languages=languages)
    dim = recipe.embedding.dim
    vectors = getattr(recipe.embedding, "vectors", None)
    if vectors is None and not recipe.learns:
        raise InputError(
            'The head pools word vectors as they are given (objective = "pooled"), and none are given. Name them '
            'with --vectors, or set objective = "contrastive".'
        )
    if vectors is not None and dim is None:
        dim = open_vectors(vectors).dim
        say(f"{dim} dimensions, those of the vectors {vectors}")
    elif dim is None:
        tokens = int(encoder.look_up(part.texts, part.languages).lengths.sum())
        dim, reason = choose_dim(recipe.encoder.NAME, recipe.task, tokens)
        say(reason)
    if getattr(recipe.embedding, "buckets", None) == AUTO:
        recipe = recipe.changed("embedding", buckets=choose_buckets(texts, recipe.text))
    return recipe.changed("embedding", dim=dim).changed("text", buckets=encoder.spec.buckets), encoder


def _classes(recipe: recipes.Recipe, dataset: Dataset) -> list[str]:
    if recipe.task == "classify":
        return dataset.classes
    if recipe.task == "multilabel":
        return data.label_names(data.label_sets(dataset.labels))
    return []


def _require_known(dataset: Dataset, classes: list[str], start: run.Run) -> None:
    foreign = sorted(set(classes) - set(start.labels))
    if foreign:
        raise InputError(
            f"{dataset.name} has labels that {start.folder} was not trained for: {', '.join(foreign[:5])}; its "
            f"labels are: {', '.join(start.labels[:20])}. Train anew, or leave these rows out."
        )


def _summary(
    dataset: Dataset,
    parts: Splits,
    encoder: TextEncoder,
    recipe: recipes.Recipe,
    labels: list[str],
    unknown: float,
) -> str:
    known = {
        "hashes": f"{getattr(recipe.embedding, 'buckets', 0):,} buckets for any word",
        "characters": f"{encoder.spec.characters - 2:,} characters",
    }.get(recipe.inputs, f"{len(encoder.vocabulary):,} words")
    sizes: dict[str, Any] = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
    return (
        f"{dataset.name}: {sizes['train']:,} texts to train on, {sizes['validation']:,} to choose by, "
        f"{sizes['test']:,} to report on; {f'{len(labels)} labels; ' if labels else ''}{known}; "
        f"{unknown:.1%} of the tokens to choose by are unknown"
    )
