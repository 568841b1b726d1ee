"""What fewer bits cost in accuracy: every variant against its own trained model, over several seeds and data sets.

    python benchmarks/precision.py [--data rotten-tomatoes,bbc-news,chinese-reviews] [--recipe bag] [--seeds 5]
        [--keep FOLDER] [--quick]

Every variant is written, opened as a worker opens it and asked the texts held out for testing. A drop is pooled over
all texts of all sets and seeds. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lexport.benchmarks.baselines import points
from lexport.benchmarks.figures import Values, crossed_interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.data.dataset import Dataset
from lexport.evaluation.metrics import Outputs
from lexport.export.evidence import measure
from lexport.export.formats.variants import IDS_IN
from lexport.export.formats.writer import VariantWriter
from lexport.models import recipes
from lexport.models.predict import outputs
from lexport.models.recipes import Recipe
from lexport.models.run import Run, open_run
from lexport.training.train import train

SETS = ("rotten-tomatoes", "bbc-news", "chinese-reviews")
MOST_POINTS = {"int8": 0.3, "int4": 1.0}


@dataclass(frozen=True)
class Judged:
    """A set's test texts, [seeds, texts]: 1.0 where a text is judged right, by the trained model and each variant.

    flips: texts that a variant labels otherwise than the trained model, [seeds, texts]. change: the largest of a
    score.
    """

    name: str
    trained: Values
    right: dict[str, Values]
    flips: dict[str, Values]
    change: dict[str, float]


def main() -> int:
    """Measure, print Markdown tables, and return 0 if every limit is kept."""
    options = _options()
    report = Report(options)
    torch.set_num_threads(1)
    recipe = recipes.load(options.recipe)
    if recipe.task != "classify":
        raise SystemExit(f"The recipe {recipe.name} gives no labels to be right about; take a classifier's.")
    if options.quick:
        recipe = recipe.changed("training", epochs=2)
    with tempfile.TemporaryDirectory(prefix="lexport-precision-") as folder:
        kept = options.keep or Path(folder)
        every = [_judge(name, recipe, range(options.seeds), kept) for name in options.data]
    report.part(f"Recipe `{recipe.name}` in fewer bits, test texts, {options.seeds} seeds")
    lost = [f"{judged.name}: points lost" for judged in every]
    columns = ["variant", *lost, "pooled", "labels changed", "largest Δ"]
    report.table(columns, [_row(name, every) for name in IDS_IN])
    accuracies = ", ".join(f"{judged.name} {judged.trained.mean():.2%}" for judged in every)
    report.text(f"Trained models: {accuracies}. Intervals: 95 %, seeds and texts both drawn again.")
    return report.close([_verdict(name, every) for name in IDS_IN if IDS_IN[name].precision in MOST_POINTS])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=lambda names: names.split(","), default=list(SETS), help="sample sets or files, by commas")
    add("--recipe", default="bag", help="see `lexport recipes`")
    add("--seeds", type=int, default=5, help="how many; at least 2")
    add("--keep", type=Path, help="folder for the trained runs: one found there is not trained again")
    add("--quick", action="store_true", help="two epochs, no verdict: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds {options.seeds} gives no interval; at least 2 are needed")
    return options


def _judge(source: str, recipe: Recipe, seeds: Sequence[int], kept: Path) -> Judged:
    trained: list[Values] = []
    right: dict[str, list[Values]] = {name: [] for name in IDS_IN}
    flips: dict[str, list[Values]] = {name: [] for name in IDS_IN}
    change = dict.fromkeys(IDS_IN, 0.0)
    for seed in seeds:
        run = _trained(source, recipe, seed, kept)
        test = run.held_out("test")
        scores = outputs(run.model, run.encoder, test)
        trained.append(_right(run, test, scores))
        for name in IDS_IN:
            found = _served(run, name, test)
            right[name].append(_right(run, test, found))
            flips[name].append((found.argmax(axis=1) != scores.argmax(axis=1)).astype(np.float64))
            change[name] = max(change[name], float(np.abs(found - scores).max()))
        say(f"{source}, seed {seed}: test accuracy {trained[-1].mean():.2%}")
    return Judged(
        Path(source).stem,
        np.stack(trained),
        {name: np.stack(values) for name, values in right.items()},
        {name: np.stack(values) for name, values in flips.items()},
        change,
    )


def _trained(source: str, recipe: Recipe, seed: int, kept: Path) -> Run:
    folder = kept / f"{Path(source).stem}-{recipe.name}-{seed}"
    return open_run(folder) if folder.is_dir() else train(source, folder, recipe=recipe, seed=seed)


def _served(run: Run, name: str, part: Dataset) -> Outputs:
    with tempfile.TemporaryDirectory(prefix="lexport-precision-") as folder:
        written = VariantWriter(run, Path(folder), {}, part.batch[:64]).write(IDS_IN[name])
        return measure.predict_batched(written.predictor, part)


def _right(run: Run, part: Dataset, scores: Outputs) -> Values:
    """1.0 where the likeliest label is a text's own, else 0.0."""
    own = np.array([run.labels.index(label) for label in part.labels])
    found: Values = (scores.argmax(axis=1) == own).astype(np.float64)
    return found


def _lost(name: str, every: Sequence[Judged]) -> Values:
    """What was right before and is not any more, less what became right, [seeds, texts of all sets]."""
    return np.concatenate([judged.trained - judged.right[name] for judged in every], axis=1)


def _row(name: str, every: Sequence[Judged]) -> list[str]:
    flipped = np.concatenate([judged.flips[name] for judged in every], axis=1).mean()
    change = max(judged.change[name] for judged in every)
    cells = [points(float(_lost(name, [judged]).mean())) for judged in every]
    return [f"`{name}`", *cells, _with_interval(_lost(name, every)), f"{flipped:.2%}", f"{change:.1e}"]


def _with_interval(lost: Values) -> str:
    low, high = crossed_interval(lost)
    return f"{points(float(lost.mean()))} [{points(low)}, {points(high)}]"


def _verdict(name: str, every: Sequence[Judged]) -> Verdict:
    most, lost = MOST_POINTS[IDS_IN[name].precision], _lost(name, every)
    asked = f"`{name}`: at most {most} points of accuracy lost, pooled"
    return Verdict(asked, _with_interval(lost), bool(100 * lost.mean() <= most))


if __name__ == "__main__":
    raise SystemExit(main())
