"""The table of an exit's proofs: what each of its programs answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group

from .tables import Line, new_table, titled


def proofs(values: Sequence[Mapping[str, Any]]) -> Group:
    """Return a row for each program, and below why one was not proven."""
    table = new_table("program", "proven", "goldens", "largest Δ", "with")
    for one in values:
        difference = one["largest_difference"]
        table.add_row(
            one["program"],
            "yes" if one["proven"] else "no",
            f"{one['asked']:,}" if one["asked"] else "",
            "" if difference is None else f"{difference:.1e}",
            ", ".join(f"{name} {version}" for name, version in one["versions"].items()),
        )
    lines = [Line(f"{one['program']}: {one['why']}") for one in values if one["why"]]
    return Group(titled("Golden requests, answered by what was written", table), *lines)
