"""Train recipes one after the other and keep the one that does best on the validation texts."""

from __future__ import annotations

import dataclasses
import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.dataset import label_names, label_sets
from ...data.load import USUAL_READING, Columns, Dataset, Reading, Source
from ...data.splits import SplitOptions, assign
from ...errors import InputError
from ...evaluation.diagnostics.advice import Command
from ...evaluation.tasks import TASKS, Task, task_of
from ...models import run as runs
from ...models.predict import Outputs, outputs
from ...models.recipes import Recipe
from ...storage import atomic as files
from ...storage.progress import Progress, Say, silent
from ..card import write_card
from ..distributed import processes
from ..save import check_replaceable
from ..train import train
from .cross_validation import command_of, cross_validate, held_out_loaded, loaded, unlogged

BUDGET = 120.0
"""Seconds after which no further candidate begins, unless others are chosen."""
_CANDIDATES = ("linear", "bag", "hashed", "char-ngrams", "cnn")
_BY_LANGUAGE = ("multilingual",)
_LEAST_SCORE = 1e-7
# With fewer validation texts than this the accuracies of two recipes differ by chance alone.
_FEW, _FOLDS = 100, 5
# With fewer texts than this, those of the test part not counted, folds say nothing either.
_LEAST = 20

# An exact fit reads every n-gram for every label some hundred times: more characters times labels take minutes.
_MOST_EXACT = 500_000_000

_WARNING = "warning: "

log = logging.getLogger("lexport")


def candidates(columns: Columns) -> tuple[str, ...]:
    """Return the recipes that are tried, in this order, by the columns that are read.

    Raises InputError for columns of pairs or images, whose recipes have no rivals.
    """
    for column, recipe in ((columns.pair, "vectors"), (columns.image, "joint")):
        if column is not None:
            raise InputError(
                f"--model auto chooses among recipes that answer labels, which do not use the column {column!r}. Use "
                f"--model {recipe}, or leave the column out.",
                code="LX-TRAIN-029",
            )
    return _BY_LANGUAGE if columns.language is not None else _CANDIDATES


