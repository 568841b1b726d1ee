"""How good every recipe is: beside linear models of TF-IDF and fastText, on the same splits.

    python benchmarks/accuracy.py [--data rotten-tomatoes,bbc-news] [--recipes bag,cnn] [--seeds 5] [--quick]

Settings and epochs are chosen on validation, everything is judged on the test split. No recipe is told which set it
learns. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lexport.benchmarks import baselines, fasttext
from lexport.benchmarks.baselines import CHARACTERS, FASTTEXT, WORDS, Baseline, points
from lexport.benchmarks.figures import Values, crossed_interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.data import load as data
from lexport.data.dataset import Dataset
from lexport.data.splits import Splits, split
from lexport.errors import SystemProblem
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.predict import outputs
from lexport.models.recipes import Recipe
from lexport.models.run import Run, versions
from lexport.training.train import train

SETS = ("rotten-tomatoes", "bbc-news", "chinese-reviews", "multilingual-reviews")
# The best on a set's validation texts is held to both baselines, which choose their settings by the same texts; so is
# the one recipe that is the best over both sets.
ABOVE, NOT_BELOW = "rotten-tomatoes", "bbc-news"
# Of the recipes that read characters the best on validation is held to TF-IDF over characters.
BY_CHARACTER = "chinese-reviews"


@dataclass(frozen=True)
class Result:
    """A recipe on a set. validation, test: 1.0 where a text is judged right, else 0.0, [seeds, texts].

    seconds: of a fit, on average.
    """

    recipe: Recipe
    validation: Values
    test: Values
    seconds: float


@dataclass(frozen=True)
class Judged:
    """A set with all that was judged on it, the baselines by name."""

    name: str
    results: list[Result]
    baselines: dict[str, Values]


def main() -> int:
    """Measure, print Markdown tables, and return 0 if every limit is kept."""
    options = _options()
    report = Report(options)
    # Fits of this size gain nothing from a second thread, and lose much where other programs want the cores.
    torch.set_num_threads(1)
    chosen = [recipes.load(name) for name in options.recipes]
    if options.quick:
        chosen = [recipe.changed("training", epochs=2) for recipe in chosen]
    every = []
    with tempfile.TemporaryDirectory(prefix="lexport-accuracy-") as folder:
        kept = options.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        for name in options.data:
            every.append(_judge_set(name, chosen, range(options.seeds), kept, options, report))
    return report.close(verdicts_of(every))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=_listed, default=list(SETS), help="sample sets or files, by commas")
    add("--recipes", type=_listed, help="names or files *.toml, by commas (default: all that classify)")
    add("--seeds", type=int, default=5, help="how many; at least 2")
    add("--fasttext", help="the program, where it is not in PATH")
    add("--keep", type=Path, help="folder for what each fit judged right: a fit found there is not made again")
    add("--quick", action="store_true", help="two epochs, no verdict: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds {options.seeds} gives no interval; at least 2 are needed")
    try:
        options.fasttext = fasttext.find(options.fasttext)
    except SystemProblem as problem:
        if not options.quick:
            parser.error(str(problem))
    if options.recipes is None:
        options.recipes = [name for name in recipes.names() if recipes.load(name).task == "classify"]
    return options


def _listed(names: str) -> list[str]:
    return names.split(",")


def _judge_set(
    name: str, chosen: Sequence[Recipe], seeds: Sequence[int], kept: Path, options: argparse.Namespace, report: Report
) -> Judged:
    """Fit the recipes that suit the set and the baselines, and print how they did."""
    dataset = data.load(name)
    parts = split(dataset)
    results = []
    for recipe in chosen:
        if (recipe.inputs is Layout.LANGUAGES) == (dataset.languages is not None):
            results.append(_judge_recipe(name, dataset, parts, recipe, seeds, kept))
    against = [baselines.of_words(parts), baselines.of_margins(parts), baselines.of_bayes(parts)]
    if sum(map(len, parts.train.texts)) <= baselines.MOST_CHARACTERS:
        against.append(baselines.of_characters(parts))
    if options.fasttext:
        against.append(baselines.of_fasttext(parts, seeds, options.fasttext))
    tests = {baseline.name: baseline.right(parts.test) for baseline in against}
    report.part(dataset.name)
    counts = ", ".join(f"{len(part):,}" for part in (parts.train, parts.validation, parts.test))
    report.text(f"{counts} texts to train on, choose by and report on; seeds: {len(seeds)}")
    columns = [
        "accuracy",
        "validation",
        "test",
        "test over seeds",
        *(f"points above {one}" for one in tests),
        "seconds a fit",
    ]
    rows = [_row(result, tests) for result in sorted(results, key=lambda one: -one.validation.mean())]
    report.table(columns, rows + [_baseline_row(one, parts, tests) for one in against])
    return Judged(name, results, tests)


def _judge_recipe(
    source: str, dataset: Dataset, parts: Splits, recipe: Recipe, seeds: Sequence[int], kept: Path
) -> Result:
    fits = []
    for seed in seeds:
        key = json.dumps([recipe.to_json(), dataset.digest, seed, versions()], sort_keys=True)
        file = kept / f"{recipe.name}-{seed}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        if not file.exists():
            with tempfile.TemporaryDirectory(prefix="lexport-accuracy-") as folder:
                run = train(source, Path(folder) / "run", recipe=recipe, seed=seed)
            fit = {
                "validation": _right(run, parts.validation),
                "test": _right(run, parts.test),
                "seconds": run.info.training["seconds"],
            }
            file.write_text(json.dumps(fit), encoding="utf-8")
        fits.append(json.loads(file.read_text(encoding="utf-8")))
        accuracy, seconds = np.mean(fits[-1]["test"]), fits[-1]["seconds"]
        say(f"{dataset.name}, {recipe.name}, seed {seed}: test {accuracy:.2%}, fitted in {seconds:.0f} s")
    validation, test = (np.array([fit[part] for fit in fits], np.float64) for part in ("validation", "test"))
    return Result(recipe, validation, test, float(np.mean([fit["seconds"] for fit in fits])))


def _right(run: Run, part: Dataset) -> list[int]:
    """1 for every text whose likeliest label is its own, else 0."""
    if run.recipe.inputs is not Layout.LANGUAGES:
        part = replace(part, languages=None)
    found = [run.labels[top] for top in outputs(run.model, run.encoder, part).argmax(axis=1)]
    return [int(a == b) for a, b in zip(found, part.labels, strict=True)]


def _row(result: Result, against: dict[str, Values]) -> list[str]:
    means = result.test.mean(axis=1)
    return [
        f"`{result.recipe.name}`",
        f"{result.validation.mean():.2%}",
        f"**{means.mean():.2%}**",
        f"{means.min():.2%} … {means.max():.2%}",
        *(_difference(result.test, theirs) for theirs in against.values()),
        f"{result.seconds:.1f}",
    ]


def _baseline_row(baseline: Baseline, parts: Splits, tests: dict[str, Values]) -> list[str]:
    means = tests[baseline.name].mean(axis=1)
    spread = f"{means.min():.2%} … {means.max():.2%}" if len(means) > 1 else ""
    held = baseline.right(parts.validation).mean()
    cells = [f"{baseline.name} ({baseline.settings})", f"{held:.2%}", f"{means.mean():.2%}", spread]
    return [*cells, *("" for _ in tests), f"{baseline.seconds:.1f}"]


def _difference(ours: Values, theirs: Values) -> str:
    low, high = crossed_interval(ours - theirs)
    return f"{points((ours - theirs).mean())} [{points(low)}, {points(high)}]"


def verdicts_of(every: Sequence[Judged]) -> list[Verdict]:
    """Every limit that these sets have."""
    return [*_of_the_best(every), *_of_characters(every)]


def _of_the_best(every: Sequence[Judged]) -> list[Verdict]:
    """The limits of a set's best recipe on its validation, and of the one that is best over both English sets."""
    english = [judged for judged in every if judged.name in (ABOVE, NOT_BELOW)]
    one = _best(english)
    verdicts = []
    for judged in english:
        own = _best([judged])
        verdicts += _held_to(judged, own, "the best on validation")
        if one != own:
            verdicts += _held_to(judged, one, "the best on validation over both sets")
    return verdicts


