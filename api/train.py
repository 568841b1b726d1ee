"""`lexport.train`: from data and options to a run. The command `lexport train` is this function."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InputError
from ..storage.progress import Progress, Say, silent
from .packages import names_missing_packages
from .paths import StrPath

if TYPE_CHECKING:
    from ..data.load import Columns, Dataset, Reading
    from ..data.teacher import Teacher
    from ..evaluation.diagnostics.advice import Command
    from ..models.recipes import Recipe
    from ..models.run import Run as TrainedRun
    from .model import Model
    from .run import Run


class Estimator(Protocol):
    """A fitted scikit-learn classifier of texts."""

    classes_: Any
    """The labels."""

    def predict_proba(self, texts: Any, /) -> Any:
        """Return their probabilities, float [texts, labels]."""


HeldOut = StrPath | tuple[Iterable[str], Iterable[Any]]
"""Validation or test data: a file, or texts and labels."""
AUTO = "auto"
"""What a recipe is called that stands for the best of several."""
USUAL = "bag"
"""The recipe where none is named and several cannot be tried."""

_Options = dict[str, dict[str, Any]]  # those of a recipe, by section; None leaves one as it is


@names_missing_packages
def train(
    data: StrPath | Sequence[StrPath] | None = None,
    *,
    texts: Iterable[str] | None = None,
    labels: Iterable[Any] | None = None,
    languages: Iterable[str] | None = None,
    out: StrPath | None = None,
    recipe: str | Recipe | None = None,
    start: Run | StrPath | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    language_column: str | None = None,
    pair_column: str | None = None,
    image_column: str | None = None,
    validation: HeldOut | None = None,
    test: HeldOut | None = None,
    split: str = "hash",
    shares: str | Sequence[int] = "80/10/10",
    split_column: str | None = None,
    reading: Reading | None = None,
    teacher: StrPath | Mapping[str, Any] | Callable[[list[str]], Sequence[Any]] | Model | Estimator | None = None,
    multi_label: bool = False,
    budget: float | None = None,
    vectors: StrPath | None = None,
    seed: int = 0,
    min_count: int | None = None,
    max_vocabulary: int | None = None,
    dim: int | None = None,
    epochs: int | None = None,
    settings: Sequence[str] = (),
    leave_out: Collection[str] = (),
    cv: int | None = None,
    final: bool = False,
    device: str = "auto",
    threads: int = 1,
    resume: bool = False,
    checkpoint_every: float = 30.0,
    replace: bool = False,
    command: Command | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> Run:
    """Train a model on a file, a sample set, or on `texts` and `labels` in memory, and return the run.

    `data` is a file or a list of them, a pattern, a folder or the name of a sample set; `reading` says how files are
    read and rows are cleaned, as far as it is not found from them. `labels` has one label for each text, or a list of
    labels for a multi-label recipe; `languages` one language. The run is written to the folder `out`; without it to a
    temporary one called like the file (or like the recipe), which is removed when the run is no longer used:
    `run.save(folder)` keeps it.

    The texts are split by their hashes; `split` may be "stratified", "group:COLUMN" or "time:COLUMN" instead, with
    `shares` in percent. `split_column` has the part of each row. `validation` and `test` are data apart: files, or
    pairs (texts, labels). With `cv` the recipe is also cross-validated, in as many folds of the texts that neither
    the data nor a file hold back for the test; `info.cross_validation` has the metrics, and with `recipe="auto"` they
    decide.

    `teacher` says the probability of each label for the training texts, which are then learned in place of the labels
    (`head.teacher_weight`): a file with a column `LABEL` or `score_LABEL` for each, read with `text_column`, or
    {text: {label: probability}}; texts that the data lack are trained on too. Or what is asked about the texts: a
    run, an archive or a server (its folder, file or address), a fitted scikit-learn classifier of texts, or a
    function of a list of texts that returns {label: probability}, or a run's answer, for each.

    `recipe` is a shipped one's name, a TOML file or a Recipe. With "auto" several recipes are trained, and one takes
    the place of the one before if it is better on the validation texts by more than a standard error; the run's
    `info.leaderboard` has them all, none begins after `budget` seconds (None: 120), and only `multi_label`, `epochs`
    and `settings` change them. `multi_label`, `vectors` (a file, or glove-6b-50d), `min_count`, `max_vocabulary`,
    `dim`, `epochs` and `settings` ("SECTION.OPTION=VALUE") change a recipe; None leaves an option as it is. Without
    a `recipe` it is "auto", or "bag" if one of these options changes words or vectors, if there are pairs or images,
    and in several processes. With `start` that run is trained further: its model and words stay, and only `epochs`
    and `settings` apply. `leave_out`: "doubted" labels, held-out texts that are "shared" with training. `final`:
    after it is judged the model is fitted on all texts, with the epochs or the strength that were best.

    A checkpoint is written every `checkpoint_every` seconds; `resume` continues an interrupted training of `out`.
    `replace` allows `out` to exist. `say=print` shows what happens, `progress` is called with (steps done, most
    steps, description). `command` is the command line that warnings repeat with their advice (None: one with the
    data alone). Raises InputError for data, options, recipes and folders that cannot be used.
    """
    from ..data.load import USUAL_READING, Columns
    from ..data.splits import SplitOptions
    from ..evaluation.tasks import TASKS
    from ..models.recipes.settings import with_settings
    from ..training import train as training
    from ..training.device import choose_device
    from ..training.selection import BUDGET, train_best, train_validated
    from .run import Run

    if (data is None) == (texts is None):
        raise InputError(
            "Give a data file or texts: lexport.train('reviews.csv') or train(texts=…, labels=…).", code="LX-API-003"
        )
    if resume and replace:
        raise InputError(
            "--resume continues a training, --force starts again; leave one of them out.", code="LX-API-014"
        )
    # The options that change a model; a run that is trained further keeps its own.
    model: _Options = {
        "text": {"min_count": min_count, "max_vocabulary": max_vocabulary},
        "embedding": {"dim": dim, "vectors": None if vectors is None else str(vectors)},
        "head": {"multi_label": multi_label or None},
    }
    columns = Columns(text_column, label_column, language_column, pair_column, image_column, split_column)
    begun = None if start is None else _begun(start, recipe, model)
    if begun is None and recipe is None:
        recipe = _usual(columns, model, settings)
    names = _names(recipe, columns, model, budget) if begun is None else []
    every = [
        with_settings(one.changed("training", epochs=epochs), settings, further=begun is not None)
        for one in ([_recipe(name, model, say) for name in names] if begun is None else [begun.recipe])
    ]
    chosen = every[0]
    several = TASKS[chosen.task].MULTI_LABEL
    how = reading or USUAL_READING
    source = _named(data) if data is not None else _dataset(texts or (), labels, languages, "texts", several, how)
    given = {"validation": validation, "test": test}
    temporary = tempfile.mkdtemp(prefix="lexport-run-") if out is None else ""
    try:
        place = Path(temporary, _name(data, recipe, chosen)) if out is None else Path(out)
        options: dict[str, Any] = {
            "columns": columns,
            "reading": how,
            "splitting": SplitOptions.parse(split, shares),
            "teacher": None if teacher is None else _teacher(teacher, text_column, how),
            "held_out": {part: _held_out(one, part, several, how) for part, one in given.items() if one is not None},
            "seed": seed,
            "device": choose_device(device, threads),
            "checkpoint_every": checkpoint_every,
            "replace": replace,
            "without": leave_out,
            "final": final,
            "command": command,
            "say": say,
            "progress": progress,
        }
        if recipe == AUTO:
            seconds = BUDGET if budget is None else budget
            trained = train_best(source, place, recipes=every, budget=seconds, folds=cv, resume=resume, **options)
        elif cv is not None:
            trained = train_validated(source, place, folds=cv, recipe=chosen, start=begun, resume=resume, **options)
        else:
            trained = training.train(source, place, recipe=chosen, start=begun, resume=resume, **options)
    except BaseException:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    found = Run(trained)
    if temporary:
        weakref.finalize(found, shutil.rmtree, temporary, ignore_errors=True)
    return found


def _name(data: StrPath | Sequence[StrPath] | None, recipe: str | Recipe | None, chosen: Recipe) -> str:
    """Return what a run is called that was given no folder: the data's name without its endings, or the recipe's."""
    named = Path(data).name.partition(".")[0] if isinstance(data, str | Path) else ""
    if re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", named):
        return named
    return "model" if recipe == AUTO else chosen.name


def _dataset(
    texts: Iterable[str],
    labels: Iterable[Any] | None,
    languages: Iterable[str] | None,
    name: str,
    several: bool,
    how: Reading,
) -> Dataset:
    from ..data.load import of_texts

    return of_texts(texts, labels, languages=languages, name=name, multi_label=several, reading=how)


def _named(data: StrPath | Sequence[StrPath]) -> str | list[str]:
    return str(data) if isinstance(data, str | Path) else [str(one) for one in data]


def _held_out(data: HeldOut, part: str, several: bool, how: Reading) -> str | Dataset:
    return _dataset(*data, None, part, several, how) if isinstance(data, tuple) else str(data)


def _teacher(given: Any, text_column: str, how: Reading) -> Teacher:
    from ..data.teacher import Teacher
    from .functions import load

    if not isinstance(given, str | Path):
        return Teacher.of(given, how)
    name = str(given)
    if name.startswith(("http://", "https://")) or name.endswith(".mar") or (Path(given) / "run.json").is_file():
        return Teacher.of(load(given), how)
    return Teacher.of_file(name, text_column, how)


def _usual(columns: Columns, model: _Options, settings: Sequence[str]) -> str:
    """Return the recipe for those who name none: the best of several, unless an option is for one of them."""
    from ..training.distributed import processes

    named = _given({name: value for name, value in _flat(model).items() if name != "multi_label"})
    named += [one for one in settings if one.partition(".")[0] in ("text", "embedding", "encoder")]
    one_task = columns.pair is not None or columns.image is not None
    return USUAL if named or one_task or processes() > 1 else AUTO


def _names(
    recipe: str | Recipe | None, columns: Columns, model: _Options, budget: float | None
) -> Sequence[str | Recipe | None]:
    """Return the recipes to train. Raises InputError for options that do not go with them."""
    from ..training.selection import candidates

    if recipe != AUTO:
        if budget is not None:
            raise InputError(f"--budget {budget:g} is for --model {AUTO}; leave it out.", code="LX-API-015")
        return [recipe]
    given = _given({name: value for name, value in _flat(model).items() if name != "multi_label"})
    if given:
        raise InputError(
            f"--model {AUTO} tries recipes of different parts; leave out {', '.join(given)}, or name a recipe.",
            code="LX-API-016",
        )
    return candidates(columns)


def _flat(model: _Options) -> dict[str, Any]:
    return {name: value for section in model.values() for name, value in section.items()}


def _given(options: dict[str, Any]) -> list[str]:
    """Return the options that are not None as the command line has them."""
    return [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]


def _recipe(recipe: str | Recipe | None, model: _Options, say: Say) -> Recipe:
    """Return the recipe with the options of its sections in `model` that are not None."""
    from ..models import recipes

    chosen = recipes.load(recipe or USUAL, say) if recipe is None or isinstance(recipe, str) else recipe
    for section, options in model.items():
        chosen = chosen.changed(section, **options)
    return chosen


def _begun(start: Run | StrPath, recipe: str | Recipe | None, model: _Options) -> TrainedRun:
    """Open the run that is trained further. Raises InputError if an option would change its model."""
    from ..models.run import open_run

    given = _given({"model": recipe, **_flat(model)})
    if given:
        raise InputError(
            f"--from continues with the model and words of its run; leave out {', '.join(given)}.", code="LX-API-013"
        )
    return open_run(Path(start) if isinstance(start, (str, Path)) else start.folder)
