"""Tables of `lexport evaluate`: metrics, confusion, calibration, worst mistakes, robustness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from ..evaluation.tasks import TASKS
from ..messages.escaping import visible
from .tables import Table, new_table, share, text_table, titled, with_interval

_MATRIX_WIDTH = 100  # characters that the columns of a matrix may take
_PAIRS = 15
_LABELS = 40  # are shown at most


class Pair(NamedTuple):
    """The number of `texts` with the label `truth` that were predicted as `answer`, and their share of `truth`."""

    truth: str
    answer: str
    texts: int
    share: float


def evaluation(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield one screen after the other, of what `export.evaluate.evaluate` returns."""
    yield metrics(found["task"], subject(found), found)
    if "confusion" in found:
        yield _confusion(found["labels"], found["confusion"])
    if "calibration" in found:
        yield _calibration(found["calibration"])
    if "robustness" in found:
        yield _robustness(found["robustness"])
    if found["mistakes"]:
        yield _mistakes(found["task"], found["mistakes"])


def metrics(task: str, what: str, values: Mapping[str, Any]) -> Group:
    """Return a model's metrics on `what`: by label, or the recall of the right neighbour."""
    headline = ", ".join(f"{head} {with_interval(values, name)}" for name, head in TASKS[task].HEADLINES.items())
    title = f"On {what}: {headline}"
    if "per_class" not in values:
        return titled(title, _neighbours(values))
    table = new_table("label", "precision", "recall", "F1", "texts")
    every = values["per_class"]
    worst = sorted(every, key=lambda label: every[label]["f1"])[:_LABELS]
    for label, one in every.items() if len(every) <= _LABELS else [(label, every[label]) for label in worst]:
        table.add_row(label, share(one["precision"]), share(one["recall"]), share(one["f1"]), f"{one['support']:,}")
    cut = f"The {_LABELS} of {len(every):,} labels with the lowest F1; --json has all" if len(every) > _LABELS else ""
    return titled(title, table, cut)


def leaderboard(task: str, board: Sequence[Mapping[str, Any]]) -> Group:
    """Return the recipes that `--model auto` tried, the best first."""
    heads = TASKS[task].HEADLINES
    table = new_table("recipe", *heads.values(), "loss", "seconds")
    for one in board:
        table.add_row(
            one["recipe"],
            *(share(one.get("cross_validated", one)[name]) for name in heads),
            f"{one['loss']:.4f}",
            f"{one['seconds']:.0f}",
        )
    how = "In cross-validation" if "cross_validated" in board[0] else "On the validation texts"
    return titled(f"{how}, by recipe; the first is kept", table)


def cross_validation(task: str, found: Mapping[str, Any]) -> Group:
    """Return the metrics of each fold, their mean and standard deviation."""
    values = found["metrics"]
    table = new_table("fold", *(TASKS[task].HEADLINES[name] for name in values))
    for fold in range(found["folds"]):
        table.add_row(f"{fold + 1}", *(share(one["folds"][fold]) for one in values.values()))
    table.add_section()
    table.add_row("mean", *(share(one["mean"]) for one in values.values()))
    table.add_row("standard deviation", *(share(one["deviation"]) for one in values.values()))
    untested = found["texts"] - found["tested"]
    note = f"{untested:,} of {found['texts']:,} texts are tested in no fold" if untested else ""
    return titled(f"Cross-validation, {found['tested']:,} texts in {found['folds']} folds", table, note)


def _neighbours(values: Mapping[str, Any]) -> Table:
    back = values.get("image_to_text")
    ways = {"": values} if back is None else {"text to image": values, "image to text": back}
    table = new_table("found among the nearest", *[f"{way} share".strip() for way in ways], "by chance")
    for name in values:
        if name.startswith("recall_at_") and not name.endswith("_interval"):
            nearest = name.removeprefix("recall_at_")
            table.add_row(
                nearest,
                *[with_interval(found, name) for found in ways.values()],
                share(values[f"chance_at_{nearest}"]),
            )
    return table


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


def mistake_columns(task: str) -> dict[str, bool]:
    """Return the heads of the columns that `mistake_cells` fills, and whether each has numbers."""
    return {**TASKS[task].MISTAKE_COLUMNS, "tokens": True, "unknown": True, "text": False}


def mistake_cells(task: str, one: Mapping[str, Any]) -> list[str]:
    """Return the cells of one mistake; the text is the last cell, on one line."""
    kind = TASKS[task]
    cells = [
        line(value) if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else share(value)
        for value in kind.mistake_cells(one)
    ]
    text = " → ".join(line(part) for part in kind.mistake_text(one))
    return [*cells, f"{one['tokens']:,}{'+' * one['truncated']}", f"{one['unknown']:,}", text]


def _mistakes(task: str, found: Sequence[Mapping[str, Any]]) -> Group:
    table = text_table(mistake_columns(task))
    for one in found:
        table.add_row(*mistake_cells(task, one))
    return titled(TASKS[task].MISTAKES, table)
