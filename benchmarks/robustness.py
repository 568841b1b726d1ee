"""What is left of a recipe's accuracy after export, and on texts full of unseen words.

    python benchmarks/robustness.py [--data rotten-tomatoes] [--recipe bag] [--seeds 5] [--quick]

Everything is judged on the test split, which nothing was chosen on. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lexport.benchmarks import baselines
from lexport.benchmarks.baselines import Judge, points, right
from lexport.benchmarks.figures import Values, crossed_interval, paired_interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.data import load as data
from lexport.data.load import Dataset
from lexport.data.splits import Splits, split
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.handlers.text.encoder import UNK, TextEncoder
from lexport.models import recipes
from lexport.models.compose import TextModel, build
from lexport.models.predict import text_outputs
from lexport.models.recipes import Recipe
from lexport.models.run import Run
from lexport.training.fit import fit
from lexport.training.train import train

MOST_BELOW_TRAINED = 0.005
SHARES = (0.0, 0.1, 0.3)

Noise = dict[float, list[list[str]]]


def main() -> int:
    """Measure, print Markdown tables, and return 0 if every limit is kept."""
    options = _options()
    report = Report(options)
    # Fits of this size gain nothing from a second thread, and lose much where other programs want the cores.
    torch.set_num_threads(1)
    recipe = recipes.load(options.recipe)
    if (recipe.task, recipe.inputs) != ("classify", "indices"):
        raise SystemExit(f"The recipe {recipe.name} is no classifier with a row for unknown words; take bag or cnn.")
    if options.quick:
        recipe = recipe.changed("training", epochs=2)
    seeds = range(options.seeds)
    dataset = data.load(options.data)
    parts = split(dataset)
    with tempfile.TemporaryDirectory(prefix="lexport-robustness-") as folder:
        runs = [_train(options.data, Path(folder) / str(seed), recipe, seed) for seed in seeds]
        verdicts = [_after_export(runs, report)]
    baseline = baselines.of_words(parts).judges[0]
    # The runs' own recipe has its dimension settled.
    verdicts += _with_unseen_words(runs, runs[0].recipe, parts, baseline, 1 if options.quick else 5, report)
    return report.close(verdicts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", default="rotten-tomatoes", help="sample set or file")
    add("--recipe", default="bag", help="see `lexport recipes`")
    add("--seeds", type=int, default=5, help="how many; at least 2")
    add("--quick", action="store_true", help="two epochs, no verdict: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds {options.seeds} gives no interval; at least 2 are needed")
    return options


def _train(source: str, folder: Path, recipe: Recipe, seed: int) -> Run:
    run = train(source, folder, recipe=recipe, seed=seed)
    accuracy, seconds = run.metrics["test"]["accuracy"], run.info.training["seconds"]
    say(f"seed {seed}: test accuracy {accuracy:.4f}, trained in {seconds:.0f} s")
    return run


def _judge(model: TextModel, encoder: TextEncoder, labels: list[str]) -> Judge:
    return lambda texts: [labels[top] for top in text_outputs(model, encoder, texts).argmax(axis=1)]


def _after_export(runs: Sequence[Run], report: Report) -> Verdict:
    rows, worst = [], 0.0
    names: list[str] = []
    for run in runs:
        evidence = export(run, choose(None))
        trained = run.metrics["test"]["accuracy"]
        found = {variant.name: variant.test for variant in evidence.variants}
        names = [*found]
        worst = max(worst, *(trained - test["accuracy"] for test in found.values()))
        cells = [f"{test['accuracy']:.2%} ({test['flips']})" for test in found.values()]
        rows.append([str(run.info.seed), f"{trained:.2%}", *cells])
        say(f"seed {run.info.seed}: exported")
    report.part("After export: test accuracy (labels that differ from the trained model's)")
    report.table(["seed", "trained", *names], rows)
    return Verdict(
        f"no variant more than {100 * MOST_BELOW_TRAINED:g} points below the trained model",
        f"{100 * worst:.2f} points at most",
        worst <= MOST_BELOW_TRAINED,
    )


def _with_unseen_words(
    runs: Sequence[Run], recipe: Recipe, parts: Splits, baseline: Judge, draws: int, report: Report
) -> list[Verdict]:
    """Replace tokens of the test texts by unknown words; compare with UNK rows that were never trained.

    The limit compares one model with itself, its UNK row being what `torch.nn.Embedding` starts every row with and
    what a row keeps that no training text touches: standard normal numbers. Shown beside it: the row as this recipe
    starts it (within ±0.05), a row of zeros, and a model trained without any unknown word.
    """
    test, encoder, labels = parts.test, runs[0].encoder, runs[0].labels
    noise = {share: _replaced(encoder, parts, share, draws if share else 1) for share in SHARES}

    def answered(judge: Judge) -> dict[float, Values]:
        return {
            share: np.mean([right(judge, texts, test.labels) for texts in several], axis=0)
            for share, several in noise.items()
        }

    ways: dict[str, list[dict[float, Values]]] = {
        way: [] for way in ("trained", "normal", "start", "zero", "control")
    }
    for run in runs:
        control = _never_saw_unknown(recipe, parts, labels, encoder, run.info.seed)
        say(f"seed {run.info.seed}: control without unknown words trained")
        ways["trained"].append(answered(_judge(run.model, encoder, labels)))
        ways["control"].append(answered(_judge(control, encoder, labels)))
        start = _start(recipe, encoder, labels, run.info.seed).embedding.get_parameter("weight")[UNK]
        for way, row in (("start", start), ("zero", torch.zeros_like(start))):
            ways[way].append(answered(_judge(_with_unk(run.model, row), encoder, labels)))
        generator = torch.Generator().manual_seed(run.info.seed)
        rows_ = [torch.randn(start.shape, generator=generator) for _ in range(draws)]
        each = [answered(_judge(_with_unk(run.model, row), encoder, labels)) for row in rows_]
        ways["normal"].append({share: np.mean([one[share] for one in each], axis=0) for share in SHARES})
    theirs = answered(baseline)
    rows, verdicts = [], []
    for share in SHARES:
        values = {way: np.stack([one[share] for one in found]) for way, found in ways.items()}
        difference = values["trained"] - values["normal"]
        low, high = paired_interval(difference.mean(axis=1))
        wide = crossed_interval(difference)
        rows.append(
            [
                f"{share:.0%}",
                f"**{values['trained'].mean():.2%}**",
                f"{values['normal'].mean():.2%}",
                f"**{points(difference.mean())}**",
                f"{points(low)} … {points(high)}",
                f"{points(wide[0])} … {points(wide[1])}",
                f"{values['start'].mean():.2%}",
                f"{values['zero'].mean():.2%}",
                f"{values['control'].mean():.2%}",
                f"{theirs[share].mean():.2%}",
            ]
        )
        if share:
            found = f"{points(difference.mean())} points [{points(low)}, {points(high)}] over seeds"
            verdicts.append(Verdict(f"UNK trained beats untrained, {share:.0%} unseen", found, difference.mean() > 0))
    report.part("Test accuracy with a share of the tokens replaced by unseen words")
    columns = [
        "replaced",
        "trained row",
        "untrained row, normal",
        "difference",
        "95 %, seeds",
        "95 %, seeds and texts",
    ]
    others = ["row as started, ±0.05", "row of zeros", "no unknown word in training", "TF-IDF + LR"]
    report.table([*columns, *others], rows)
    return verdicts


def _replaced(encoder: TextEncoder, parts: Splits, share: float, draws: int) -> list[list[str]]:
    """The test texts, `draws` times with `share` of their tokens replaced by words that no training text holds."""
    seen = {word for text in parts.train.texts for word in encoder.tokens(text)[0]}
    copies = []
    for draw in range(draws):
        generator = np.random.default_rng(draw)

        def word(generator: np.random.Generator = generator) -> str:
            while True:
                letters = generator.integers(ord("a"), ord("z") + 1, generator.integers(5, 11))
                if (found := "".join(map(chr, letters))) not in seen:
                    return found

        copies.append(
            [
                " ".join(word() if generator.random() < share else token for token in encoder.tokens(text)[0])
                for text in parts.test.texts
            ]
        )
    return copies


def _never_saw_unknown(
    recipe: Recipe, parts: Splits, labels: list[str], encoder: TextEncoder, seed: int
) -> TextModel:
    """The control: the same recipe, seed and vocabulary, but no unknown word in training at all.

    Without word dropout and with the rare words left out of the training texts, UNK's row stays at its random
    start and no n-gram around an unknown word is trained.
    """
    known = set(encoder.vocabulary)
    texts = [" ".join(word for word in encoder.tokens(text)[0] if word in known) for text in parts.train.texts]
    train_texts = Dataset(texts, parts.train.labels, parts.train.name, parts.train.digest)
    without = recipe.changed("training", word_dropout=0.0)
    model = fit(without, replace(parts, train=train_texts), labels, encoder, seed=seed).model
    before = _start(recipe, encoder, labels, seed).embedding.get_parameter("weight")[UNK]
    assert torch.equal(model.embedding.get_parameter("weight")[UNK], before), "the control has trained UNK"
    return model


def _start(recipe: Recipe, encoder: TextEncoder, labels: list[str], seed: int) -> TextModel:
    """The model as `fit` starts it with this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(recipe, encoder.spec, labels=len(labels))


def _with_unk(model: TextModel, row: torch.Tensor) -> TextModel:
    """A copy of the model with another UNK row."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.embedding.get_parameter("weight")[UNK] = row
    return changed


if __name__ == "__main__":
    raise SystemExit(main())
