"""The page of `lexport ui` about two runs or archives: what they are made of, how good they are, what they cost."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.tasks import TASKS
from ..export.archive.diff import Comparison
from ..export.archive.diff import compare as compare_archives
from ..export.evidence.load import read_load
from ..reports.evaluation_tables import line
from ..reports.numbers import measured
from ..reports.pages import Cell, render
from ..reports.tables import share, with_interval
from .library import Item
from .sides import NONE, Side, side_of

_MOST = 50  # rows of other tables
_WORDS = 30

Row = Sequence[str | Cell]


@dataclass(frozen=True)
class _Section:
    """A heading, a paragraph, and a table whose columns in `words` are texts."""

    title: str
    text: str
    heads: Sequence[str] = ()
    rows: Sequence[Row] = ()
    words: Sequence[str] = ()


def compare(one: Item, other: Item, script: str, tests: Sequence[tuple[Item, Item]] = ()) -> str:
    """Return two runs or archives beside each other, with one text to try on both.

    `script` is the nonce of the page's script; `tests` are pairs of load tests, one of each. Raises LexportError for
    one that cannot be opened.
    """
    first, second = side_of(one), side_of(other)
    found = [_facts(one, other), _made(first, second), _scores(first, second), _labels(first, second)]
    found.append(_variants(first, second))
    both_archives = one.kind == other.kind == "archive"
    if both_archives:
        found += _archives(one, other)
        found.append(_loads(first, second))
    both_answer = one.kind == other.kind == "run" and first.task == second.task == "classify"
    return render(
        "ui/compare.html",
        title="Compared",
        in_short=f"A: {one.name} · B: {other.name}",
        one=one,
        other=other,
        sections=[section for section in found if section is not None],
        both_answer=both_answer,
        tests=tests,
        command=f"lexport diff {shlex.quote(one.name)} {shlex.quote(other.name)}" if both_archives else None,
        script=script,
    )


def _facts(one: Item, other: Item) -> _Section:
    first, second = dict(one.facts), dict(other.facts)
    rows = [
        [name, first.get(name, NONE), second.get(name, NONE), _change(first.get(name), second.get(name))]
        for name in dict.fromkeys([*first, *second])
    ]
    return _Section("At a glance", "", ["", "A", "B", "B - A"], rows, ["", "A", "B"])


def _made(one: Side, other: Side) -> _Section:
    """Return what differs of all that both tell: an archive keeps less of its recipe than a run."""
    whole = one.whole == other.whole
    names = one.made.keys() | other.made.keys() if whole else one.made.keys() & other.made.keys()
    rows: list[Row] = [
        [name, Cell(before, "long"), Cell(after, "long")]
        for name in sorted(names)
        if (before := one.made.get(name, NONE)) != (after := other.made.get(name, NONE))
    ]
    text = "" if rows else "Data and settings are the same, as far as both tell them."
    return _Section("Data and recipe that differ", text, ["", "A", "B"] if rows else (), rows, ["", "A", "B"])


def _scores(one: Side, other: Side) -> _Section:
    heads = TASKS[one.task].HEADLINES
    if one.task != other.task:
        return _Section("Scores", f"Their tasks differ, {one.task} and {other.task}, so scores cannot be compared.")
    rows = [
        [
            heads[name],
            with_interval(one.scores, name),
            with_interval(other.scores, name),
            f"{other.scores[name] - one.scores[name]:+.4f}",
        ]
        for name in heads
    ]
    text = "On the test texts of each, in brackets 95 % intervals."
    if one.digest != other.digest:
        text += " They were trained and tested on different data."
    return _Section("Scores", text, ["Metric", "A", "B", "B - A"], rows, ["Metric"])


def _labels(one: Side, other: Side) -> _Section | None:
    shared = [name for name in one.labels if name in other.labels]
    shared.sort(key=lambda name: one.labels[name]["f1"] - other.labels[name]["f1"], reverse=True)
    if not shared:
        return None
    rows: list[Row] = []
    for name in shared[:_MOST]:
        first, second = one.labels[name], other.labels[name]
        change = second["f1"] - first["f1"]
        figures = [share(side[figure]) for figure in ("precision", "recall", "f1") for side in (first, second)]
        rows.append([name, *figures, Cell(f"{change:+.4f}", _judged(change)), f"{first['support']:,}"])
    heads = [f"{figure} {side}" for figure in ("Precision", "Recall", "F1") for side in "AB"]
    text = "Those that B answers worse than A come first."
    if len(rows) < len(shared):
        text += f" The first {_MOST} of {len(shared):,}."
    return _Section("By label", text, ["Label", *heads, "F1, B - A", "Texts"], rows, ["Label"])


def _variants(one: Side, other: Side) -> _Section | None:
    names = list(dict.fromkeys([*one.variants, *other.variants]))
    if not names:
        return None
    rows = [
        [
            name,
            *(_figure(side.variants.get(name), figure) for figure in _COSTS.values() for side in (one, other)),
        ]
        for name in names
    ]
    heads = [figure.format(side) for figure in _COSTS for side in "AB"]
    text = "Milliseconds are medians for a batch of 1 and of 8 texts on one thread, measured at the export."
    return _Section("What variants cost", text, ["Variant", *heads], rows, ["Variant"])


# Heads of columns, {} being A or B.
_COSTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "Size {}, MB": lambda variant: f"{variant['size'] / 1e6:.1f}",
    "Batch 1 {}, ms": lambda variant: f"{variant['latency']['1']['1']['median_ms']:.3f}",
    "Batch 8 {}, ms": lambda variant: f"{variant['latency']['1']['8']['median_ms']:.3f}",
    "Flips {}": lambda variant: f"{variant['test']['flips']:,}",
    "Gate {}": lambda variant: "refused" if variant["refused"] else "passed",
}


def _figure(variant: Mapping[str, Any] | None, figure: Callable[[Mapping[str, Any]], str]) -> str:
    return NONE if variant is None else figure(variant)


def _archives(one: Item, other: Item) -> Iterator[_Section]:
    """Yield what `lexport diff` finds."""
    found = compare_archives(one.path, other.path)
    if found.words_added or found.words_gone:
        rows = [["in B alone", *_words(found.words_added)], ["in A alone", *_words(found.words_gone)]]
        yield _Section("Words", "", ["", "Count", "Words"], rows, ["", "Words"])
    yield _answers(found)


def _answers(found: Comparison) -> _Section:
    title = "Answers to golden requests"
    if found.answers is not None:
        return _Section(title, f"Not compared: {found.answers}.")
    text = f"{len(found.flips):,} of {found.asked:,} are answered differently. "
    text += f"The largest difference of a score is {found.largest_difference:.2g}."
    rows: list[Row] = [
        [flip.before, flip.after, f"{flip.difference:.4f}", Cell(line(flip.text), "long")] for flip in found.flips
    ]
    heads = ["A", "B", "Difference", "Text"] if rows else ()
    return _Section(title, text, heads, rows[:_MOST], ["A", "B", "Text"])


def _loads(one: Side, other: Side) -> _Section | None:
    """Return the load tests in the evidence of two archives."""
    if one.load is None or other.load is None:
        return None
    first, second = read_load(one.load), read_load(other.load)
    later = {row.cell: row for row in second.rows}
    rows = [
        [
            row.cell,
            measured(row.requests_per_second),
            measured(later[row.cell].requests_per_second),
            measured(row.p99_ms),
            measured(later[row.cell].p99_ms),
        ]
        for row in first.rows
        if row.cell in later
    ]
    text = "With the same workers and load, as the evidence of each has it."
    if first.place != second.place:
        text += f" They were measured on two machines: {first.place}; {second.place}."
    heads = ["Workers and load", "Requests/s A", "Requests/s B", "p99 A, ms", "p99 B, ms"] if rows else ()
    return _Section(
        "Load tests in their evidence", text if rows else "They have no load in common.", heads, rows, heads[:1]
    )


def _words(found: Sequence[str]) -> Row:
    more = ", …" if len(found) > _WORDS else ""
    return [f"{len(found):,}", Cell(", ".join(found[:_WORDS]) + more, "long")]


def _judged(change: float) -> str:
    return "soft" if not change else "good" if change > 0 else "bad"


def _change(one: str | None, other: str | None) -> str:
    """Return the difference of two numbers, nothing where they are not numbers."""
    try:
        change = float(str(other).replace(",", "")) - float(str(one).replace(",", ""))
    except ValueError:
        return ""
    return f"{change:+.4f}" if change % 1 else f"{change:+,.0f}"
