"""How fast and small the search for similar words is, what fewer bits and an index keep, how long a map takes.

    python benchmarks/vectors.py [--words 1000000] [--dim 300] [--rounds 15] [--quick]

Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

# A thread that waits for another would take processor time, and on a busy machine the other's.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import lexport
from lexport.benchmarks.figures import Values, interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.evaluation.vectors import approximate
from lexport.evaluation.vectors.opening import of_vectors
from lexport.evaluation.vectors.rows import ByteRows, FloatRows, quantized
from lexport.evaluation.vectors.table import WordTable

MOST = {"fp32": 1.5, "int8": 2.0}
"""The most times the product that a search may take."""
MOST_MB = 200
MOST_SECONDS = 60
MOST_LOST = 0.005
KNOWN = {"wordsim353": 0.50, "simlex999": 0.265}
"""What GloVe 6B in 50 dimensions reaches, within `MOST_OFF`."""
MOST_OFF = 0.01
LEAST_FOUND = 9.5
_ASKED = 200  # words that an index and the exact search are asked about, one by one
Result = TypeVar("Result")
_BLOCK = 20_000  # rows that are made at a time


def main() -> int:
    """Measure, print Markdown tables, and return 0 if every limit is kept."""
    options = _options()
    report = Report(options)
    with tempfile.TemporaryDirectory(prefix="lexport-vectors-") as folder:
        verdicts = _speed(options, Path(folder), report)
        verdicts += _index(options, Path(folder), report)
    verdicts += _agreement(options, report)
    verdicts += _maps(options, report)
    return report.close(verdicts)


def _speed(options: argparse.Namespace, folder: Path, report: Report) -> list[Verdict]:
    file = _table(folder, options.words, options.dim)
    with _Memory() as memory:
        before = memory.now()
        started = time.perf_counter()
        whole = of_vectors(file)
        opened = time.perf_counter() - started
        whole.similar(["word1"])
        mb = {"fp32": memory.peak - before}
    stored, scale = _int8(folder, whole)
    with _Memory() as memory:
        before = memory.now()
        small = WordTable("int8", whole.words, ByteRows(stored, scale))
        small.similar(["word1"])
        mb["int8"] = memory.peak - before
    matrix = np.asarray(whole.rows.stored)
    query = np.ascontiguousarray(matrix[0])
    turns: dict[str, Callable[[], object]] = {
        "product": lambda: matrix @ query,
        "fp32": lambda: whole.similar(["word0"]),
        "int8": lambda: small.similar(["word0"]),
    }
    times: dict[str, list[float]] = {name: [] for name in turns}
    for turn in range(options.rounds + 1):
        for name, work in turns.items():
            started = time.perf_counter()
            work()
            if turn:  # the first one fills caches
                times[name].append(time.perf_counter() - started)
        say(f"round {turn} of {options.rounds}")
    report.part(f"`similar` among {options.words:,} words of {options.dim} dimensions")
    report.text(
        f"The table is a mapped .npy; opening it and its words takes {opened:.1f} s. Times are of calls in one "
        "process after the first, which computes the lengths of all rows."
    )
    product: Values = np.array(times["product"])
    rows, verdicts = [["one numpy product, fp32", _ms(product), "", ""]], []
    for name, most in MOST.items():
        ratios = np.array(times[name]) / product
        low, high = interval(ratios)
        rows.append(
            [
                f"`similar`, {name}",
                _ms(np.array(times[name])),
                f"{np.median(ratios):.2f} ({low:.2f} … {high:.2f})",
                f"{mb[name]:.0f}",
            ]
        )
        verdicts.append(
            Verdict(
                f"{name}: at most {most} × the product", f"{np.median(ratios):.2f}", bool(np.median(ratios) <= most)
            )
        )
        verdicts.append(
            Verdict(f"{name}: below {MOST_MB} MB beside the table", f"{mb[name]:.0f}", mb[name] < MOST_MB)
        )
    report.table(["", "ms", "× the product, 95 %", "MB beside the table"], rows)
    report.text(
        "Memory is anonymous memory at its peak; of fp32 it holds the list of words and the rows by word, which the "
        "table in int8 makes once more."
    )
    return verdicts


def _agreement(options: argparse.Namespace, report: Report) -> list[Verdict]:
    vectors = lexport.vectors("glove-6b-50d")
    found = vectors.evaluate(["wordsim353", "simlex999"], sample=50 if options.quick else 1000)
    precisions = ("fp32", "int8", "int4")
    values = {(one.name, one.precision): one for one in found.sets}
    rows = []
    for name in dict.fromkeys(one.name for one in found.sets):
        own = [values[name, precision] for precision in precisions]
        rows.append([name, f"{own[0].judged:,} of {own[0].asked:,}", *(f"{one.value or 0:.3f}" for one in own)])
    kept = {one.precision: one for one in found.kept}
    asked = kept["int8"]
    rows.append(
        ["of ten neighbours the same", f"{asked.words:,} of {asked.among:,}", "10"]
        + [f"{kept[one].kept:.2f}" for one in precisions[1:]]
    )
    report.part("GloVe 6B, 50 dimensions, and the same in fewer bits")
    report.text(
        "Spearman's correlation with people's scores, and the neighbours of words spread evenly over the table."
    )
    report.table(["", "judged", *precisions], rows)
    verdicts = []
    for name, known in KNOWN.items():
        whole, small = (values[name, precision].value or 0 for precision in ("fp32", "int8"))
        off, lost = abs(whole - known), abs(small - whole)
        verdicts += [
            Verdict(f"{name}: {known:.3f}, within {MOST_OFF}", f"{whole:.3f}", off <= MOST_OFF),
            Verdict(f"{name}: int8 within {MOST_LOST} of fp32", f"{lost:.4f}", lost <= MOST_LOST),
        ]
    return verdicts


def _maps(options: argparse.Namespace, report: Report) -> list[Verdict]:
    vectors = lexport.vectors("glove-6b-50d")
    count = 200 if options.quick else 5000
    rows, longest = [], 0.0
    for method in ("pca", "tsne"):
        started, before = time.perf_counter(), time.process_time()
        made = vectors.map(top=count, method=method)
        seconds, taken = time.perf_counter() - started, time.process_time() - before
        rows.append([made.about, f"{seconds:.1f}", f"{taken:.1f}"])
        longest = max(longest, seconds)
        say(f"{made.about}: {seconds:.1f} s, {taken:.1f} s of processor time")
    report.part(f"A map of {count:,} words of GloVe")
    report.text("Other work on the machine stretches the seconds, not the processor time.")
    report.table(["method", "seconds", "processor time, s"], rows)
    return [Verdict(f"at most {MOST_SECONDS} s for a map", f"{longest:.1f} s", longest <= MOST_SECONDS)]


def _index(options: argparse.Namespace, folder: Path, report: Report) -> list[Verdict]:
    table = of_vectors("glove-6b-50d")
    if options.quick:
        table = WordTable("GloVe", table.words[:2000], FloatRows(table.rows.vectors(np.arange(2000))))
    file = folder / "glove.index"
    built, indexed = _timed(lambda: approximate.build(table))
    approximate.save(indexed, file)
    opened, _ = _timed(lambda: approximate.load(table, file))
    words = [table.words[place] for place in np.linspace(0, len(table.words) - 1, _ASKED, dtype=int)]
    times: dict[str, list[float]] = {}
    for name, searched in (("exact", table), ("index", indexed.table)):
        times[name] = [_timed(partial(searched.similar, [word]))[0] for word in words]
    exact, near = (statistics.median(own) for own in times.values())
    recall = indexed.recall
    assert recall is not None
    report.part("An index of GloVe's 400,000 words, in Python")
    report.table(
        ["", "ms a search", "of ten neighbours the same", "MB"],
        [
            ["exact", f"{1000 * exact:.2f}", "10", ""],
            ["index", f"{1000 * near:.2f}", f"{recall.kept:.2f}", f"{file.stat().st_size / 1e6:.0f}"],
        ],
    )
    pays = f", as long as {built / (exact - near):,.0f} exact searches" if near < exact else ""
    report.text(
        f"To build it took {built:.0f} s{pays}, with the comparison of {recall.words} words; to open its file "
        f"{opened:.1f} s. Medians of {_ASKED} words, one by one."
    )
    asked = f"index: at least {LEAST_FOUND} of ten neighbours"
    return [Verdict(asked, f"{recall.kept:.2f}", recall.kept >= LEAST_FOUND)]


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return how many seconds the work took, and what it returned."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def _table(folder: Path, words: int, dim: int) -> Path:
    """Return a .npy of normal numbers, with an index of made-up words beside it, written a block at a time."""
    file = folder / "table.npy"
    matrix = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(words, dim))
    draw = np.random.default_rng(0)
    for first in range(0, words, _BLOCK):
        part = matrix[first : first + _BLOCK]
        draw.standard_normal(out=part, dtype=np.float32)
    matrix.flush()
    file.with_suffix(".txt").write_text("".join(f"word{at}\n" for at in range(words)), encoding="utf-8")
    say(f"{words:,} words of {dim} dimensions are written")
    return file


def _int8(folder: Path, table: WordTable) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return the table in int8 as an export stores it, mapped, and its scales."""
    rows = quantized(table.rows, "int8")
    assert isinstance(rows, ByteRows)
    np.save(folder / "int8.npy", rows.stored)
    scale = rows._scale.copy()
    del rows
    return np.load(folder / "int8.npy", mmap_mode="r"), scale


class _Memory:
    """The anonymous memory of this process in MB, now and at its peak while the context is open."""

    def __enter__(self) -> _Memory:
        self.peak = self.now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def now(self) -> float:
        """Return what is used now."""
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1000
        raise SystemExit("This system does not say how much anonymous memory a process has; take Linux.")

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.peak = max(self.peak, self.now())


def _ms(seconds: Values) -> str:
    return f"{1000 * np.median(seconds):.0f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--words", type=int, default=1_000_000, help="rows of the table")
    add("--dim", type=int, default=300, help="dimensions of a vector")
    add("--rounds", type=int, default=15, help="alternating turns")
    add("--quick", action="store_true", help="a tiny table, to try the script")
    add_options(parser)
    options = parser.parse_args()
    if options.quick:
        options.words, options.dim, options.rounds = 5000, 20, 3
    return options


if __name__ == "__main__":
    raise SystemExit(main())
