"""What a big table costs: memory of four TorchServe workers, time to the first answer, time of a look-up.

    python benchmarks/memory.py [--parts starts,workers,look-ups] [--variants onnx-int8,…] [--keep FOLDER] [--quick]

Memory is the workers' proportional set size (PSS: a page that n processes share counts 1/n in each), all four
together, less that of four workers of the same recipe and variant with a hundred words. Each start is a fresh process
that has imported its engine already. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lexport import serving
from lexport.benchmarks.figures import interval, say
from lexport.benchmarks.lookups import look_ups
from lexport.benchmarks.million import grown_run, real_words, small_run
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import VARIANTS as EXPORTED
from lexport.export.formats.variants import choose
from lexport.handlers.text.vocabulary import INDEX
from lexport.loadtest import locust_process as client
from lexport.loadtest.locust_process import Load, Target
from lexport.models.run import Run, open_run

VARIANTS = "onnx-int8,torchscript-int8,onnx-fp32,torchscript-fp32"
PARTS = "starts,workers,look-ups"
WORKERS = 4
MEMORY = 1.15  # of the table and the vocabulary, for four workers together
FIRST_ANSWER = 0.3  # seconds
DIGESTS = 1.0  # seconds a GB
MB = 1_000_000
SIZES = ("a hundred", "all")

# Seconds of the clock and of the processor for the digests, opening, the first answer, and the pages.
Times = list[tuple[float, float]]

# Run in a process of its own, in an extracted archive.
START = """\
import importlib, json, sys, time
from pathlib import Path

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
sys.dont_write_bytecode = True  # as in the handler: the digests refuse any other file
from lexport_handlers.model.digests import check_digests
from lexport_handlers.model.loading import load
from lexport_handlers.engine.prefault import prefault
engine = json.loads((folder / "model.json").read_text())["engine"]
importlib.import_module({"onnx": "onnxruntime", "torchscript": "torch"}[engine])
clocks = [(time.perf_counter(), time.process_time())]
check_digests(folder)
clocks.append((time.perf_counter(), time.process_time()))
predictor = load(folder)
clocks.append((time.perf_counter(), time.process_time()))
predictor.predict([sys.argv[2]])
clocks.append((time.perf_counter(), time.process_time()))
prefault(folder)
clocks.append((time.perf_counter(), time.process_time()))
print(json.dumps([[after[0] - before[0], after[1] - before[1]] for before, after in zip(clocks, clocks[1:])]))
"""


def main() -> int:
    """Measure, print Markdown tables, and return 0 if the limits are kept."""
    options = _options()
    quick, parts = options.quick, options.parts.split(",")
    words = 60_000 if quick else options.words
    report = Report(options)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="lexport-memory-") as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if "starts" in parts or "workers" in parts:
            runs = _runs(folder, words, 16 if quick else options.dim, options.variants.split(","), quick)
            archives = _archives(runs, options.variants.split(","), folder / "store")
            texts = runs["all"].held_out("test").texts
            if "starts" in parts:
                verdicts += _start(archives, folder, texts[0], 2 if quick else options.starts, report)
            if "workers" in parts:
                rounds, seconds = (1, 1) if quick else (options.rounds, 6)
                verdicts += _memory(archives, runs["all"], folder, texts, rounds, seconds, report)
        if "look-ups" in parts:
            look_ups([words] if quick else [10_000, 50_000, 200_000, words], folder, 3 if quick else 15, report)
    return report.close(verdicts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--parts", default=PARTS)
    add("--variants", default=VARIANTS)
    add("--words", type=int, default=1_000_000)
    add("--dim", type=int, default=300)
    add("--rounds", type=int, default=3, help="servers started with each archive")
    add("--starts", type=int, default=15, help="processes started with each archive")
    add("--keep", type=Path, help="where the runs lie, or are to be kept")
    add("--quick", action="store_true", help="60,000 words of 16 numbers, no verdict: does it run at all?")
    add_options(parser)
    return parser.parse_args()


def _runs(folder: Path, words: int, dim: int, variants: Sequence[str], quick: bool) -> dict[str, Run]:
    """The run of a hundred words and that of all of them, exported."""
    paths = {size: folder / f"model-{size.replace(' ', '-')}-{words}x{dim}" for size in SIZES}
    small, large = paths.values()
    epochs = 2 if quick else None
    if not large.exists():
        say(f"making a run of {words:,} words and {dim} dimensions")
        small_run(small, dim=dim, words=100, epochs=epochs)
        base = small_run(folder / f"base-{words}x{dim}", dim=dim, epochs=epochs)
        grown_run(base, large, real_words(words))
    opened = {size: open_run(path) for size, path in paths.items()}
    for run in opened.values():
        if not all((run.folder / "export" / variant).exists() for variant in variants):
            export(run, choose(",".join(variants)), say=say)
    return opened


def _archives(runs: Mapping[str, Run], variants: Sequence[str], store: Path) -> dict[tuple[str, str], Path]:
    """An archive of every variant of each run."""
    return {
        (variant, size): archive(run.folder, version="1.0", variant=variant, out=store / variant / size, force=True)
        for variant in variants
        for size, run in runs.items()
    }


def _start(
    archives: Mapping[tuple[str, str], Path], folder: Path, text: str, starts: int, report: Report
) -> list[Verdict]:
    """Report the times from an extracted archive to its first answer."""
    extracted = {}
    for (variant, size), path in archives.items():
        extracted[variant, size] = target = folder / "extracted" / variant / size
        with zipfile.ZipFile(path) as packed:
            packed.extractall(target)
    found: dict[tuple[str, str], list[Times]] = {key: [] for key in extracted}
    for number in range(starts + 1):
        for key, target in list(extracted.items())[:: 1 if number % 2 else -1]:
            command = [sys.executable, "-W", "ignore", "-c", START, str(target), text]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if done.returncode:
                raise SystemExit(f"{variant}, {size}: {done.stderr}")
            times = json.loads(done.stdout)
            if number:  # the first one fills the page cache
                found[key].append(times)
        say(f"start {number} of {starts}")
    rows, verdicts = [], []
    for (variant, size), measured in found.items():
        # By what was done and by clock; opening and the first answer together come last.
        times = np.array(measured)
        times = np.concatenate([times, times[:, 1:3].sum(axis=1, keepdims=True)], axis=1)
        low, high = interval(times[:, 4, 0])
        total = sum(file.stat().st_size for file in extracted[variant, size].rglob("*") if file.is_file())
        medians = np.median(times, axis=0)
        figures = [f"{1000 * wall:,.0f} ({1000 * processor:,.0f})" for wall, processor in medians]
        rows.append([f"`{variant}`", size, f"{total / MB:,.0f}", *figures, f"{1000 * low:,.0f} – {1000 * high:,.0f}"])
        if size == SIZES[-1]:
            limits = [(f"digests within {DIGESTS:g} s a GB", DIGESTS, medians[0] / total * 1e9)]
            if EXPORTED[variant].engine == "onnx":
                limits.append((f"opened and answered within {FIRST_ANSWER} s", FIRST_ANSWER, medians[4]))
            for asked, limit, (wall, processor) in limits:
                told = f"{wall:.2f} s, {processor:.2f} s of processor time"
                verdicts.append(Verdict(f"`{variant}`: {asked}", told, wall <= limit))
    columns = ["variant", "words", "MB", "digests", "opening", "first answer", "pages", "opening and answer", "95 %"]
    report.part("From an extracted archive to its first answer: milliseconds (those of processor time)")
    report.table(columns, rows, dict.fromkeys(columns[3:], "ms"))
    return verdicts


def _memory(
    archives: Mapping[tuple[str, str], Path],
    run: Run,
    folder: Path,
    texts: Sequence[str],
    rounds: int,
    seconds: float,
    report: Report,
) -> list[Verdict]:
    """Report what four workers take."""
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    found: dict[tuple[str, str], list[float]] = {key: [] for key in archives}
    for number in range(rounds):
        for key, path in list(archives.items())[:: 1 if number % 2 else -1]:
            found[key].append(_taken(path, folder, seconds))
            say(f"round {number + 1} of {rounds}, {key[0]}, {key[1]}: {found[key][-1] / MB:,.0f} MB")
    rows, verdicts = [], []
    for variant in dict.fromkeys(variant for variant, _ in archives):
        small, large = (found[variant, size] for size in SIZES)
        exported = run.folder / "export" / variant
        weights = sum(file.stat().st_size for file in exported.iterdir() if file.name.startswith("model."))
        # Text-in has its words in the graph.
        apart = [] if EXPORTED[variant].takes == "text" else [run.folder / "vocabulary.txt", exported / INDEX]
        vocabulary = sum(file.stat().st_size for file in apart)
        taken = np.array(large) - np.array(small)
        ratio = float(statistics.median(taken)) / (weights + vocabulary)
        rows.append(
            [
                f"`{variant}`",
                *(f"{value / MB:,.0f}" for value in (weights, vocabulary)),
                *(f"{statistics.median(values) / MB:,.0f}" for values in (small, large, taken.tolist())),
                f"{ratio:.3f}",
                f"{min(taken) / (weights + vocabulary):.3f} – {max(taken) / (weights + vocabulary):.3f}",
            ]
        )
        asked = f"`{variant}`: {WORKERS} workers beyond an empty model, at most {MEMORY} × table and vocabulary"
        if apart:
            verdicts.append(Verdict(asked, f"{ratio:.3f}", ratio <= MEMORY))
    columns = ["variant", "table", "vocabulary", "PSS, a hundred words", "PSS, all", "beyond", "×", "least – most"]
    report.part(f"{WORKERS} TorchServe workers, MB, medians of {rounds}")
    report.table(columns, rows, dict.fromkeys(columns[1:6], "MB"))
    return verdicts


def _taken(path: Path, folder: Path, seconds: float) -> float:
    """Bytes of PSS of the workers of an archive, once they have answered for some seconds."""
    state = folder / "server"
    server = serving.serve([path], workers=f"cpu:{WORKERS}", state_dir=state, port=0)
    try:
        name = path.stem.rpartition("-")[0]
        load = Load(16, 0.5, seconds, folder / "texts.jsonl", 0.1, seed=0)
        client.run(Target(server.inference_url, name, server.token()), load, folder)
        [model] = serving.status(state)["models"]
        return sum(_pss(worker["pid"]) for worker in model["workers"])
    finally:
        serving.stop(state)


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    raise SystemExit(main())
