"""The screen of `lexport canary`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from .status_tables import duration
from .tables import Line, new_table

_STYLES = {"passed": "green", "failed": "red", "undecided": "yellow"}
_MOST_CHANGES = 5


def result(values: Mapping[str, Any]) -> Group:
    """Return how a canary does, or what became of it: share, each criterion of the verdict, changed answers."""
    verdict = values["verdict"]
    state = "running" if verdict["state"] == "undecided" else verdict["state"]
    share = values["measured_share"]
    measured = "none yet" if share is None else f"{share:.2%}"
    copies = " as copies" if values["mirror"] else ""
    parts: list[RenderableType] = [
        Line(f"{values['name']} {values['version']} beside {values['default']}: {state}", _STYLES[verdict["state"]]),
        Line(f"share asked {values['share']:.2%}{copies}, measured {measured}; {duration(values['seconds'])}"),
        _criteria(verdict["criteria"]),
    ]
    changes = list(values["changes"].items())
    parts += [Line(f"{change}: {count:,}") for change, count in changes[:_MOST_CHANGES]]
    if len(changes) > _MOST_CHANGES:
        parts.append(Line(f"and {len(changes) - _MOST_CHANGES} other changes", "dim"))
    return Group(*parts)


def _criteria(criteria: list[Mapping[str, Any]]) -> RenderableType:
    table = new_table()
    for heading in ("", "found", "limit", "answers", "verdict", "test"):
        table.add_column(heading, justify="right" if heading == "answers" else "left")
    for one in criteria:
        answers = f"{one['count']:,} of {one['least']:,}" if one["count"] < one["least"] else f"{one['count']:,}"
        table.add_row(one["name"], one["found"], one["limit"], answers, one["state"], one["test"])
    return table
