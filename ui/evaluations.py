"""Runs evaluated on their own test texts: the page, and the texts behind each cell of its confusion matrix."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ..export.evaluate import evaluate
from ..reports import evaluation as evaluation_page
from .library import Item

_KEPT = 8  # evaluations
_MISTAKES = 25  # on the page
MOST_TEXTS = 500
"""Texts of a cell that are listed."""


@dataclass(frozen=True)
class _Evaluated:
    found: Mapping[str, Any]
    texts: list[dict[str, Any]]


class Evaluations:
    """Evaluations, each made when it is first asked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._made: dict[tuple[str, float], _Evaluated] = {}

    def page(self, item: Item) -> str:
        """Return the page of `lexport evaluate`, its confusion matrix with links. Raises InputError."""

        def link(truth: str, answer: str) -> str:
            return f"../texts/{item.key}?{urlencode({'truth': truth, 'answer': answer})}"

        return evaluation_page.html(self._of(item).found, item.name, link=link)

    def texts(self, item: Item, truth: str, answer: str) -> list[dict[str, Any]]:
        """Return the texts with this label that were answered like this, the surest first. Raises InputError."""
        found = [one for one in self._of(item).texts if (one["label"], one["prediction"]) == (truth, answer)]
        return sorted(found, key=lambda one: -one["confidence"])

    def _of(self, item: Item) -> _Evaluated:
        place = (item.key, item.changed)
        if place not in self._made:
            while len(self._made) >= _KEPT:
                del self._made[next(iter(self._made))]
            self._made[place] = _evaluated(item.path)
        return self._made[place]


def _evaluated(folder: Path) -> _Evaluated:
    with tempfile.TemporaryDirectory(prefix="lexport-ui-") as scratch:
        answers = Path(scratch) / "answers.jsonl"
        found = evaluate(folder, mistakes=_MISTAKES, predictions=answers)
        # Vector models and sets of labels have no matrix whose cells could be asked for.
        single = "confusion" in found.to_json()
        with answers.open(encoding="utf-8", newline="\n") as lines:
            texts = [json.loads(line) for line in lines] if single else []
    return _Evaluated(found.to_json(), texts)