def _held_to(judged: Judged, name: str, chosen: str) -> list[Verdict]:
    """A recipe against both baselines of a set; `chosen` says as what."""
    result = next(one for one in judged.results if one.recipe.name == name)
    above = judged.name == ABOVE
    verdicts = []
    for theirs in (WORDS, FASTTEXT):
        if theirs in judged.baselines:
            difference = float((result.test - judged.baselines[theirs]).mean())
            asked = f"`{name}`, {chosen}, {'above' if above else 'not below'} {theirs} on {judged.name}"
            found = f"{_difference(result.test, judged.baselines[theirs])} points"
            verdicts.append(Verdict(asked, found, difference > 0 if above else difference >= 0))
    return verdicts


def _of_characters(every: Sequence[Judged]) -> list[Verdict]:
    """The limit of the best on validation of the recipes that read characters."""
    verdicts = []
    for judged in every:
        reading = [one for one in judged.results if one.recipe.name.startswith("char")]
        if judged.name == BY_CHARACTER and reading:
            best = max(reading, key=lambda one: one.validation.mean())
            theirs = judged.baselines[CHARACTERS]
            asked = f"`{best.recipe.name}`, of the character recipes, above {CHARACTERS} on {judged.name}"
            held = bool((best.test - theirs).mean() > 0)
            verdicts.append(Verdict(asked, f"{_difference(best.test, theirs)} points", held))
    return verdicts


def _best(every: Sequence[Judged]) -> str:
    """The recipe with the highest validation accuracy over these sets, of those that were fitted on all."""
    accuracies: dict[str, list[float]] = {}
    for judged in every:
        for result in judged.results:
            accuracies.setdefault(result.recipe.name, []).append(float(result.validation.mean()))
    return max(accuracies, key=lambda name: (len(accuracies[name]), np.mean(accuracies[name])), default="")


if __name__ == "__main__":
    raise SystemExit(main())
