"""Sparse gradients: what they save and cost, from 3,000 to a million words."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn

from lexport.benchmarks.figures import say, table
from lexport.models.embeddings.table import SPARSE_FROM
from lexport.reports.charts.axes import linear, logarithmic, steps
from lexport.reports.charts.picture import Panel, picture
from lexport.reports.numbers import number

from .cases import BATCH, DIM, LENGTH, Case, batches, compared
from .claim import Claim, Estimate, Figures, Shown, listed, percent, takes, tried
from .pictures import thousands, values

_SIZES = (3_000, 10_000, 25_000, 100_000, 300_000, 1_000_000)
_WAYS = ("Adam", "Adam, fused", "SparseAdam", "row by row")
# Timed in turns, two at a time, so that a machine of 16 GiB holds both.
_PAIRS = (
    ("SparseAdam", "Adam"),
    ("SparseAdam", "Adam, fused"),
    ("row by row", "Adam, fused"),
    ("row by row", "SparseAdam"),
)
_ROUNDS, _LARGE = 15, 300_000  # half as many from so many words on, where a dense step takes seconds
_SAID_MEMORY, _SAID_COST = (0.30, 0.50), (1.15, 1.20)  # of 40 %, and of 15 to 20 %
# Dense Adam holds a table, its gradient, two means and two more while it moves; a sparse step three.
_TABLES = 9


def measure(quick: bool) -> Figures:
    """Time and memory of every way at every size that memory holds, the largest first."""
    found: list[dict[str, Any]] = []
    left_out = []
    for words in sorted(_SIZES[:1] if quick else _SIZES, reverse=True):
        if psutil.virtual_memory().available < _TABLES * 4 * DIM * words * 1.1:
            left_out.append(words)
            continue
        try:
            found.insert(0, _at(words, 2 if quick else _ROUNDS if words < _LARGE else _ROUNDS // 2))
        except MemoryError as error:
            say(str(error))
            left_out.append(words)
    return {"sizes": found, "left_out": left_out, "refused": _refused()}


def _at(words: int, rounds: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {way: [] for way in _WAYS}
    peaks: dict[str, list[float]] = {way: [] for way in _WAYS}
    ratios = []
    for pair in _PAIRS:
        peak, seconds = compared([Case(words, way) for way in pair], rounds)
        for place, way in enumerate(pair):
            times[way] += [float(one) for one in seconds[:, place]]
            peaks[way].append(peak[place])
        ratio = Estimate.of_ratios(seconds[:, 0] / seconds[:, 1])
        ratios.append({"of": pair[0], "to": pair[1], **ratio.__dict__})
        say(f"{words:,} words, {pair[0]} ÷ {pair[1]}: {ratio.times}")
    return {
        "words": words,
        "rounds": rounds,
        "distinct": float(np.mean([len(torch.unique(ids)) for ids, _ in batches(words)])),
        "ms": {way: 1000 * float(np.median(own)) for way, own in times.items()},
        "peak_mib": {way: float(np.median(own)) for way, own in peaks.items()},
        "ratios": ratios,
    }


def _refused() -> dict[str, str]:
    """What torch says to optimizers that were given the wrong kind of gradient."""

    def one_step(sparse: bool, optimizer: Callable[..., torch.optim.Optimizer]) -> str:
        module = nn.Embedding(4, 2, sparse=sparse)
        module(torch.tensor([1])).sum().backward()
        optimizer(module.parameters(), lr=0.1).step()
        return "works"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Adagrad makes a sparse tensor that is not checked
        return {
            "`Adam`, sparse gradient": tried(lambda: one_step(True, torch.optim.Adam)),
            "`AdamW`, sparse gradient": tried(lambda: one_step(True, torch.optim.AdamW)),
            "`SparseAdam`, dense gradient": tried(lambda: one_step(False, torch.optim.SparseAdam)),
            "`Adagrad`, sparse gradient": tried(lambda: one_step(True, torch.optim.Adagrad)),
            "`SGD`, sparse gradient": tried(lambda: one_step(True, torch.optim.SGD)),
        }


def _ratio(size: dict[str, Any], of: str, to: str) -> Estimate:
    found = next(one for one in size["ratios"] if (one["of"], one["to"]) == (of, to))
    return Estimate(found["value"], found["low"], found["high"])


def _saved(size: dict[str, Any], against: str) -> float:
    return float(1 - size["peak_mib"]["SparseAdam"] / size["peak_mib"][against])


def show(figures: Figures) -> Shown:
    """The verdict by where the ratios cross one."""
    sizes = figures["sizes"]
    first, last = sizes[0], sizes[-1]
    both = [
        f"{size['words']:,}"
        for size in sizes
        if _SAID_MEMORY[0] <= _saved(size, "Adam") <= _SAID_MEMORY[1]
        and _ratio(size, "SparseAdam", "Adam").low <= _SAID_COST[1]
        and _ratio(size, "SparseAdam", "Adam").high >= _SAID_COST[0]
    ]
    slower = [thousands(size["words"]) for size in sizes if _ratio(size, "SparseAdam", "Adam").side(1) > 0]
    ahead = [size["words"] for size in sizes if _ratio(size, "SparseAdam", "Adam, fused").side(1) < 0]
    wrong = [
        f"{size['words']:,}"
        for size in sizes
        if _ratio(size, "row by row", "Adam, fused").side(1) == (1 if size["words"] >= SPARSE_FROM else -1)
    ]
    verdict = (
        (f"True as said at {listed(both)} words alone. " if both else "At no size are both true. ")
        + f"With {first['words']:,} words a step of `SparseAdam` {_pace(first)}, in {_memory(first)} memory than the "
        f"former; with {last['words']:,} words it {_pace(last)}, in {_memory(last)} memory. Against the fused step, "
        "which is what a dense table should be compared with, "
        + (f"it is ahead from {ahead[0]:,} words on. " if ahead else "it is ahead nowhere. ")
        + f'lexport\'s `sparse = "auto"` trains row by row from {SPARSE_FROM:,} rows on, '
        + (f"which is the slower choice here at {listed(wrong)} words." if wrong else "and no size here contradicts.")
    )
    cost = f"Slower than plain Adam at {listed(slower)}" if slower else "Never slower than plain Adam"
    gain = number(1 / _ratio(last, "SparseAdam", "Adam").value)
    short = f"**{'Partly' if both else 'No'}.** {cost}; {gain} times as fast at {thousands(last['words'])} words"
    how = (
        f"Step time and peak memory of a text classifier (table {DIM} wide → mean → two labels), {BATCH} texts of "
        f"{LENGTH} words by Zipf's law, one thread, every case in a process of its own (peak: the largest resident "
        f"size beyond that before the table). Ratios: medians of {last['rounds']} to {first['rounds']} rounds in "
        "turns, with 95 % intervals; milliseconds: medians of all blocks. *row by row*: lexport's look-up and "
        "`RowOptimizer`, which do what `SparseAdam` does. Both leave the classifier to a fused Adam, since they "
        "take no dense gradient. A sparse step is lazy: rows that a batch does not name keep their momentum, so it "
        "is not quite the same algorithm as Adam."
    )
    if figures["left_out"]:
        how += f" Left out for want of memory: {listed([f'{words:,}' for words in figures['left_out']])} words."
    return Shown(short, verdict, how, _tables(figures), _picture(sizes), _alt(first, last))


def _pace(size: dict[str, Any]) -> str:
    return (
        f"{takes(_ratio(size, 'SparseAdam', 'Adam'), 'one of plain `Adam`')} and "
        f"{takes(_ratio(size, 'SparseAdam', 'Adam, fused'), 'one of `Adam(fused=True)`')}"
    )


def _memory(size: dict[str, Any]) -> str:
    saved = _saved(size, "Adam")
    return f"{abs(saved):.0%} {'less' if saved >= 0 else 'more'}"


def _tables(figures: Figures) -> str:
    sizes = figures["sizes"]
    columns = [
        "words",
        "rows a batch names",
        *(f"{way}, ms" for way in _WAYS),
        *(f"{of} ÷ {to}" for of, to in _PAIRS),
    ]
    rows = [
        [
            f"{size['words']:,}",
            f"{size['distinct']:,.0f}",
            *(f"{size['ms'][way]:,.1f}" for way in _WAYS),
            *(_ratio(size, *pair).times for pair in _PAIRS),
        ]
        for size in sizes
    ]
    memory = [
        [
            f"{size['words']:,}",
            f"{_table(size):,.0f}",
            *(f"{size['peak_mib'][way]:,.0f}" for way in _WAYS),
            percent(-_saved(size, "Adam")),
            percent(-_saved(size, "Adam, fused")),
        ]
        for size in sizes
    ]
    heads = ["words", "the table, MiB", *(f"{way}, peak MiB" for way in _WAYS)]
    heads += ["SparseAdam against Adam", "against fused"]
    tried_out = [[what, answer] for what, answer in figures["refused"].items()]
    return "\n".join([table(columns, rows), table(heads, memory), table(["tried", "outcome"], tried_out)])


def _picture(sizes: list[dict[str, Any]]) -> str:
    words = [size["words"] for size in sizes]
    x = steps("words in the table", words, [thousands(one) for one in words])
    times = [[(size["words"], size["ms"][way]) for size in sizes] for way in _WAYS]
    tables = [[(size["words"], size["peak_mib"][way] / _table(size)) for size in sizes] for way in _WAYS]
    every = [[y for line in lines for _, y in line] for lines in (times, tables)]
    return picture(
        "Sparse gradients: time and memory of a training step",
        _WAYS,
        [
            Panel(
                "Time of a step (lower is better)",
                x,
                logarithmic("ms", min(every[0]), max(every[0])),
                [values(place, line, way, " ms") for place, (line, way) in enumerate(zip(times, _WAYS, strict=True))],
            ),
            Panel(
                "Peak memory, as so many times the table's own",
                x,
                linear("tables", max(every[1])),
                [values(place, line, way) for place, (line, way) in enumerate(zip(tables, _WAYS, strict=True))],
            ),
        ],
    )


def _table(size: dict[str, Any]) -> float:
    """The table's own size, MiB."""
    return float(size["words"] * DIM * 4 / 2**20)


def _alt(first: dict[str, Any], last: dict[str, Any]) -> str:
    return (
        f"Time and peak memory of a training step from {first['words']:,} to {last['words']:,} words for dense Adam, "
        "fused Adam, SparseAdam and row by row"
    )


CLAIM = Claim(
    "sparse",
    "Sparse gradients",
    "`sparse=True` saves about 40 % of the memory and costs 15 to 20 % of the speed.",
    measure,
    show,
)
