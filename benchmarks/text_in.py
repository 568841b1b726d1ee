"""Text-in against Python text code and ids-in: processor time from texts to answers, of the same model, side by side.

    python benchmarks/text_in.py [--data rotten-tomatoes] [--recipes bag,hashed] [--words 1000000] [--quick]

Each recipe is trained on the data and exported; archives of an ONNX variant and of its text-in form are opened as a
worker opens them. In every round both answer the same batches of test texts on one thread, in an order that changes
from round to round; a ratio compares the two of one round. Then the bare graph, given 64 texts in one call and in
pieces of 16; and the same of a large table, with what a vocabulary of so many words costs inside a graph. Exits with
1 if text-in of the first recipe is slower than ids-in in batches of 64.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexport.benchmarks.figures import Values, interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.data.load import Columns
from lexport.export.archive.format.reader import extracted
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import IDS_IN, VARIANTS
from lexport.export.textgraph import make_text_in
from lexport.handlers.engine.engines import open_text_engine
from lexport.handlers.model.loading import load
from lexport.handlers.model.predictor import MAX_PIECE_TEXTS
from lexport.handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.compose import build
from lexport.models.run import open_run
from lexport.training.train import train

LIMIT = 1.0  # ids-in's time by text-in's, at the largest batch
BATCHES = (1, 16, 64)
PRECISIONS = ("fp32", "int8")
# What a round asks of each side: so many texts, or as many as there are.
TEXTS = 512

Call = Callable[[Sequence[str], Sequence[str] | None], object]


@dataclass(frozen=True)
class Timed:
    """Seconds of processor time a text of two sides, a value a round."""

    first: Values
    second: Values

    def cells(self) -> list[str]:
        """Both medians in microseconds, and the first by the second with its interval."""
        low, high = interval(self.ratios)
        medians = [f"{np.median(side) * 1e6:.1f}" for side in (self.first, self.second)]
        return [*medians, f"{np.median(self.ratios):.2f}", f"{low:.2f} – {high:.2f}"]

    @property
    def ratios(self) -> Values:
        """Of each round."""
        return self.first / self.second


def timed(first: Call, second: Call, batches: Sequence[tuple[Any, Any]], rounds: int) -> Timed:
    """Let both sides answer the batches in turn, every second round in the other order."""
    texts = sum(len(batch) for batch, _ in batches)
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side in (0, 1) if number % 2 else (1, 0):
            call = (first, second)[side]
            # All work is on one thread. What other programs take of its processor is none of it.
            started = time.process_time()
            for batch in batches:
                call(*batch)
            found[side].append((time.process_time() - started) / texts)
    # The first round warms both up.
    return Timed(np.array(found[0][1:]), np.array(found[1][1:]))


def batches_of(texts: Sequence[str], languages: Sequence[str] | None, size: int) -> list[tuple[Any, Any]]:
    """Whole batches of `size` from some TEXTS texts, each with its languages."""
    firsts = range(0, max(min(len(texts), TEXTS) - size + 1, 1), size)
    return [(texts[first : first + size], languages and languages[first : first + size]) for first in firsts]


def compare(run: Path, rounds: int) -> tuple[list[list[str]], list[list[str]], float]:
    """A run with its ONNX variants and their text-in forms exported.

    Rows of what a worker does by precision and batch, rows of the bare graph whole and in pieces, and the least
    median ratio of the largest batch.
    """
    asked = open_run(run).held_out("test")
    workers: list[list[str]] = []
    graphs: list[list[str]] = []
    least = float("inf")
    with ExitStack() as stack:
        packed = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lexport-text-in-")))
        for precision in PRECISIONS:
            ids = IDS_IN[f"onnx-{precision}"]
            names = (ids.name, replace(ids, takes="text").name)
            folders = [
                stack.enter_context(extracted(archive(run, version="1.0", variant=name, out=packed / name)))
                for name in names
            ]
            ids_in, text_in = map(load, folders)
            for size in BATCHES:
                batches = batches_of(asked.texts, asked.languages, size)
                found = timed(ids_in.predict, text_in.predict, batches, rounds)
                workers.append([precision, str(size), *found.cells()])
                if size == BATCHES[-1]:
                    least = min(least, float(np.median(found.ratios)))
            engine = open_text_engine(folders[1] / "model.onnx", threads=1, device="cpu")
            whole = timed(engine, lambda *batch, engine=engine: _in_pieces(engine, *batch), batches, rounds)
            graphs.append([precision, *whole.cells()])
    return workers, graphs, least


def _in_pieces(engine: Call, texts: Sequence[str], languages: Sequence[str] | None) -> None:
    for first in range(0, len(texts), MAX_PIECE_TEXTS):
        piece = slice(first, first + MAX_PIECE_TEXTS)
        engine(texts[piece], languages and languages[piece])


# What one process needs to open a model and answer a text: seconds, and megabytes beyond an empty one's.
OPEN = """\
import json, os, sys, time
import numpy as np, onnxruntime, psutil
process = psutil.Process()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
before, started = process.memory_full_info().uss, time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1], options)
opened = time.perf_counter() - started
feed = {"texts": np.array(["word0 word1"], object)} if sys.argv[2] == "text" else {"ids": np.array([[2, 3]])}
session.run(None, feed)
print(json.dumps([opened, (process.memory_full_info().uss - before) / 1e6]))
"""


def large(words: int, dim: int, rounds: int) -> tuple[list[list[str]], list[list[str]]]:
    """An int8 table of `words` random words: what they cost in a graph, and 64 texts of 50 words whole and in pieces.

    The first rows tell of ids-in and text-in: the graph's file, opening it, memory of one's own.
    """
    draw = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    found = {f"word{number}" for number in range(2)}
    while len(found) < words:
        found.add("".join(draw.choices(letters, k=draw.randint(3, 14))))
    recipe = recipes.load("bag").changed("text", ngrams=1, buckets=0).changed("embedding", dim=dim)
    vocabulary = sorted(found)
    encoder = TextEncoder(TextSpec(words=FIRST_WORD + words), vocabulary)
    model = build(recipe, encoder.spec, labels=2).eval()
    rows = []
    with tempfile.TemporaryDirectory(prefix="lexport-text-in-") as folder:
        path = Path(folder) / "model.onnx"
        IDS_IN["onnx-int8"].write(model, Layout.INDICES, Path(folder))
        for takes in ("ids", "text"):
            if takes == "text":
                make_text_in(path, encoder, "classify", ["a", "b"], 0.5)
            command = [sys.executable, "-c", OPEN, str(path), takes]
            measured = [json.loads(subprocess.check_output(command)) for _ in range(3)]
            seconds, megabytes = map(statistics.median, zip(*measured, strict=True))
            rows.append([takes, f"{path.stat().st_size / 1e6:.1f}", f"{seconds:.2f}", f"{megabytes:.0f}"])
        texts = [" ".join(draw.choices(vocabulary, k=50)) for _ in range(TEXTS)]
        engine = open_text_engine(path, threads=1, device="cpu")
        batches = batches_of(texts, None, BATCHES[-1])
        pieces = timed(engine, lambda *batch: _in_pieces(engine, *batch), batches, rounds)
    return rows, [["int8", *pieces.cells()]]


def main() -> int:
    """Measure, print Markdown tables, and return 0 if text-in is not slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", default="rotten-tomatoes", help="sample set or file to train on and to ask")
    add("--recipes", default="bag", help="comma-separated; the first one decides the verdict")
    add("--language-column", help="for recipes with languages, where the data are a file")
    add("--rounds", type=int, default=21)
    add("--words", type=int, default=1_000_000, help="of the vocabulary that is put into a graph")
    add("--dim", type=int, default=300, help="columns of its table")
    add("--quick", action="store_true", help="two rounds, a small vocabulary, no verdict: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    report = Report(options)
    torch.set_num_threads(1)
    rounds = 2 if options.quick else options.rounds
    ratios = []
    for name in options.recipes.split(","):
        with tempfile.TemporaryDirectory(prefix="lexport-text-in-") as folder:
            recipe = recipes.load(name).changed("training", epochs=1 if options.quick else 3)
            say(f"training and exporting {name} on {options.data}")
            run = train(
                options.data, Path(folder) / "run", recipe=recipe, columns=Columns(language=options.language_column)
            )
            both = VARIANTS.values()
            export(run, [one for one in both if one.engine == "onnx" and one.precision in PRECISIONS], say=say)
            workers, graphs, least = compare(run.folder, rounds)
        ratios.append(least)
        report.part(f"`{name}` on {options.data}, {rounds} rounds, one thread")
        columns = ["table", "texts", "Python + ids-in, µs a text", "text-in, µs a text", "ids-in / text-in", "95 %"]
        report.table(columns, workers)
        columns = [
            "table",
            "64 in one call, µs a text",
            f"in pieces of {MAX_PIECE_TEXTS}, µs a text",
            "whole / pieces",
            "95 %",
        ]
        report.table(columns, graphs)
    words, dim = (10_000, 8) if options.quick else (options.words, options.dim)
    costs, graphs = large(words, dim, rounds)
    report.part(f"{words:,} words × {dim}, int8, texts of 50 of them")
    report.table(["takes", "model.onnx, MB", "opened in s", "memory of its own, MB"], costs)
    report.table(columns, graphs)
    asked = f"`{options.recipes.split(',')[0]}` on {options.data}: ids-in takes at least {LIMIT:g} × text-in's time"
    return report.close([Verdict(asked, f"{ratios[0]:.2f} ×", ratios[0] >= LIMIT)])


if __name__ == "__main__":
    raise SystemExit(main())