def train_best(
    source: Source | Dataset,
    out: Path,
    *,
    recipes: Sequence[Recipe],
    columns: Columns,
    budget: float = BUDGET,
    resume: bool = False,
    replace: bool = False,
    reading: Reading = USUAL_READING,
    splitting: SplitOptions = SplitOptions(),  # noqa: B008  (it is immutable)
    final: bool = False,
    folds: int | None = None,
    say: Say = silent,
    progress: Progress = silent,
    **options: Any,
) -> runs.Run:
    """Train `recipes`, of one task, on the same data. Write the best run to the folder `out`, or nothing.

    A recipe takes the place of an earlier one if the metric of its task is higher by more than a standard error: on
    the validation texts, or with `folds` in the mean of as many in cross-validation. With `folds`
    None it is 5 where there are too few validation texts to choose by, unless they are given apart; of fewer than 20
    texts only the first recipe is tried. The run's `run.json` and model card have what each came to. After
    `budget` seconds no further recipe begins, but what has begun is finished, so that the same finished recipes give
    the same run; a recipe fitted exactly is left out where there is too much text for it. All are trained in a hidden
    folder beside `out`; an interruption leaves nothing of it, so that to `resume` is to start again, unless `out` is
    finished. With `final` the best is trained once more and then fitted on all texts. `options` are those of `train`
    for all of them. Raises InputError as `train` does, for a budget that is no time, and for several processes.
    """
    if not 0 < budget < float("inf"):
        raise InputError(
            f"budget={budget} must be a number of seconds above 0. Name another --budget, or leave it out.",
            code="LX-TRAIN-030",
        )
    if processes() > 1:
        raise InputError(
            f"--model auto trains in one process, and torch's launcher started {processes()}. Start it without the "
            "launcher, or name a recipe.",
            code="LX-TRAIN-031",
        )
    if resume and (out / "run.json").is_file():
        say(f"{out} is finished; nothing to resume")
        return runs.open_run(out)
    check_replaceable(out, replace=replace)
    files.check_folder(out, replace=replace)
    if resume:
        files.clear_leftovers(out)
    kind = TASKS[recipes[0].task]
    command = options.pop("command", None) or command_of(source, out)
    source = loaded(source, recipes[0], columns, splitting, reading)
    options["held_out"] = held_out_loaded(recipes[0], columns=columns, reading=reading, **options)
    heading = []
    recipes, too_large = _affordable(recipes, source)
    heading += too_large
    texts = _texts_of_folds(source, splitting, options["held_out"]) if folds is None else None
    if texts is not None and texts >= _LEAST:
        folds = _FOLDS
        heading.append(f"few validation texts: the recipes are judged by {folds}-fold cross-validation")
    elif texts is not None and len(recipes) > 1:
        recipes = recipes[:1]
        heading.append(f"{texts:,} texts are too few to choose a recipe by: {recipes[0].name} alone is tried")
    judging = source
    if folds:
        # The texts of the test part choose nothing.
        judging = assign(source, splitting, kind.label_sets, options["held_out"]).dataset
    options |= {"columns": columns, "reading": reading, "splitting": splitting, "progress": progress}
    began = time.monotonic()
    board: list[dict[str, Any]] = []
    with files.new_folder(out, replace=replace) as folder:
        tried, best, best_line = folder / ".tried", recipes[0].name, dict[str, Any]()
        warned: list[str] = []
        for number, recipe in enumerate(recipes):
            if number and time.monotonic() - began >= budget:
                left = ", ".join(one.name for one in recipes[number:])
                say(f"the budget of {budget:g} s is used up; not tried: {left}")
                break
            heading.append(f"{recipe.name}, {number + 1} of {len(recipes)} recipes; none begins after {budget:g} s")
            place = tried / recipe.name
            # What is said of the data once is enough, and what is warned of counts for the model that is kept.
            told = _Telling(say, heading, brief=number > 0)
            heading = []
            options["command"] = _for_one(command, recipe)
            with unlogged():
                validated = cross_validate(judging, recipe, folds=folds, **options) if folds else None
                found = train(source, place, recipe=recipe, cross_validation=validated, say=told, **options)
            board.append(_judged(found))
            shown = ", ".join(f"{head} {_shown(board[-1])[name]:.4f}" for name, head in kind.HEADLINES.items())
            say(f"{recipe.name}: {shown} in {board[-1]['seconds']:.0f} s")
            judges = found.info.cross_validation["tested"] if folds else found.info.data["validation"]
            if not number or _is_better(board[-1], best_line, kind.METRIC, judges):
                if number:
                    shutil.rmtree(tried / best)
                best, best_line, warned = recipe.name, board[-1], told.warnings
            else:
                shutil.rmtree(place)
        if final:
            chosen = next(recipe for recipe in recipes if recipe.name == best)
            judged = runs.open_run(tried / best).info.cross_validation
            options |= {"final": True, "replace": True, "cross_validation": judged}
            with unlogged():
                train(source, tried / best, recipe=chosen, say=_Telling(say, []), **options)
        for path in (tried / best).iterdir():
            path.rename(folder / path.name)
        shutil.rmtree(tried)
        board.sort(key=lambda one: (one is best_line, *_rank(one, kind.METRIC)), reverse=True)
        _record(folder, out.name, board)
    say(f"kept: {best}")
    for line in warned:
        say(line)
        log.warning("%s", line.removeprefix(_WARNING))
    return runs.open_run(out)


def _affordable(recipes: Sequence[Recipe], dataset: Dataset) -> tuple[Sequence[Recipe], list[str]]:
    """Return the recipes whose training ends in a time that suits the data, and what is said of the others."""
    labels = len(label_names(label_sets(set(dataset.labels))))
    characters = sum(map(len, dataset.texts))
    left = [recipe for recipe in recipes if recipe.training.optimizer == "newton"]
    if characters * labels <= _MOST_EXACT or len(left) == len(recipes):
        return recipes, []
    told = [
        f"{recipe.name} is not tried: its exact fit would take long for {characters:,} characters and {labels:,} "
        f"labels; --model {recipe.name} trains it"
        for recipe in left
    ]
    return [recipe for recipe in recipes if recipe not in left], told


