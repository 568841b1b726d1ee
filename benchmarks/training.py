"""How fast a bag learns, and how well: against fastText's own command line, at the same size, one thread each.

    python benchmarks/training.py [--data rotten-tomatoes …] [--rounds 5] [--fasttext PATH] [--quick]

Both get the same tokens, dimension, n-grams, buckets and epochs, in turns. fastText's rate is the best of three on
the validation texts; our rate and batch are one for all data. What is timed is said below a table.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch

from lexport.benchmarks import fasttext
from lexport.benchmarks.figures import Values, interval, paired_interval, say
from lexport.benchmarks.report import Report, add_options
from lexport.data import load as data
from lexport.data.dataset import Dataset
from lexport.data.splits import Splits, split
from lexport.evaluation.diagnostics.tokenized import TokenizedSplits
from lexport.handlers.text.encoder import TextEncoder
from lexport.models import recipes
from lexport.models.compose import TextModel
from lexport.models.predict import text_outputs
from lexport.models.recipes import Recipe
from lexport.models.vocabulary import build_encoder
from lexport.training.fit import fit
from lexport.training.trainer import Trainer

SETS = ("rotten-tomatoes", "imdb", "chinese-reviews", "bbc-news")
RATES = (0.1, 0.5, 1.0)
# Words and n-grams of a step: so many that what a step costs whatever it holds hardly counts.
CELLS = 65_536
# Where the time of a step goes: (part, file, function), none within another; what is left is "all else".
STAGES = (
    ("choosing and laying out a batch", "objective.py", "_flat_ids"),
    ("the sums of a text's rows", "sparse_optimizer.py", "bags"),
    ("sorting tokens by row, gradients of rows", "sparse_gradients.py", "gradient"),
    ("changing the rows", "sparse_optimizer.py", "_apply"),
    ("Adam for the classifier", "dense.py", "step"),
)

Tokens = list[list[str]]


@dataclass(frozen=True)
class Round:
    """One training. words_per_second: of all epochs, in its steps and, ours, the one look-up of all training texts.

    seconds: from texts in memory to a model. right: of each test text.
    """

    words_per_second: float
    seconds: float
    right: Values


@dataclass(frozen=True)
class Task:
    """A data set as both sides read it. words: tokens of the training texts."""

    name: str
    parts: Splits
    recipe: Recipe
    encoder: TextEncoder
    train: Tokens
    test: Tokens
    words: int


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    fasttext.find(options.fasttext)
    report = Report(options)
    torch.set_num_threads(1)
    rows, ours, theirs = [], {}, {}
    for name in options.data:
        task = _task(name, epochs=2 if options.quick else 5)
        rate = _best_rate(task, options.fasttext)
        pairs = []
        for seed in range(options.rounds):
            sides: list[Callable[[], Round]] = [
                lambda: _ours(task, seed),  # noqa: B023  (called at once)
                lambda: _theirs(task, seed, rate, options.fasttext),  # noqa: B023
            ]
            first, second = (one() for one in (sides if seed % 2 == 0 else sides[::-1]))
            pairs.append((first, second) if seed % 2 == 0 else (second, first))
            say(f"{name}, round {seed}: " + ", ".join(f"{one.words_per_second / 1e6:.2f}" for one in pairs[-1]))
        rows.append(_row(name, rate, pairs))
        ours[name], theirs[name] = _profile(task), _their_profile(task, rate, options.fasttext)
    report.part("Against fastText, one thread")
    columns = [
        "data",
        "ours, million words/s",
        "fastText",
        "ratio",
        "ours, seconds in all",
        "fastText, process",
        "ours, test accuracy",
        "fastText (rate)",
        "difference, points",
    ]
    report.table(columns, rows)
    report.text(
        f"Medians of {options.rounds} alternating rounds, a seed each, with 95 % intervals. Words/s: the training "
        "texts' words times the epochs, by the time of all steps and of looking the texts up, which ours does once; "
        "fastText's is its own figure of training proper, in which it reads and looks up again in every epoch, and "
        "counts labels and ends of lines as words. Seconds in all: ours from texts in memory, with the validation "
        "after every epoch; fastText's process reads a file of tokens and writes its model."
    )
    report.part("Where the time goes, ns a word")
    for who, shares in (("ours", ours), ("fastText", theirs)):
        parts = list(shares[options.data[0]])
        rows = [[part, *(f"{shares[name][part]:.0f}" for name in shares)] for part in parts]
        report.table([who, *shares], rows, dict.fromkeys(shares, "ns"))
    report.text(
        "Ours under a profiler, which itself takes time; fastText by what of its time is left at one dimension."
    )
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", nargs="+", default=SETS, help="sample sets or files of labelled texts")
    add("--rounds", type=int, default=5, help="trainings of each side; at least 2")
    add("--fasttext", help="the executable, if it is not in PATH")
    add("--quick", action="store_true", help="two rounds of two epochs: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.quick:
        options.rounds = 2
    if options.rounds < 2:
        parser.error(f"--rounds {options.rounds} gives no interval; at least 2 are needed")
    return options


def _task(name: str, epochs: int) -> Task:
    parts = split(data.load(name))
    recipe = recipes.load("bag")
    recipe = recipe.changed("embedding", dim=100, sparse=True, spread=0.05).changed("encoder", mode="mean")
    recipe = recipe.changed("head", dropout=0.0, label_smoothing=0.0)
    encoder = build_encoder(parts.train.texts, recipe.text)
    recipe = recipe.changed("text", buckets=encoder.spec.buckets, min_count=encoder.spec.min_count)
    tokens = [_tokens(encoder, part) for part in (parts.train, parts.test)]
    words = sum(map(len, tokens[0]))
    recipe = recipe.changed(
        "training",
        epochs=epochs,
        patience=epochs,
        batch_size=max(1, round(CELLS / (recipe.text.ngrams * words / len(parts.train)))),
        optimizer="rowwise",
        learning_rate=0.01,
        embedding_rate=10.0,
        schedule="linear",
        word_dropout=0.0,
        ngram_dropout=0.0,
    )
    return Task(name, parts, recipe, encoder, tokens[0], tokens[1], words)


def _tokens(encoder: TextEncoder, part: Dataset) -> Tokens:
    return [encoder.tokens(text)[0] for text in part.texts]


def _settings(task: Task, rate: float, seed: int) -> fasttext.Settings:
    text = task.recipe.text
    assert isinstance(text.buckets, int)
    assert isinstance(text.min_count, int)
    return fasttext.Settings(
        dim=100,
        ngrams=text.ngrams,
        epochs=task.recipe.training.epochs,
        rate=rate,
        buckets=text.buckets,
        min_count=text.min_count,
        seed=seed,
    )


def _best_rate(task: Task, program: str | None) -> float:
    held = task.parts.validation
    found = {}
    for rate in RATES:
        with fasttext.train(task.train, task.parts.train.labels, _settings(task, rate, 0), program) as model:
            found[rate] = float(_right(model.predict(_tokens(task.encoder, held)), held.labels).mean())
    say(f"{task.name}: fastText on validation, by rate: {found}")
    return max(found, key=lambda rate: found[rate])


def _right(answers: Sequence[str], truth: Sequence[str]) -> Values:
    return np.array([a == b for a, b in zip(answers, truth, strict=True)], np.float64)


@dataclass(frozen=True)
class Trained:
    """A model, and the seconds of looking its training texts up, of its steps, and of all."""

    model: TextModel
    look_up: float
    steps: float
    all: float


def _fitted(task: Task, seed: int, clock: Callable[[], float] = time.perf_counter) -> Trained:
    parts = task.parts
    steps = 0.0
    plain = Trainer._take_step

    def timed(*given: Any) -> torch.Tensor:
        nonlocal steps
        began = clock()
        loss = plain(*given)
        steps += clock() - began
        return loss

    with mock.patch.object(Trainer, "_take_step", timed):
        began = clock()
        train = task.encoder.look_up(parts.train.texts)
        look_up = clock() - began
        tokens = TokenizedSplits(
            train, *(task.encoder.look_up(part.texts) for part in (parts.validation, parts.test))
        )
        labels = sorted(set(parts.train.labels))
        fitted = fit(task.recipe, parts, labels, task.encoder, seed=seed, tokens=tokens)
        return Trained(fitted.model, look_up, steps, clock() - began)


def _ours(task: Task, seed: int) -> Round:
    trained = _fitted(task, seed)
    labels, test = sorted(set(task.parts.train.labels)), task.parts.test
    answers = [labels[top] for top in text_outputs(trained.model, task.encoder, test.texts).argmax(axis=1)]
    words = task.words * task.recipe.training.epochs
    return Round(words / (trained.steps + trained.look_up), trained.all, _right(answers, test.labels))


def _theirs(task: Task, seed: int, rate: float, program: str | None) -> Round:
    with fasttext.train(task.train, task.parts.train.labels, _settings(task, rate, seed), program) as model:
        right = _right(model.predict(task.test), task.parts.test.labels)
        return Round(model.words_per_second, model.seconds, right)


def _speed(one: Round) -> float:
    return one.words_per_second / 1e6


def _seconds(one: Round) -> float:
    return one.seconds


def _accuracy(one: Round) -> float:
    return float(one.right.mean())


def _row(name: str, rate: float, pairs: Sequence[tuple[Round, Round]]) -> list[str]:
    speeds, seconds, accuracies = (
        np.array([[value(one) for one in pair] for pair in pairs]) for value in (_speed, _seconds, _accuracy)
    )
    ours, theirs = np.median(speeds, axis=0)
    ratios = speeds[:, 0] / speeds[:, 1]
    low, high = interval(ratios)
    least, most = paired_interval(100 * (accuracies[:, 0] - accuracies[:, 1]))
    mean = accuracies.mean(axis=0)
    return [
        name,
        f"{ours:.2f}",
        f"{theirs:.2f}",
        f"**{np.median(ratios):.2f}** [{low:.2f}, {high:.2f}]",
        *(f"{value:.1f}" for value in np.median(seconds, axis=0)),
        f"{mean[0]:.2%}",
        f"{mean[1]:.2%} ({rate:g})",
        f"{100 * (mean[0] - mean[1]):+.2f} [{least:+.2f}, {most:+.2f}]",
    ]


def _profile(task: Task) -> dict[str, float]:
    """Nanoseconds a word of looking up, by all epochs, and of each stage of the steps, under a profiler."""
    words = task.words * task.recipe.training.epochs
    profiler = cProfile.Profile(time.thread_time)
    profiler.enable()
    trained = _fitted(task, 0, time.thread_time)
    profiler.disable()
    found: dict[str, float] = {}
    # Functions by file, line and name: calls, time within, time with all they call, and the same by caller.
    for (file, _, function), (*_, total, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        for part, within, called in STAGES:
            if file.endswith("/" + within) and function == called:
                found[part] = found.get(part, 0.0) + total
    shares = {part: 1e9 * found.get(part, 0.0) / words for part, *_ in STAGES}
    rest = 1e9 * trained.steps / words - sum(shares.values())
    return {"looking the texts up, once": 1e9 * _looked_up(task) / words} | shares | {"all else": rest}


def _looked_up(task: Task) -> float:
    """Seconds of the processor to look the training texts up: a profiler would count every token's calls."""
    began = time.thread_time()
    task.encoder.look_up(task.parts.train.texts)
    return time.thread_time() - began


def _their_profile(task: Task, rate: float, program: str | None) -> dict[str, float]:
    """Nanoseconds a word of what fastText does at any dimension, and of its rows."""
    found = []
    for dim in (1, 100):
        settings = replace(_settings(task, rate, 0), dim=dim)
        with fasttext.train(task.train, task.parts.train.labels, settings, program) as model:
            found.append(1e9 / model.words_per_second)
    return {"reading, looking up, hashing": found[0], "sums and changes of rows": found[1] - found[0]}


if __name__ == "__main__":
    raise SystemExit(main())
