"""The page that `lexport evaluate --report` writes: metrics, confusion, calibration, robustness, worst mistakes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..evaluation.tasks import task_of
from ..messages.escaping import visible
from ..storage import atomic as files
from .evaluation_tables import confused, errors, mistake_cells, mistake_columns, subject, verdict
from .html import escaped, figure, page, table
from .svg import Axis, Line, chart
from .tables import share, with_interval

_LABELS = 30  # of the heat map
_PAIRS = 30
_CELL = 26  # px
_NUMBERED = 12  # most labels of a heat map whose cells show their numbers


def check(target: Path) -> None:
    """Check, before the work, that `write` can write to `target`. Raises InputError."""
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"--report {target} is not the name of a page; expected one that ends in .html.", code="LX-REPORT-001"
        )
    if target.is_dir():
        raise InputError(
            f"--report {target} is a folder. Name a file in it, such as {target / 'evaluation.html'}.",
            code="LX-REPORT-002",
        )
    if not os.path.lexists(target):
        files.check_folder(target)


def write(found: Mapping[str, Any], model: str, target: Path) -> None:
    """Write the page of what `export.evaluate.evaluate` returned, replacing one that is there. Raises InputError."""
    files.write_file(target, html(found, model).encode())


def html(found: Mapping[str, Any], model: str) -> str:
    """Return the whole page; `model` is the name of the evaluated model. Every value is escaped."""
    name = found["metric"]
    in_short = f"{subject(found)} · {name.replace('_', ' ')} {with_interval(found, name)}"
    return page(f"Evaluation of {model}", in_short, _parts(found))


def _parts(found: Mapping[str, Any]) -> Iterator[str]:
    if found["seen"]:
        yield (
            f'<div class="banner note"><p>{found["seen"]:,} of these {found["count"]:,} texts were trained on, so '
            "the metrics are too good.</p></div>"
        )
    yield "<h2>Metrics</h2><p>In brackets 95 % intervals: what other texts of the same kind may show.</p>"
    yield _metrics(found)
    if "image_to_text" in found:
        yield f"<h2>From image to text</h2>{_metrics(found['image_to_text'])}"
    if "per_class" in found:
        yield f"<h2>By label</h2>{_labels(found['per_class'])}"
    if "confusion" in found:
        yield from _confusion(found["labels"], found["confusion"])
    if "calibration" in found:
        yield from _calibration(found["calibration"])
    if "robustness" in found:
        yield from _robustness(found["robustness"])
    if found["mistakes"]:
        task = found["task"]
        rows = [([escaped(cell) for cell in mistake_cells(task, one)], False) for one in found["mistakes"]]
        yield f"<h2>{escaped(task_of(task).MISTAKES)}</h2>{table(list(mistake_columns(task)), rows, 0)}"


def _metrics(values: Mapping[str, Any]) -> str:
    names = [name for name in values if f"{name}_interval" in values]
    rows: list[tuple[Sequence[str], bool]] = []
    for name in names:
        chance = values.get(name.replace("recall", "chance"))
        by_chance = share(chance) if name.startswith("recall") and chance is not None else ""
        low, high = values[f"{name}_interval"]
        rows.append(
            (
                [escaped(name.replace("_", " ")), share(values[name]), f"[{share(low)}, {share(high)}]", by_chance],
                False,
            )
        )
    chances = any(cells[-1] for cells, _ in rows)
    heads = ["Metric", "Value", "95 % interval", "By chance"]
    width = len(heads) if chances else len(heads) - 1
    return table(heads[:width], [(cells[:width], first) for cells, first in rows], 1)


def _labels(values: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        ([escaped(label), *(share(one[key]) for key in ("precision", "recall", "f1")), f"{one['support']:,}"], False)
        for label, one in values.items()
    ]
    return table(["Label", "Precision", "Recall", "F1", "Texts"], rows, 1)


def _confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Iterator[str]:
    pairs = confused(labels, matrix)
    wrong = [sum(row) - row[place] + sum(line[place] for line in matrix) for place, row in enumerate(matrix)]
    kept = sorted(sorted(range(len(labels)), key=lambda place: -wrong[place])[:_LABELS])
    caption = "True labels by row, predictions by column; a darker cell is a larger share of its row."
    if len(kept) < len(labels):
        caption += f" The {_LABELS} of {len(labels):,} labels with the most mistakes."
    drawing = _heat([labels[place] for place in kept], [[matrix[row][column] for column in kept] for row in kept])
    yield f'<h2>Confusion</h2><div class="pair">{figure("True labels and predictions", drawing, caption)}</div>'
    if pairs and len(labels) > 2:
        rows = [
            ([escaped(one.truth), escaped(one.answer), f"{one.texts:,}", f"{one.share:.1%}"], False)
            for one in pairs[:_PAIRS]
        ]
        yield "<h3>Confused most often</h3>" + table(
            ["True label", "Prediction", "Texts", "Share of the true label"], rows, 2
        )


def _heat(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Return an `<svg>` of the matrix; each cell names its texts."""
    size = _CELL * 2 if len(labels) <= _NUMBERED else _CELL
    seen = [visible(label) for label in labels]
    names = [label if len(label) <= 18 else label[:17] + "…" for label in seen]
    left = top = 16 + 7 * max(map(len, names))
    parts = [
        f'<svg viewBox="0 0 {left + size * len(labels) + 4} {top + size * len(labels) + 4}" role="img" '
        f'style="max-width:{left + size * len(labels) + 4}px" aria-label="Confusion matrix">'
    ]
    for place, name in enumerate(names):
        middle = place * size + size / 2
        parts.append(
            f'<text class="label" x="{left - 8}" y="{top + middle + 4:.0f}" text-anchor="end">{escaped(name)}</text>'
            f'<text class="label" transform="translate({left + middle + 4:.0f} {top - 8}) rotate(-90)">'
            f"{escaped(name)}</text>"
        )
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            part = count / max(1, sum(counts))
            x, y = left + column * size, top + row * size
            parts.append(
                f'<g class="{"c0" if row == column else "c1"}"><rect x="{x}" y="{y}" width="{size - 1}" '
                f'height="{size - 1}" fill="currentColor" fill-opacity="{0.04 + 0.8 * part:.3f}">'
                f"<title>{escaped(labels[row])} answered as {escaped(labels[column])}: {count:,} ({part:.1%})</title>"
                "</rect></g>"
            )
            if len(labels) <= _NUMBERED:
                parts.append(
                    f'<text class="label" x="{x + size / 2:.0f}" y="{y + size / 2 + 4:.0f}" text-anchor="middle">'
                    f"{count:,}</text>"
                )
    return "\n".join([*parts, "</svg>"])


