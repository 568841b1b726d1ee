"""Tables of the commands `vectors similar`, `analogy`, `evaluate` and `search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from ..tables import Table, new_table, shown

_TITLES = {
    "wordsim353": "WordSim-353, Spearman",
    "simlex999": "SimLex-999, Spearman",
    "analogies": "analogies, right",
}
_LONGEST = 80  # characters of a text


def words(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of words with their similarity."""
    table = new_table("word", "cosine")
    for one in found:
        table.add_row(one["word"], f"{one['similarity']:.3f}")
    return table


def matches(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of texts with their row and similarity."""
    table = new_table("text", "row", "cosine")
    for one in found:
        text = " ".join(one["text"].split())
        text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
        table.add_row(text, f"{one['row']:,}", f"{one['similarity']:.3f}")
    return table


def evaluation(found: Mapping[str, Any]) -> RenderableType:
    """Return what `VectorEvaluation` says: a row a set, a column a precision."""
    precisions = list(dict.fromkeys([found["precision"], *(one["precision"] for one in found["sets"])]))
    precisions += [one["precision"] for one in found["kept"] if one["precision"] not in precisions]
    table = new_table("", "words known", *precisions)
    for name in dict.fromkeys(one["name"] for one in found["sets"]):
        own = {one["precision"]: one for one in found["sets"] if one["name"] == name}
        first = next(iter(own.values()))
        cells = [_value(own.get(precision), name) for precision in precisions]
        table.add_row(_TITLES[name], f"{first['judged']:,} of {first['asked']:,}", *cells)
    if found["kept"]:
        kept = {one["precision"]: f"{one['kept']:.2f}" for one in found["kept"]}
        asked = found["kept"][0]
        cells = [kept.get(precision, "10") for precision in precisions]
        table.add_row("of 10 neighbours the same", f"{asked['words']:,} of {asked['among']:,}", *cells)
    about = f"{found['name']}: {found['words']:,} words, {found['dim']} dimensions, {found['precision']}"
    return Group(shown(about), table)


def _value(one: Mapping[str, Any] | None, name: str) -> str:
    if one is None or one["value"] is None:
        return "–"
    value: float = one["value"]
    return f"{value:.1%}" if name == "analogies" else f"{value:.3f}"
