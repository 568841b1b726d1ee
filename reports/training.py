"""The course of a training as charts: losses and score by epoch, with the epoch that was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .charts.axes import around, linear
from .charts.lines import Key, Line, keys, line_chart
from .pages import Figure


@dataclass(frozen=True)
class Curves:
    """Charts, and the legend of their lines where there are several."""

    keys: list[Key]
    figures: list[Figure]


def curves(training: Mapping[str, Any], score: str) -> Curves | None:
    """Return the charts of `training` in run.json; None where it has no losses.

    `score` is the name of what `validation_scores` are. The losses of a linear recipe are those of the strengths that
    were tried, and runs of earlier versions have validation losses alone.
    """
    losses, best = training["validation_losses"], training["best_epoch"]
    if not losses:
        return None
    what = "strength tried" if "strength" in training else "epoch"
    x = linear(what, float(len(losses)))
    uprights = [(_KEPT, float(best), f"{what} {best}, kept")] if best else []
    learned, scores = training.get("training_losses") or [], training.get("validation_scores") or []
    lines = [_line(0, what, "validation loss", losses)]
    if learned:
        lines.append(_line(1, what, "training loss", learned))
    kept = f"Number {best} was kept." if best else "None was better than the weights before, which were kept."
    caption = f"Lower is better. {kept}"
    if learned:
        caption += " The training loss is that of texts with words left out, so it may lie above."
    loss = line_chart("Loss", x, around("loss", [*losses, *learned]), lines, uprights=uprights)
    figures = [Figure("Loss", loss, caption)]
    if scores:
        title = score[0].upper() + score[1:]
        chart = line_chart(title, x, around(score, scores), [_line(0, what, score, scores)], uprights=uprights)
        figures.append(Figure(f"{title} on the validation texts", chart, f"Higher is better. {kept}"))
    return Curves(keys(["validation", "training"]) if learned else [], figures)


_KEPT = 2  # the colour of the line at the epoch that was kept


def _line(series: int, what: str, name: str, values: Sequence[float]) -> Line:
    points = tuple((float(number), float(value)) for number, value in enumerate(values, 1))
    return Line(series, points, tuple(f"{what} {number:.0f}: {name} {value:.4f}" for number, value in points))
