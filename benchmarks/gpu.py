"""Whether a GPU answers as the CPU does, from which batch size on it is faster, and what a server gains by it.

    make gpu-check
    python benchmarks/gpu.py [--device cuda:0] [--recipes bag,cnn,transformer] [--quick]

Each recipe's model, with random weights over 20,000 words, is written in every fp32 and fp16 variant and opened as a
worker opens it, on the device and on the CPU with all cores. Both answer the same batches in alternating turns, by
the wall clock, the way of the ids to the device and of the scores back included. A device *overtakes* at the
smallest batch from which on the 95 % interval of CPU ÷ device lies above 1 at every size measured. Then a trained
`bag` is served on `cpu:1` and on `gpu:1` and loaded by Locust, where there is Java.

Without CUDA it says so and ends with 0. `--device cpu` rehearses the program on the CPU against itself; its figures
say nothing of a GPU. Exits with 1 if scores differ by more than the bounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from lexport.benchmarks.figures import Values, interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.errors import SystemProblem
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import IDS_IN, Variant, choose
from lexport.handlers.engine.devices import CPU_ALONE
from lexport.handlers.engine.engines import Engine, open_engine
from lexport.handlers.text.encoder import Ids, TextSpec
from lexport.handlers.text.spec import Layout
from lexport.loadtest.runner import loadtest
from lexport.models import recipes
from lexport.models.compose import TextModel, build
from lexport.serving.torchserve.java import find_java
from lexport.storage.cores import cores
from lexport.training.train import train

BOUNDS = {"fp32": 1e-4, "fp16": 5e-3}  # of scores, device against CPU
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
WORDS, LENGTH, DIM = 20_000, 50, 100


def main() -> int:
    """Check and measure, print Markdown tables, and return 0 if every variant answers alike."""
    options = _options()
    report = Report(options)
    rehearsal = options.device == "cpu"
    if not rehearsal and not torch.cuda.is_available():
        print(
            f"Nothing was run on a GPU: torch {torch.__version__} sees no CUDA device here. docs/gpu.md says how to "
            "install what one needs, and what was never run."
        )
        return 0
    sizes = (1, 4) if options.quick else SIZES
    pairs = 3 if options.quick else 15
    report.part("A rehearsal on the CPU against itself" if rehearsal else torch.cuda.get_device_name())
    rows, kept = [], True
    with tempfile.TemporaryDirectory(prefix="lexport-gpu-") as scratch:
        for name in options.recipes.split(","):
            model = _model(name, 500 if options.quick else WORDS)
            for variant in IDS_IN.values():
                if variant.precision in CPU_ALONE:
                    continue
                folder = Path(scratch, f"{name}-{variant.name}")
                folder.mkdir()
                row, held = _judge(name, model, variant, options.device, sizes, pairs, folder)
                rows.append(row)
                kept = kept and held
        columns = ["recipe and variant", "most a score differs", "overtakes at", *(f"{size}" for size in sizes)]
        report.table(columns, rows)
        report.text("Columns of numbers: CPU's time ÷ device's in batches of so many texts.")
        _load(Path(scratch), rehearsal, options, report)
    report.close([Verdict("every variant answers on the device as on the CPU", "see the table", kept)])
    return 0 if kept else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--device", default="cuda:0", help="cpu: a rehearsal")
    add("--recipes", default="bag,cnn,transformer")
    add("--data", default="rotten-tomatoes", help="what the served model learns from")
    add("--quick", action="store_true", help="few sizes and pairs, no load test: does it run at all?")
    add_options(parser)
    return parser.parse_args()


def _model(name: str, words: int) -> TextModel:
    recipe = recipes.load(name).changed("embedding", dim=DIM, spread=1.0).changed("text", buckets=0, ngrams=1)
    torch.manual_seed(0)
    return build(recipe, TextSpec(words=words, max_tokens=recipe.text.max_tokens), labels=4).eval()


def _judge(
    name: str, model: TextModel, variant: Variant, device: str, sizes: Sequence[int], pairs: int, folder: Path
) -> tuple[list[str], bool]:
    """One row of the table, and whether the device answers as the CPU does."""
    variant.write(model, Layout.INDICES, folder)
    file, what = folder / variant.file, f"`{name}`, {variant.name}"
    on_cpu = open_engine(variant.engine, file, threads=cores(), device="cpu")
    try:
        on_device = open_engine(variant.engine, file, threads=1, device=device)
    except RuntimeError as error:  # an onnxruntime without CUDA beside a torch with it
        say(f"{what}: not run: {error}")
        return [what, "not run", "", *([""] * len(sizes))], True
    draw = np.random.default_rng(0)
    most, cells, ahead = 0.0, [], []
    for size in sizes:
        ids = draw.integers(1, 400, (size, LENGTH))
        most = max(most, float(np.abs(on_cpu(ids) - on_device(ids)).max()))
        ratios = _ratios(on_cpu, on_device, ids, pairs)
        ahead.append(interval(ratios)[0] > 1)
        cells.append(f"{np.median(ratios):.2f}")
    # The first size from which on the device is ahead at every one.
    behind = [place for place, one in enumerate(ahead) if not one]
    first = behind[-1] + 1 if behind else 0
    overtakes = f"{sizes[first]}" if first < len(sizes) else f"not up to {sizes[-1]}"
    # Written so that a NaN is found.
    held = most <= BOUNDS[variant.precision]
    row = [what, f"{most:.1e}" + ("" if held else f", more than {BOUNDS[variant.precision]:g}"), overtakes, *cells]
    say(" | ".join(row))
    return row, held


def _ratios(on_cpu: Engine, on_device: Engine, ids: Ids, pairs: int) -> Values:
    """CPU ÷ device in alternating turns."""

    def seconds(run: Callable[[Ids], object]) -> float:
        began = time.perf_counter()
        run(ids)  # which ends with the scores in the host's memory
        return time.perf_counter() - began

    for run in (on_cpu, on_device):
        for _ in range(3):
            seconds(run)
    turns = []
    for pair in range(pairs):
        sides = [on_cpu, on_device] if pair % 2 == 0 else [on_device, on_cpu]
        times = [seconds(side) for side in sides]
        turns.append(times if pair % 2 == 0 else times[::-1])
    values = np.array(turns)
    return np.asarray(values[:, 0] / values[:, 1])


def _load(folder: Path, rehearsal: bool, options: argparse.Namespace, report: Report) -> None:
    """The same archive served on the CPU and on the GPU, under Locust; a line says why not."""
    if rehearsal or options.quick:
        report.text("No load test: " + ("a rehearsal has no GPU to load." if rehearsal else "quick settings."))
        return
    try:
        find_java()
    except SystemProblem as problem:
        report.text(f"No load test: {problem}")
        return
    say(f"training on {options.data} for the load test")
    run = train(options.data, folder / "run", recipe=recipes.load("bag"))
    export(run, choose("torchscript-fp32"), say=say)
    path = archive(folder / "run", version="1.0", name="gpu-check", variant="torchscript-fp32", out=folder)
    tested = loadtest([path], worker_sets=("cpu:1", "gpu:1"), users=(1, 64), duration=10.0, say=say)
    report.part("Served: `bag`, torchscript-fp32")
    rows = [
        [
            row.workers,
            str(row.users),
            f"{row.requests_per_second:,.0f}",
            f"{row.p50_ms or 0:.1f}",
            f"{row.p99_ms or 0:.1f}",
            str(row.failures),
        ]
        for row in tested.rows
    ]
    rows += [[f"{one.workers}: {one.reason}", "", "", "", "", ""] for one in tested.not_run]
    report.table(["workers", "users", "requests/s", "p50 ms", "p99 ms", "failed"], rows)


if __name__ == "__main__":
    raise SystemExit(main())
