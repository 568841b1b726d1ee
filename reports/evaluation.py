"""The page that `lexport evaluate --report` writes: metrics, confusion, calibration, robustness, worst mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..evaluation.tasks import TASKS
from ..storage import atomic as files
from .charts.axes import tenths
from .charts.confusion import confusion_matrix
from .charts.lines import Line, line_chart
from .evaluation_tables import confused, errors, line, mistake_cells, mistake_columns, subject, verdict
from .pages import Cell, Figure, render
from .tables import share, with_interval

_LABELS = 30  # of the confusion matrix
_PAIRS = 30  # of confused labels
_LONGEST = 400  # characters of a text behind a cell


def write(found: Mapping[str, Any], model: str, target: Path) -> None:
    """Write the page of what `export.evaluate.evaluate` returned, replacing one that is there. Raises InputError."""
    files.write_file(target, html(found, model).encode())


def html(found: Mapping[str, Any], model: str, *, link: Callable[[str, str], str] | None = None) -> str:
    """Return the whole page; `model` is the name of the evaluated model.

    `link` returns the address of the texts with a true label and a prediction, where there is a page of them.
    """
    name = found["metric"]
    return render(
        "evaluation.html",
        title=f"Evaluation of {model}",
        in_short=f"{subject(found)} · {_words(name)} {with_interval(found, name)}",
        seen=found["seen"],
        count=found["count"],
        **blocks(found, link),
    )


def blocks(
    found: Mapping[str, Any],
    link: Callable[[str, str], str] | None = None,
    cells: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what evaluation_blocks.html shows of an evaluation; what it lacks is left out there.

    `link` as above; in its place `cells` has those of the confusion matrix with their texts, which the page shows.
    """
    texts = _behind(cells)

    def on_page(truth: str, answer: str) -> str:
        return f"#{texts[truth, answer]['address']}"

    to_texts = on_page if texts else link
    return {
        "behind": list(texts.values()),
        "metrics": _metrics(found),
        "image_to_text": _metrics(found["image_to_text"]) if "image_to_text" in found else None,
        "labels": _labels(found["per_class"]) if "per_class" in found else None,
        "confusion": _confusion(found["labels"], found["confusion"], to_texts) if "confusion" in found else None,
        "calibration": _calibration(found["calibration"]) if "calibration" in found else None,
        "robustness": _robustness(found["robustness"]) if "robustness" in found else None,
        "mistakes": _mistakes(found["task"], found["mistakes"]) if found["mistakes"] else None,
    }


def _behind(cells: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the texts behind cells of the confusion matrix by true label and prediction, each with its address."""
    return {
        (cell["truth"], cell["answer"]): {
            "address": f"texts-{place}",
            "title": f"{cell['truth']}, answered as {cell['answer']}",
            "count": cell["count"],
            "rows": [[share(one["score"]), Cell(_cut(line(one["text"])), "long")] for one in cell["texts"]],
        }
        for place, cell in enumerate(cells)
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _metrics(values: Mapping[str, Any]) -> dict[str, Any]:
    heads, rows, chances = ["Metric", "Value", "95 % interval"], [], []
    for name in values:
        if f"{name}_interval" in values:
            rows.append([_words(name), share(values[name]), _interval(values[f"{name}_interval"])])
            chance = values.get(name.replace("recall", "chance")) if name.startswith("recall") else None
            chances.append("" if chance is None else share(chance))
    if any(chances):
        heads.append("By chance")
        rows = [[*row, chance] for row, chance in zip(rows, chances, strict=True)]
    return {"heads": heads, "rows": rows}


def _labels(values: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        [label, share(one["precision"]), share(one["recall"]), share(one["f1"]), f"{one['support']:,}"]
        for label, one in values.items()
    ]


def _confusion(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], link: Callable[[str, str], str] | None
) -> dict[str, Any]:
    wrong = [
        sum(row) + sum(line[place] for line in matrix) - 2 * row[place]  # mistaken for others, and others for it
        for place, row in enumerate(matrix)
    ]
    kept = sorted(sorted(range(len(labels)), key=lambda place: -wrong[place])[:_LABELS])
    caption = (
        "True labels by row, predictions by column; the stronger a cell's colour, the larger its share of the texts "
        "with that true label."
    )
    if len(kept) < len(labels):
        caption += f" The {_LABELS} of {len(labels):,} labels with the most mistakes."
    drawing = confusion_matrix(labels, matrix, kept, link)
    pairs = confused(labels, matrix)[:_PAIRS] if len(labels) > 2 else []
    return {
        "figure": Figure("True labels and predictions", drawing, caption),
        "pairs": [[one.truth, one.answer, f"{one.texts:,}", f"{one.share:.1%}"] for one in pairs],
    }


def _calibration(values: Mapping[str, Any]) -> dict[str, Any]:
    bins, of = values["bins"], values["of"]
    axis = "share correct" if of == "answers" else "share with the label"
    x = tenths("score", bins[0]["score"])
    points = tuple((one["score"], one["right"]) for one in bins)
    titles = tuple(
        f"mean score {share(one['score'])}, {axis} {share(one['right'])}, {one['count']:,} {of}" for one in bins
    )
    perfect = Line(1, ((x.low, x.low), (1.0, 1.0)), (), faint=True, markers=False)
    measured = Line(0, points, titles, spans=tuple(tuple(one["right_interval"]) for one in bins))
    drawing = line_chart("Reliability diagram", x, tenths(axis, 0.0, 2), [perfect, measured])
    caption = "Dashed: perfectly calibrated scores. Below the line scores are too high. Bars: 95 % intervals."
    return {
        "verdict": verdict(values),
        "errors": errors(values),
        "figure": Figure("Reliability", drawing, caption),
        "heads": ["Scores", "Mean score", axis.capitalize(), "95 % interval", of.capitalize()],
        "bins": [
            [
                f"{share(one['low'])} – {share(one['high'])}",
                share(one["score"]),
                share(one["right"]),
                _interval(one["right_interval"]),
                f"{one['count']:,}",
            ]
            for one in bins
        ],
    }


def _robustness(values: Mapping[str, Any]) -> dict[str, Any]:
    name = values["metric"]
    rows = [["none", f"{values['unknown_share']:.1%}", share(values[name]), "", ""]]
    for one in values["rates"]:
        low, high = one["drop_interval"]
        cells = [f"{100 * one['rate']:g}%", f"{one['unknown_share']:.1%}", share(one[name]), f"{one['drop']:+.4f}"]
        rows.append([*cells, f"[{low:+.4f}, {high:+.4f}]"])
    return {"draws": values["draws"], "metric": _words(name).capitalize(), "rows": rows}


def _mistakes(task: str, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for one in found:
        *cells, text = mistake_cells(task, one)
        rows.append([*cells, Cell(text, "long")])
    columns = mistake_columns(task)
    words = [head for head, has_numbers in columns.items() if not has_numbers]
    return {"title": TASKS[task].MISTAKES, "heads": list(columns), "rows": rows, "words": words}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _interval(ends: Sequence[float]) -> str:
    return f"[{share(ends[0])}, {share(ends[1])}]"
