"""The screens of `lexport drift`: what is compared, predicted labels, collected words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ..evaluation.drift import CHANGED
from .status_tables import NONE, duration
from .tables import Line, new_table

_TITLES = {
    "unknown": "unknown tokens",
    "lengths": "tokens of a text",
    "labels": "predicted labels",
    "confidence": "highest scores",
}
_MOST_LABELS = 10


def drift(values: Mapping[str, Any]) -> Group:
    """Return requests compared with held-out texts, `Drift.to_json`."""
    span = "since the engine's start" if values["seconds"] is None else f"of {duration(values['seconds'])}"
    head = (
        f"{values['model']} {values['version']} ({values['variant']}): {values['texts']:,} texts of requests {span}"
    )
    parts: list[RenderableType] = [Line(f"{head}, {values['reference_texts']:,} held-out texts", "bold")]
    if not values["enough"]:
        parts.append(
            Line(f"not enough texts yet: {values['texts']:,} of {values['least']:,}; nothing is judged", "yellow")
        )
    if values["measures"]:
        parts.append(_measures(values))
    if len(values["labels"]) > 1:
        parts.append(_labels(values["labels"]))
    return Group(*parts)


def _measures(values: Mapping[str, Any]) -> RenderableType:
    table = new_table("", "held-out", "requests", "variation", "PSI", "by chance", "limit", "")
    for one in values["measures"]:
        told = _percent if one["name"] == "unknown" else _mean
        table.add_row(
            _TITLES[one["name"]],
            told(one["reference"]),
            told(one["found"]),
            _distance(one["variation"]),
            _distance(one["index"]),
            _distance(one["by_chance"]),
            _percent(one["limit"]) if one["index"] is None else _distance(one["limit"]),
            _verdict(one, enough=values["enough"]),
        )
    return table


def _verdict(measure: Mapping[str, Any], *, enough: bool) -> Text:
    if not enough:
        return Text(NONE)
    if measure["beyond"]:
        return Text("drifted", "red")
    changed = measure["index"] is not None and measure["index"] > max(CHANGED, measure["by_chance"])
    return Text("changed", "yellow") if changed else Text("as before", "green")


def _labels(labels: Mapping[str, Sequence[float]]) -> RenderableType:
    """Return the labels whose shares have changed most."""
    table = new_table("label", "held-out", "requests")
    changed = sorted(labels.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
    for label, (before, now) in changed[:_MOST_LABELS]:
        table.add_row(label, _percent(before), _percent(now))
    return table


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.1%}"


def _mean(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _distance(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def words(values: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the words that were collected, with their requests."""
    languages = any(one["language"] for one in values)
    table = new_table("word", *(["language"] if languages else []), "requests")
    for one in values:
        table.add_row(one["word"], *([one["language"]] if languages else []), f"{one['requests']:,}")
    return table
