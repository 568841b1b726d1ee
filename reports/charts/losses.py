"""The curve of a training: the loss on the validation texts, by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from ..pages import Figure
from .axes import around, linear
from .lines import Line, line_chart


def loss_curve(losses: Sequence[float], best: int, *, exact: bool) -> Figure | None:
    """Return the validation loss of each epoch, or, of an `exact` fit, of each strength tried; None without any.

    best: the number of the one that was kept, from 1; 0 where none was better than the start.
    """
    if not losses:
        return None
    what = "strength tried" if exact else "epoch"
    points = tuple((float(number), float(loss)) for number, loss in enumerate(losses, 1))
    titles = tuple(f"{what} {number:.0f}: {loss:.4f}" for number, loss in points)
    drawing = line_chart(
        "Validation loss",
        linear(what, float(len(losses))),
        around("validation loss", losses),
        [Line(0, points, titles)],
    )
    kept = (
        f"Number {best} was kept." if best else "None was better than the weights before training, which were kept."
    )
    return Figure("Validation loss", drawing, kept)