def _texts_of_folds(dataset: Dataset, splitting: SplitOptions, held_out: Mapping[str, Any]) -> int | None:
    """Return how many texts folds would judge by, where the validation texts are too few to choose by; else None."""
    if "validation" in held_out or splitting.method == "time":
        return None
    parts, (_, validation, test) = dataset.parts, splitting.shares
    held = {"validation": len(dataset) * validation / 100, "test": len(dataset) * test / 100}
    if "test" in held_out:
        held["test"] = 0.0
    held |= {name: parts.count(name) for name in held if parts is not None and name in parts}
    return None if held["validation"] >= _FEW else len(dataset) - round(held["test"])


def _for_one(command: Command, recipe: Recipe) -> Command:
    """Return the command that trains this recipe alone, for the advice of its warnings."""
    others = [option for option in command.options if option[0] not in ("--model", "--budget", "--cv")]
    return dataclasses.replace(command, options=(("--model", recipe.name), *others))


class _Telling:
    """Hand on what a training says, but for its warnings, which are kept.

    A heading comes before it, once the data have turned out to be such as can be learned.
    """

    def __init__(self, say: Say, heading: Sequence[str], *, brief: bool = False) -> None:
        """With `brief` only the heading is handed on."""
        self.warnings: list[str] = []
        self._say, self._heading, self._brief = say, list(heading), brief

    def __call__(self, line: str) -> None:
        """Say a line, or keep it."""
        for one in self._heading:
            self._say(one)
        self._heading = []
        if line.startswith(_WARNING):
            self.warnings.append(line)
        elif not self._brief and not line.startswith("all advice together: "):
            self._say(line)


def _shown(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metrics that a line of the leaderboard is judged by."""
    found: Mapping[str, Any] = line.get("cross_validated", line)
    return found


def _rank(line: dict[str, Any], metric: str) -> tuple[float, float]:
    """Return what the best line of the leaderboard has the highest of."""
    return _shown(line)[metric], -line["loss"]


def _is_better(line: dict[str, Any], best: dict[str, Any], metric: str, texts: int) -> bool:
    """Return whether a recipe takes the place of the best before it, judged by `texts` texts.

    One standard error is what chance does (Breiman, Friedman, Olshen, Stone: Classification and Regression Trees,
    1984, have this rule), and earlier recipes have less to learn.
    """
    before = float(_shown(best)[metric])
    return float(_shown(line)[metric]) > before + math.sqrt(before * (1 - before) / texts)


def _judged(run: runs.Run) -> dict[str, Any]:
    """Return a line of the leaderboard: the recipe, its metrics on the validation texts, and its seconds."""
    task, part = task_of(run.recipe.task, run.labels, run.threshold), run.held_out("validation")
    found = run.info.cross_validation.get("metrics")
    validated = {"cross_validated": {name: found[name]["mean"] for name in found}} if found else {}
    return {
        "recipe": run.recipe.name,
        **validated,
        **{name: run.metrics["validation"][name] for name in task.HEADLINES},
        "loss": _loss(task, part, outputs(run.model, run.encoder, part)),
        "seconds": run.info.training["seconds"],
    }


def _loss(task: Task, part: Dataset, scores: Outputs) -> float:
    """Return the mean cross-entropy of the labels that texts have, or lack."""
    limited = scores.astype(np.float64).clip(_LEAST_SCORE, 1 - _LEAST_SCORE)
    truth = task.truth(part)
    if truth.ndim == 1:
        return float(-np.log(limited[np.arange(len(truth)), truth]).mean())
    return float(-(truth * np.log(limited) + (1 - truth) * np.log1p(-limited)).mean())


def _record(folder: Path, name: str, board: list[dict[str, Any]]) -> None:
    """Write the leaderboard into the run's `run.json` and model card."""
    run = runs.open_run(folder)
    info = dataclasses.replace(run.info, leaderboard=board)
    task = task_of(run.recipe.task, run.labels, run.threshold)
    (folder / "run.json").write_bytes(files.json_bytes(dataclasses.asdict(info)))
    card = write_card(name, info, run.recipe, task, run.metrics, run.encoder.spec)
    (folder / "README.md").write_bytes(card.encode())
