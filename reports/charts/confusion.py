"""The confusion matrix of a classifier as a map of shaded cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...messages.escaping import visible
from ..pages import render_part

if TYPE_CHECKING:
    from markupsafe import Markup

_SIZE = 26  # px of a cell; twice as much with numbers
_NUMBERED = 12  # most labels of a map whose cells show their numbers
_NAME = 18  # characters of a label
_CHARACTER = 7  # px
_GAP, _EDGE = 8, 16  # px beside the labels
_PALEST, _DEEPEST = 0.04, 0.84  # opacity of a share of 0 and 1
_DARK = 0.65  # the share from which a cell's number is dark in both modes


def confusion_matrix(
    labels: Sequence[str],
    matrix: Sequence[Sequence[int]],
    kept: Sequence[int],
    link: Callable[[str, str], str] | None = None,
) -> Markup:
    """Return an `<svg>` of the texts by true label (rows) and prediction (columns), of the labels at `kept`.

    The deeper a cell's colour, the larger its share of all texts with the true label. `link` returns the address
    that a cell with texts leads to, by its true label and prediction.
    """
    numbered = len(kept) <= _NUMBERED
    size = 2 * _SIZE if numbered else _SIZE
    # Shortened as they are shown, so that the codes of invisible characters count with their length.
    shown = [visible(labels[place]) for place in kept]
    names = [name if len(name) <= _NAME else name[: _NAME - 1] + "…" for name in shown]
    start = _EDGE + _CHARACTER * max(map(len, names))
    cells = []
    for row, truth in enumerate(kept):
        for column, answer in enumerate(kept):
            count = matrix[truth][answer]
            share = count / max(1, sum(matrix[truth]))
            cells.append(
                {
                    "x": start + column * size,
                    "y": start + row * size,
                    "style": "c0" if truth == answer else "c1",
                    "address": link(labels[truth], labels[answer]) if link is not None and count else None,
                    "opacity": f"{_PALEST + (_DEEPEST - _PALEST) * share:.3f}",
                    "title": f"{labels[truth]} answered as {labels[answer]}: {count:,} ({share:.1%})",
                    "number": f"{count:,}",
                    "number_style": "dark" if share >= _DARK else "label",
                }
            )
    return render_part(
        "confusion.svg",
        names=names,
        cells=cells,
        numbered=numbered,
        linked=link is not None,
        size=size,
        start=start,
        gap=_GAP,
        whole=start + size * len(kept) + 4,
    )
