"""How long whole commands take: `lexport train` against `fasttext supervised`, from a file to a model on disk.

    python benchmarks/commands.py [--rows 20000 200000 2000000] [--rounds 2] [--fasttext PATH] [--quick]

Both read the same rows of made-up words in turns, each time in a new process, at the same width, n-grams, buckets and
epochs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from lexport.benchmarks import fasttext
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.data.splits import part_of
from lexport.errors import SystemProblem
from lexport.training.prepare import choose_dim

ROWS = (20_000, 200_000, 2_000_000)
EPOCHS, NGRAMS, BUCKETS, MIN_COUNT = 2, 2, 262_144, 2
RATES = (0.1, 0.5, 1.0)
# A row: so many words of a vocabulary by Zipf's law, a quarter of them in an order of the label's own.
WORDS, VOCABULARY, LABELS, OWN, WRONG = 20, 80_000, 8, 0.25, 0.05
# What is asked: at most so many times fastText's time and seconds for a start, so many MB and times the file.
TIMES, START, BASE_MB, FILES = 2.0, 4.0, 350.0, 3.0
# A start in a process of few MB: a child is charged with what its parent had when it was made.
_RUN = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=sys.stderr)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6]))
"""
_PRECISION = re.compile(r"P@1\s+([\d.]+)")


@dataclass(frozen=True)
class Cost:
    """What one command took. cpu: seconds of the processor; memory: the largest resident size in MB."""

    seconds: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Task:
    """The same rows for both. megabytes: of `table`; dim: what our command chooses for so many words."""

    rows: int
    table: Path
    theirs: dict[str, Path]
    megabytes: float
    dim: int


