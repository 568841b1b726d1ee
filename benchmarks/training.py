"""How fast a bag learns, and how well: against fastText's own command line, at the same size, one thread each.

    python benchmarks/training.py [--data rotten-tomatoes …] [--rounds 5] [--fasttext PATH] [--quick]

Both get the same tokens, dimension, n-grams, buckets and epochs, in turns. fastText's rate is the best of three on
the validation texts; ours is one for all data. Words are tokens times epochs; what is timed is said below a table.
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
from lexport.benchmarks.figures import Values, interval, paired_interval, say, surrounded, table
from lexport.handlers.text import TextEncoder
from lexport.models import data, recipes
from lexport.models.dataset import Dataset
from lexport.models.fit import _Course, fit
from lexport.models.lessons import text_outputs
from lexport.models.recipes import Recipe
from lexport.models.splits import Splits, split
from lexport.models.vocabulary import build_encoder

SETS = ("rotten-tomatoes", "imdb", "chinese-reviews", "bbc-news")
RATES = (0.1, 0.5, 1.0)
# Words and n-grams of a step: many enough that Python does not count, few enough that their rows stay in the cache.
CELLS = 8192
# Where the time of a step goes: (part, file, function), outermost first; what is left is "all else".
STAGES = (
    ("choosing and assembling a batch", "lessons.py", "_ids"),
    ("the sums of a text's rows", "updates.py", "forward"),
    ("the gradient of each row", "updates.py", "_gradient"),
    ("changing the rows", "updates.py", "step"),
    ("Adam for the classifier", "adam.py", "step"),
)

Tokens = list[list[str]]


@dataclass(frozen=True)
class Round:
    """One training. words_per_second: in steps of training alone. seconds: from texts in memory to a model.

    right: of each test text.
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
    started = time.time()
    torch.set_num_threads(1)
    rows, shares = [], {}
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
        shares[name] = _profile(task)
    print("### Training against fastText, one thread\n")
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
    print(table(columns, rows))
    print(
        f"Medians of {options.rounds} alternating rounds, a seed each, with 95 % intervals. Words/s: steps of "
        "training alone. Seconds in all: ours from texts in memory, with the validation after every epoch; fastText's"
        " process reads a file of tokens and writes its model.\n"
    )
    print("### Where the time of our steps goes, ns a word\n")
    parts = [*(stage[0] for stage in STAGES), "all else"]
    print(table(["part", *shares], [[part, *(f"{shares[name][part]:.0f}" for name in shares)] for part in parts]))
    print(
        "Under a profiler, which itself takes time. fastText does all of it in one pass over the tokens of a text.\n"
    )
    print(surrounded(started))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", nargs="+", default=SETS, help="sample sets or files of labelled texts")
    add("--rounds", type=int, default=5, help="trainings of each side; at least 2")
    add("--fasttext", help="the executable, if it is not in PATH")
    add("--quick", action="store_true", help="two rounds of two epochs: does it run at all?")
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
    tokens = [_tokens(encoder, part) for part in (parts.train, parts.test)]
    words = sum(map(len, tokens[0]))
    recipe = recipe.changed(
        "training",
        epochs=epochs,
        patience=epochs,
        batch_size=max(1, round(CELLS / (recipe.text.ngrams * words / len(parts.train)))),
        optimizer="rowwise",
        learning_rate=0.005,
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


def _fitted(task: Task, seed: int) -> tuple[Any, float, float]:
    """The model, the seconds of its steps, and those of all."""
    labels = sorted(set(task.parts.train.labels))
    steps = 0.0
    plain = _Course._take_step

    def timed(*given: Any) -> torch.Tensor:
        nonlocal steps
        began = time.perf_counter()
        loss = plain(*given)
        steps += time.perf_counter() - began
        return loss

    with mock.patch.object(_Course, "_take_step", timed):
        began = time.perf_counter()
        fitted = fit(task.recipe, task.parts, labels, task.encoder, seed=seed)
        return fitted.model, steps, time.perf_counter() - began


def _ours(task: Task, seed: int) -> Round:
    model, steps, seconds = _fitted(task, seed)
    labels, test = sorted(set(task.parts.train.labels)), task.parts.test
    answers = [labels[top] for top in text_outputs(model, task.encoder, test.texts).argmax(axis=1)]
    return Round(task.words * task.recipe.training.epochs / steps, seconds, _right(answers, test.labels))


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
    """Nanoseconds a word of each stage of our steps, of one epoch under a profiler."""
    once = replace(task, recipe=task.recipe.changed("training", epochs=1, patience=1))
    profiler = cProfile.Profile()
    profiler.enable()
    _, steps, _ = _fitted(once, 0)
    profiler.disable()
    found: dict[str, float] = {}
    # Functions by file, line and name: calls, time within, time with all they call, and the same by caller.
    for (file, _, function), (*_, total, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        for part, within, called in STAGES:
            if file.endswith("/" + within) and function == called:
                found[part] = found.get(part, 0.0) + total
    shares = {part: 1e9 * found.get(part, 0.0) / task.words for part, *_ in STAGES}
    return shares | {"all else": 1e9 * steps / task.words - sum(shares.values())}


if __name__ == "__main__":
    raise SystemExit(main())
