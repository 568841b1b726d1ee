"""Tables of `lexport evaluate` besides the metrics: confusion, calibration, worst mistakes, robustness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from ..messages.escaping import visible
from . import tables as screens
from .tables import Table, new_table, share, titled, with_interval

_MATRIX_WIDTH = 100  # characters that the columns of a matrix may take
_PAIRS = 15
_SET = 28  # characters of a set of labels


class Pair(NamedTuple):
    """The number of `texts` with the label `truth` that were predicted as `answer`, and their share of `truth`."""

    truth: str
    answer: str
    texts: int
    share: float


def evaluation(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield one screen after the other, of what `export.evaluate.evaluate` returns."""
    yield screens.metrics(found["task"], subject(found), found)
    if "confusion" in found:
        yield _confusion(found["labels"], found["confusion"])
    if "calibration" in found:
        yield _calibration(found["calibration"])
    if "robustness" in found:
        yield _robustness(found["robustness"])
    if found["mistakes"]:
        yield _mistakes(found["task"], found["mistakes"])


def subject(found: Mapping[str, Any]) -> str:
    """Return the name of the evaluated data, such as "833 texts of reviews.csv, part test"."""
    part = "" if found["part"] == "all" else f", part {found['part']}"
    return f"{found['count']:,} texts of {found['data']}{part}"


def confused(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[Pair]:
    """Return the pairs of labels that were confused, the most frequent first."""
    pairs = [
        Pair(truth, answer, count, count / sum(row))
        for truth, row in zip(labels, matrix, strict=True)
        for answer, count in zip(labels, row, strict=True)
        if count and truth != answer
    ]
    return sorted(pairs, key=lambda pair: -pair.texts)


def verdict(values: Mapping[str, Any]) -> str:
    """Return whether scores are too high or too low, in a sentence."""
    low, high = values["excess_interval"]
    points = f"{100 * abs(values['excess']):.1f} points"
    ends = sorted((abs(100 * low), abs(100 * high)))
    if values["of"] == "answers":
        means = f"answers score {share(values['mean_score'])} on average and {share(values['share_right'])} are right"
        high_word, low_word = "Overconfident", "Underconfident"
    else:
        means = (
            f"labels score {share(values['mean_score'])} on average and texts carry {share(values['share_right'])} "
            "of them"
        )
        high_word, low_word = "Scores are too high", "Scores are too low"
    if low <= 0 <= high:
        between = f"between {100 * low:+.1f} and {100 * high:+.1f} points"
        return f"On average neither over- nor underconfident, as far as these texts tell: {means} ({between})."
    return f"{high_word if low > 0 else low_word} by {points} [{ends[0]:.1f}, {ends[1]:.1f}]: {means}."


def errors(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and values of the calibration's errors."""
    return [
        ("expected calibration error", with_interval(values, "expected_calibration_error")),
        ("the same of exact scores, by chance", share(values["error_by_chance"])),
        ("Brier score", with_interval(values, "brier_score")),
        ("negative log likelihood", with_interval(values, "negative_log_likelihood")),
    ]


def line(text: str) -> str:
    """Return a text on one line: white space is a space, and `escaping.visible` shows the rest."""
    return visible(" ".join(text.split()))


def _confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Group:
    if sum(max(len(visible(label)), 5) + 2 for label in labels) <= _MATRIX_WIDTH:
        table = new_table("", *labels)
        for label, row in zip(labels, matrix, strict=True):
            table.add_row(label, *[f"{count:,}" for count in row])
        return titled("Confusion: true labels by row, predictions by column", table)
    pairs = confused(labels, matrix)
    table = new_table("truth", "answer", "texts", "of the truth's")
    table.columns[1].justify = "left"
    for pair in pairs[:_PAIRS]:
        table.add_row(pair.truth, pair.answer, f"{pair.texts:,}", f"{pair.share:.1%}")
    of = f"the {_PAIRS} most frequent of {len(pairs):,} pairs" if len(pairs) > _PAIRS else "pairs of labels"
    return titled(f"Confusion: {of}; --report draws the matrix", table)


def _calibration(values: Mapping[str, Any]) -> Group:
    table = new_table("scores", "mean score", "share right", "95 % interval", values["of"])
    if values["of"] == "decisions":
        table.columns[2].header = "share carried"
    for one in values["bins"]:
        low, high = one["right_interval"]
        cells = (share(one["score"]), share(one["right"]), f"[{share(low)}, {share(high)}]", f"{one['count']:,}")
        table.add_row(f"{share(one['low'])} – {share(one['high'])}", *cells)
    figures = [Text(f"{name[0].upper()}{name[1:]}: {value}") for name, value in errors(values)]
    return Group(titled("Calibration", table), Text(verdict(values)), *figures, Text())


def _robustness(values: Mapping[str, Any]) -> Group:
    name = values["metric"].replace("_", "-")
    table = new_table("replaced", "tokens unknown", name, "drop", "95 % interval")
    table.add_row("none", f"{values['unknown_share']:.1%}", share(values[values["metric"]]))
    for one in values["rates"]:
        low, high = one["drop_interval"]
        cells = (share(one[values["metric"]]), f"{one['drop']:+.4f}", f"[{low:+.4f}, {high:+.4f}]")
        table.add_row(f"{100 * one['rate']:g}%", f"{one['unknown_share']:.1%}", *cells)
    return titled(f"With a share of the tokens replaced by unknown words, {values['draws']} draws each", table)


def columns_of(task: str) -> list[str]:
    """Return the heads of the columns that `cells_of` fills."""
    own = {
        "classify": ["truth", "answer", "score", "truth's score"],
        "multilabel": ["label", "mistake", "score", "truth"],
        "vector": ["rank", "of", "score", "first score"],
    }
    own["joint"] = own["vector"]
    return [*own[task], "tokens", "unknown", "text"]


def cells_of(task: str, one: Mapping[str, Any]) -> list[str]:
    """Return the cells of one mistake; the text is the last cell, on one line."""
    if task == "classify":
        cells = [one["truth"], one["answer"], share(one["score"]), share(one["truth_score"])]
    elif task == "multilabel":
        truth = ", ".join(one["truth"]) or "none"
        truth = truth if len(truth) <= _SET else truth[: _SET - 1] + "…"
        cells = [one["label"], "missed" if one["carried"] else "wrongly given", share(one["score"]), truth]
    else:
        cells = [f"{one['rank']:,}", f"{one['targets']:,}", share(one["score"]), share(one["found_score"])]
    text = line(one["text"])
    if task in ("vector", "joint"):
        text += f" → {line(one['found'])}"
    return [*map(line, cells), f"{one['tokens']:,}{'+' * one['truncated']}", f"{one['unknown']:,}", text]


def mistakes_title(task: str) -> str:
    """Return a title for the mistakes of a task."""
    if task == "classify":
        return "Most confident mistakes"
    if task == "multilabel":
        return "Worst decisions"
    what = "pair" if task == "vector" else "image"
    return f"Hardest to find: the rank of the right {what}; after the arrow what came first"


def _mistakes(task: str, found: Sequence[Mapping[str, Any]]) -> Group:
    table = Table(box=new_table().box, expand=True)
    for head in columns_of(task):
        numeric = head not in ("truth", "answer", "label", "mistake", "text")
        last = head == "text"
        table.add_column(
            head, justify="right" if numeric else "left", no_wrap=True, ratio=1 if last else None, overflow="ellipsis"
        )
    for one in found:
        table.add_row(*cells_of(task, one))
    return titled(mistakes_title(task), table)