@dataclass(frozen=True)
class Measured:
    """One size. ours, theirs: a cost for each round; accuracies of the last models on the same test texts."""

    task: Task
    ours: list[Cost]
    theirs: list[Cost]
    our_accuracy: float
    their_accuracy: float
    rate: float


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    program = fasttext.find(options.fasttext)
    report = Report(options)
    found: list[Measured] = []
    for rows in options.rows:
        with TemporaryDirectory(prefix="lexport-commands-") as name:
            task = made(Path(name), rows)
            rate = found[-1].rate if found and rows > ROWS[1] else _best_rate(task, program, options.threads)
            found.append(_measured(task, rate, program, options))
    report.part("From a file to a model on disk")
    report.table(
        [
            "rows",
            "file, MB",
            "ours, s",
            "fastText, s",
            "ratio",
            "ours, CPU s",
            "fastText, CPU s",
            "ours, MB",
            "fastText, MB",
            "ours, test accuracy",
            "fastText (rate)",
        ],
        [_row(one) for one in found],
        {"ours, MB": "MB", "fastText, MB": "MB"},
    )
    report.text(
        f"Medians of {options.rounds} rounds in turns, every command in a new process; MB: the largest resident "
        f"size. A row has {WORDS} words, of {VOCABULARY:,} by Zipf's law, and one of {LABELS} labels, {WRONG:.0%} of "
        f"them wrong. Both train {EPOCHS} epochs with pairs of words in {BUCKETS:,} buckets, at the width that our "
        "command chooses: ours with one thread on 80 % of the rows, and it validates, tests and keeps the others; "
        f"fastText with {options.threads} on all but the test texts, at the best of the rates "
        f"{', '.join(map(str, RATES))} on the validation texts."
    )
    return report.close(verdicts(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rows", type=int, nargs="+", default=ROWS, help="sizes of the data, ascending")
    add("--rounds", type=int, default=2, help="trainings of each side")
    add("--fasttext", help="the executable, if it is not in PATH")
    add("--threads", type=int, default=2, help="of fastText")
    add("--quick", action="store_true", help="one round of 400 rows: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds = [400], 1
    return options


def made(folder: Path, rows: int) -> Task:
    """Write `rows` rows to `folder`: a table for our command, and a file for each part as fastText reads it."""
    table = folder / "rows.csv"
    files = {part: folder / f"{part}.txt" for part in ("train", "validation", "test")}
    opened = {part: file.open("w", encoding="utf-8") for part, file in files.items()}
    try:
        with table.open("w", encoding="utf-8") as ours:
            ours.write("text,label\n")
            for text, label in texts(rows):
                ours.write(f"{text},{label}\n")
                opened[part_of(text)].write(f"__label__{label} {text}\n")
    finally:
        for file in opened.values():
            file.close()
    dim = choose_dim("bag", round(0.8 * rows * WORDS))[0]
    return Task(rows, table, files, table.stat().st_size / 1e6, dim)


def texts(rows: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield `rows` texts with a label each, the same for the same seed."""
    draw = np.random.default_rng(seed)
    words = np.array([_word(number) for number in range(VOCABULARY)])
    chances = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    own = np.stack([draw.permutation(VOCABULARY) for _ in range(LABELS)])
    for first in range(0, rows, 10_000):
        count = min(10_000, rows - first)
        labels = draw.integers(0, LABELS, count)
        ranks = np.searchsorted(chances, draw.random((count, WORDS)) * chances[-1])
        ranks = np.where(draw.random((count, WORDS)) < OWN, own[labels[:, None], ranks], ranks)
        labels = np.where(draw.random(count) < WRONG, draw.integers(0, LABELS, count), labels)
        for label, row in zip(labels.tolist(), words[ranks], strict=True):
            yield " ".join(row.tolist()), f"topic {label}".replace(" ", "-")


def _word(number: int) -> str:
    """A word of its own for each number, the longer the rarer."""
    letters = ""
    while number or len(letters) < 3:
        number, letter = divmod(number, 26)
        letters += chr(97 + letter)
    return letters


def _cost(command: Sequence[str]) -> Cost:
    done = subprocess.run(
        [sys.executable, "-S", "-c", _RUN, *command], capture_output=True, encoding="utf-8", check=False
    )
    code, seconds, cpu, memory = json.loads(done.stdout)
    if code:
        raise SystemProblem(f"{' '.join(command[:3])} failed with {code}: {done.stderr.strip()[-500:]}")
    return Cost(seconds, cpu, memory)


def _theirs(task: Task, parts: Sequence[str], rate: float, program: str, threads: int) -> Cost:
    texts = task.table.with_name("theirs.txt")
    with texts.open("w", encoding="utf-8") as file:
        for part in parts:
            file.write(task.theirs[part].read_text(encoding="utf-8"))
    given = {
        "input": texts,
        "output": texts.with_name("theirs"),
        "dim": task.dim,
        "wordNgrams": NGRAMS,
        "epoch": EPOCHS,
        "lr": rate,
        "bucket": BUCKETS,
        "minCount": MIN_COUNT,
        "thread": threads,
    }
    return _cost([program, "supervised", *(str(part) for name in given for part in (f"-{name}", given[name]))])


def _their_accuracy(task: Task, part: str, program: str) -> float:
    model = task.table.with_name("theirs.bin")
    done = subprocess.run(
        [program, "test", str(model), str(task.theirs[part])], capture_output=True, encoding="utf-8", check=True
    )
    found = _PRECISION.search(done.stdout)
    if found is None:
        raise SystemProblem(f"fastText has not said how often it was right: {done.stdout.strip()[-300:]!r}")
    return float(found[1])


def _best_rate(task: Task, program: str, threads: int) -> float:
    found = {}
    for rate in RATES:
        _theirs(task, ["train"], rate, program, threads)
        found[rate] = _their_accuracy(task, "validation", program)
    say(f"{task.rows:,} rows: fastText on validation, by rate: {found}")
    return max(found, key=lambda rate: found[rate])


def _ours(task: Task) -> Cost:
    command = [sys.executable, "-m", "lexport", "train", str(task.table), "--model", "bag", "--epochs", str(EPOCHS)]
    return _cost([*command, "--out", str(_run(task)), "--force"])


def _run(task: Task) -> Path:
    return task.table.with_name("run")


def _measured(task: Task, rate: float, program: str, options: argparse.Namespace) -> Measured:
    ours, theirs = [], []
    for number in range(options.rounds):
        for own in (True, False) if number % 2 == 0 else (False, True):
            if own:
                ours.append(_ours(task))
            else:
                theirs.append(_theirs(task, ["train", "validation"], rate, program, options.threads))
        say(f"{task.rows:,} rows, round {number}: {ours[-1]}, fastText {theirs[-1]}")
    metrics = json.loads((_run(task) / "metrics.json").read_text(encoding="utf-8"))
    return Measured(task, ours, theirs, metrics["test"]["accuracy"], _their_accuracy(task, "test", program), rate)


def _median(costs: Sequence[Cost], name: str) -> float:
    return float(median(getattr(one, name) for one in costs))


def _row(one: Measured) -> list[str]:
    ours, theirs = _median(one.ours, "seconds"), _median(one.theirs, "seconds")
    return [
        f"{one.task.rows:,}",
        f"{one.task.megabytes:.1f}",
        f"{ours:.1f}",
        f"{theirs:.1f}",
        f"**{ours / theirs:.2f}**",
        f"{_median(one.ours, 'cpu'):.1f}",
        f"{_median(one.theirs, 'cpu'):.1f}",
        f"{_median(one.ours, 'memory'):.0f}",
        f"{_median(one.theirs, 'memory'):.0f}",
        f"{one.our_accuracy:.2%}",
        f"{one.their_accuracy:.2%} ({one.rate:g})",
    ]


def verdicts(found: Sequence[Measured]) -> list[Verdict]:
    """Whether each size keeps the limits, and from the second on time and memory grow no faster than the rows."""
    every = []
    for one in found:
        rows, file = f"{one.task.rows:,} rows", one.task.megabytes
        ours, theirs = _median(one.ours, "seconds"), _median(one.theirs, "seconds")
        memory = _median(one.ours, "memory")
        every += [
            Verdict(
                f"{rows}: at most {TIMES:g} × fastText's time and {START:g} s",
                f"{ours:.1f} s of {TIMES * theirs + START:.1f} s",
                ours <= TIMES * theirs + START,
            ),
            Verdict(
                f"{rows}: at most {BASE_MB:g} MB and {FILES:g} × the file",
                f"{memory:.0f} MB of {BASE_MB + FILES * file:.0f} MB",
                memory <= BASE_MB + FILES * file,
            ),
            Verdict(
                f"{rows}: accuracy not below fastText's",
                f"{100 * (one.our_accuracy - one.their_accuracy):+.2f} points",
                one.our_accuracy >= one.their_accuracy,
            ),
        ]
    if len(found) > 2:
        small, large = found[1], found[-1]
        more = large.task.rows / small.task.rows
        for what, name in (("time", "seconds"), ("memory", "memory")):
            grown = _median(large.ours, name) / _median(small.ours, name)
            every.append(
                Verdict(
                    f"{what}: {more:g} × the rows, at most {more:g} × the {what}", f"{grown:.1f} ×", grown <= more
                )
            )
    return every


if __name__ == "__main__":
    raise SystemExit(main())
