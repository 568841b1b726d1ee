"""Training: texts in, a run folder out."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from .. import files
from ..errors import InputError
from ..handlers.text import TextEncoder
from ..progress import Progress, Say, silent
from . import data, recipes, run
from .data import Columns, Dataset
from .dimension import choose_dim
from .fit import fit
from .pretrained import open_vectors
from .saving import check_replaceable, save, unknown_share
from .splits import Splits, split
from .tasks import UNLABELLED, columns_for, suited
from .vocabulary import build_encoder


def train(
    source: str,
    out: Path,
    *,
    recipe: recipes.Recipe,
    columns: Columns = UNLABELLED,
    start: run.Run | None = None,
    seed: int = 0,
    replace: bool = False,
    say: Say = silent,
    progress: Progress = silent,
) -> run.Run:
    """Train `recipe` on a sample set or file and write the run folder `out`, whole or not at all.

    With `start` that run's words, labels and weights are where training begins (`recipe` is then its own, perhaps
    with other training options). `progress` is told (steps done, steps at most, what is going on). Raises
    InputError for data or a target that cannot be used.
    """
    check_replaceable(out, replace=replace)
    with files.new_folder(out, replace=replace) as folder:
        dataset, parts = prepare(source, recipe, columns)
        if start is None:
            recipe, encoder = _fresh(recipe, parts.train, say)
            labels = list(_classes(recipe, dataset))
        else:
            encoder, labels = start.encoder, start.labels
            run.require_known(start, dataset)
            _require_known(dataset, _classes(recipe, dataset), start)
        say(_summary(dataset, parts, encoder, recipe, labels))
        fitted = fit(recipe, parts, labels, encoder, seed=seed, start=start, say=say, progress=progress)
        held_out = {"validation": parts.validation, "test": parts.test}
        info = run.RunInfo(
            recipe=recipe.to_json(),
            seed=seed,
            data={
                "name": dataset.name,
                "digest": dataset.digest,
                "dropped": dataset.dropped,
                "train": len(parts.train.texts),
                "validation": len(parts.validation.texts),
                "test": len(parts.test.texts),
                "unknown_share": unknown_share(encoder, parts.validation),
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
        save(folder, out.name, info, recipe, fitted.model, encoder, labels, held_out)
    return run.open_run(out)


def prepare(source: str, recipe: recipes.Recipe, columns: Columns) -> tuple[Dataset, Splits]:
    """Load and split the data as the recipe's task needs them. Raises InputError for what is missing."""
    task = recipe.task
    dataset = data.load(source, columns_for(task, source, columns), multi_label=task == "multilabel")
    dataset = suited(task, dataset, columns)
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
    """The encoder of new training texts, and the recipe with its dimension settled."""
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
    return recipe.changed("embedding", dim=dim), encoder


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


def _summary(dataset: Dataset, parts: Splits, encoder: TextEncoder, recipe: recipes.Recipe, labels: list[str]) -> str:
    known = {
        "hashes": f"{getattr(recipe.embedding, 'buckets', 0):,} buckets for any word",
        "characters": f"{encoder.spec.characters - 2:,} characters",
    }.get(recipe.inputs, f"{len(encoder.vocabulary):,} words")
    sizes: dict[str, Any] = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
    return (
        f"{dataset.name}: {sizes['train']:,} texts to train on, {sizes['validation']:,} to choose by, "
        f"{sizes['test']:,} to report on; {f'{len(labels)} labels; ' if labels else ''}{known}; "
        f"{unknown_share(encoder, parts.validation):.1%} of the tokens to choose by are unknown"
    )
