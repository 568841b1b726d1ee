"""Pages that take seconds to make: the report of a run or an archive, and the map of its words. Each is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..api.vectors.table import vectors
from ..errors import MissingExtra
from ..export.report import report
from ..reports import overview
from ..reports.vectors import word_map
from .library import Item

_KEPT = 16  # pages
_WORDS = 1_000  # of a map


class Drawn:
    """Pages by kind and item, made when they are first asked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._made: dict[tuple[str, str, float], str] = {}

    def page(self, kind: str, item: Item) -> str:
        """Return the `report` or `map` of an item. Raises LexportError where there can be none."""
        place = (kind, item.key, item.changed)
        if place not in self._made:
            while len(self._made) >= _KEPT:
                del self._made[next(iter(self._made))]
            self._made[place] = _MAKERS[kind](item.path)
        return self._made[place]


def _report(path: Path) -> str:
    return overview.html(report(path))


def _map(path: Path) -> str:
    with vectors(path) as found:
        try:
            made = found.map(top=_WORDS)
        except MissingExtra:  # t-SNE is scikit-learn's
            made = found.map(top=_WORDS, method="pca")
    return word_map.page(made)


_MAKERS: dict[str, Callable[[Path], str]] = {"report": _report, "map": _map}
