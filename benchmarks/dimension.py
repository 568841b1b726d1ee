"""How wide vectors should be: one recipe at several widths, judged on the texts that training chooses by.

    python benchmarks/dimension.py [--data rotten-tomatoes] [--recipe bag] [--dims 4,8,16,32,64,128] [--seeds 3]

The steps of training/prepare.py come from it. The test is shown, never chosen by. Of the recipe `vectors` accuracy
is recall@1 of a text's pair, and the loss one minus the reciprocal of the pair's rank.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lexport.benchmarks.figures import Values, crossed_interval, say
from lexport.benchmarks.report import Report, add_options
from lexport.data.load import Dataset
from lexport.data.splits import Splits
from lexport.evaluation.metrics import Outputs, retrieval
from lexport.evaluation.tasks import UNLABELLED
from lexport.handlers.text.encoder import TextEncoder
from lexport.models import recipes
from lexport.models.predict import outputs
from lexport.models.recipes import Recipe
from lexport.models.vocabulary import build_encoder
from lexport.training.fit import fit
from lexport.training.prepare import prepare

SMALLEST = 1e-12  # a softmax score of 0 in float32 would have an infinite loss


@dataclass(frozen=True)
class Width:
    """The fits of one width. losses, right, tested: [seeds, texts], on validation, validation and test texts.

    seconds, epochs: means over seeds of how long a fit took and which epoch was kept. parameters: numbers learned.
    """

    losses: Values
    right: Values
    tested: Values
    seconds: float
    epochs: float
    parameters: int


def main() -> int:
    """Measure and print a Markdown table."""
    options = _options()
    report = Report(options)
    recipe = recipes.load(options.recipe)
    if recipe.task not in ("classify", "vector"):
        raise SystemExit(
            f"The recipe {recipe.name} learns {recipe.task}; take a classifier, such as bag, or vectors."
        )
    if options.quick:
        recipe = recipe.changed("training", epochs=2)
    dataset, parts, *_ = prepare(options.data, recipe, UNLABELLED)
    encoder = build_encoder([*parts.train.texts, *(parts.train.pairs or [])], recipe.text, inputs=recipe.inputs)
    tokens = int(encoder.look_up(parts.train.texts).lengths.sum())
    labels = dataset.classes if recipe.task == "classify" else []
    found = {
        dim: _measure(recipe.changed("embedding", dim=dim), parts, labels, encoder, options.seeds)
        for dim in options.dims
    }
    by_loss = smallest_fit({dim: width.losses for dim, width in found.items()})
    by_accuracy = smallest_fit({dim: 1 - width.right for dim, width in found.items()})
    report.part(f"Recipe `{recipe.name}` on {dataset.name}, {tokens:,} tokens to train on")
    counts = ", ".join(f"{len(part):,}" for part in (parts.train, parts.validation, parts.test))
    report.text(f"{counts} texts to train on, choose by and report on; seeds: {options.seeds}")
    report.table(*_shown(found))
    report.text(
        "Smallest width not measurably worse than the best on validation: "
        f"{by_loss} by loss, {by_accuracy} by accuracy."
    )
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", default="rotten-tomatoes", help="sample set or file")
    add("--recipe", default="bag", help="a classifier of `lexport recipes`, or vectors")
    add("--dims", type=_whole_numbers, default=[4, 8, 16, 32, 64, 128], help="widths to try, such as 8,16,32")
    add("--seeds", type=int, default=3, help="how many; with 1 the intervals are over texts alone")
    add("--quick", action="store_true", help="two epochs: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds} trains nothing; at least 1 is needed")
    return options


def _whole_numbers(value: str) -> list[int]:
    return sorted({int(one) for one in value.split(",")})


def _measure(recipe: Recipe, parts: Splits, labels: list[str], encoder: TextEncoder, seeds: int) -> Width:
    losses, right, tested, fits = [], [], [], []
    for seed in range(seeds):
        fitted = fit(recipe, parts, labels, encoder, seed=seed)
        held, test = (
            _judged(part, labels, outputs(fitted.model, encoder, part)) for part in (parts.validation, parts.test)
        )
        losses.append(held[0])
        right.append(held[1])
        tested.append(test[1])
        fits.append(fitted)
        say(
            f"{recipe.embedding.dim} dimensions, seed {seed}: validation loss {losses[-1].mean():.4f}, accuracy "
            f"{right[-1].mean():.4f}, test {tested[-1].mean():.4f}, {fitted.seconds:.0f} s"
        )
    return Width(
        np.stack(losses),
        np.stack(right),
        np.stack(tested),
        float(np.mean([one.seconds for one in fits])),
        float(np.mean([one.best_epoch for one in fits])),
        sum(parameter.numel() for parameter in fits[0].model.parameters()),
    )


def _judged(part: Dataset, labels: list[str], found: Outputs) -> tuple[Values, Values]:
    """The loss on each text, and 1.0 where it is answered right, else 0.0: [texts] both."""
    if labels:
        truth = np.array([labels.index(label) for label in part.labels])
        own = found[np.arange(len(truth)), truth].astype(np.float64)
        return -np.log(np.maximum(own, SMALLEST)), (found.argmax(axis=1) == truth).astype(np.float64)
    texts, pairs = found[: len(part)], found[len(part) :]
    each = np.arange(len(part))
    ranks = [retrieval(texts[row : row + 1], pairs, each[row : row + 1], each, (1,)) for row in each]
    return (
        np.array([1 - one["mean_reciprocal_rank"] for one in ranks]),
        np.array([one["recall_at_1"] for one in ranks]),
    )


def smallest_fit(losses: Mapping[int, Values]) -> int:
    """The smallest width whose loss or error ([seeds, texts] by width) is not measurably above the lowest.

    Measurably: the 95 % interval of the paired difference, over seeds and texts, lies above 0.
    """
    best = min(losses, key=lambda dim: float(losses[dim].mean()))
    return min(dim for dim in losses if dim == best or crossed_interval(losses[dim] - losses[best])[0] <= 0)


def _shown(found: Mapping[int, Width]) -> tuple[list[str], list[list[str]]]:
    best = min(found, key=lambda dim: float(found[dim].losses.mean()))
    rows = []
    for dim, width in found.items():
        more, fewer = width.losses - found[best].losses, width.right - found[best].right
        rows.append(
            [
                f"**{dim}**" if dim == best else str(dim),
                f"{width.losses.mean():.4f}",
                "" if dim == best else f"{_signed(more.mean(), 4)} [{_between(crossed_interval(more), 4)}]",
                f"{width.right.mean():.2%}",
                ""
                if dim == best
                else f"{_signed(100 * fewer.mean(), 2)} [{_between(crossed_interval(100 * fewer), 2)}]",
                f"{width.tested.mean():.2%}",
                f"{width.epochs:.1f}",
                f"{width.seconds:.0f}",
                f"{width.parameters * 4 / 2**20:.1f}",
            ]
        )
    columns = ["dim", "validation loss", "above the lowest", "validation accuracy", "points from the lowest loss's"]
    return [*columns, "test accuracy", "epochs", "seconds", "MiB"], rows


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _between(ends: tuple[float, float], digits: int) -> str:
    return ", ".join(_signed(end, digits) for end in ends)


if __name__ == "__main__":
    raise SystemExit(main())
