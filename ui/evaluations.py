"""Runs evaluated on their own test texts: the page, and the texts behind each cell of its confusion matrix."""

from __future__ import annotations

from urllib.parse import urlencode

from ..export.answered import Answered, evaluate_texts
from ..reports import evaluation as evaluation_page
from .library import Item

_KEPT = 8  # evaluations
_MISTAKES = 25  # on the page


class Evaluations:
    """Evaluations, each made when it is first asked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._made: dict[tuple[str, float], Answered] = {}

    def page(self, item: Item) -> str:
        """Return the page of `lexport evaluate`, its confusion matrix with links. Raises InputError."""

        def link(truth: str, answer: str) -> str:
            return f"../texts/{item.key}?{urlencode({'truth': truth, 'answer': answer})}"

        return evaluation_page.html(self.of(item).found, item.name, link=link)

    def of(self, item: Item) -> Answered:
        """Return the evaluation of a run with its texts. Raises InputError."""
        place = (item.key, item.changed)
        if place not in self._made:
            while len(self._made) >= _KEPT:
                del self._made[next(iter(self._made))]
            self._made[place] = evaluate_texts(item.path, mistakes=_MISTAKES)
        return self._made[place]