def _calibration(values: Mapping[str, Any]) -> Iterator[str]:
    bins = values["bins"]
    low = int(10 * bins[0]["score"]) / 10
    ticks = tuple((step / 10, f"{step / 10:.1f}") for step in range(round(10 * low), 11))
    axis = "share correct" if values["of"] == "answers" else "share with the label"
    drawing = chart(
        "Reliability diagram",
        Axis("score", low, 1.0, ticks),
        Axis(axis, 0.0, 1.0, tuple((step / 5, f"{step / 5:.1f}") for step in range(6))),
        [
            Line(1, ((low, low), (1.0, 1.0)), (), faint=True, markers=False),
            *(Line(0, tuple((one["score"], end) for end in one["right_interval"]), (), False, False) for one in bins),
            Line(
                0,
                tuple((one["score"], one["right"]) for one in bins),
                tuple(
                    f"mean score {share(one['score'])}, {axis} {share(one['right'])}, {one['count']:,} {values['of']}"
                    for one in bins
                ),
            ),
        ],
    )
    caption = "Dashed: perfectly calibrated scores. Below the line scores are too high. Bars: 95 % intervals."
    heads = ["Scores", "Mean score", axis.capitalize(), "95 % interval", values["of"].capitalize()]
    rows = [
        (
            [
                f"{share(one['low'])} – {share(one['high'])}",
                *(share(one["score"]), share(one["right"])),
                f"[{share(one['right_interval'][0])}, {share(one['right_interval'][1])}]",
                f"{one['count']:,}",
            ],
            False,
        )
        for one in bins
    ]
    yield f"<h2>Calibration</h2><p>{escaped(verdict(values))}</p>"
    yield table(["Error", "Value"], [([escaped(name), value], False) for name, value in errors(values)], 1)
    yield f'<div class="pair">{figure("Reliability", drawing, caption)}</div>{table(heads, rows, 1)}'


def _robustness(values: Mapping[str, Any]) -> Iterator[str]:
    name = values["metric"]
    rows: list[tuple[Sequence[str], bool]] = [
        (["none", f"{values['unknown_share']:.1%}", share(values[name]), "", ""], False)
    ]
    for one in values["rates"]:
        low, high = one["drop_interval"]
        cells = [f"{100 * one['rate']:g}%", f"{one['unknown_share']:.1%}", share(one[name]), f"{one['drop']:+.4f}"]
        rows.append(([*cells, f"[{low:+.4f}, {high:+.4f}]"], False))
    yield (
        "<h2>Unknown words</h2><p>A share of the tokens was replaced at random by words unknown to the model, "
        f"{values['draws']} times each; the intervals pair each text with its own copies.</p>"
    )
    heads = ["Replaced", "Tokens unknown", escaped(name.replace("_", " ").capitalize()), "Drop", "95 % interval"]
    yield table(heads, rows, 1)
