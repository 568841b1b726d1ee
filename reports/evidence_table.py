"""The table of an export's evidence, on the screen and on pages: every variant beside the trained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from ..evaluation.tasks import TASKS
from .pages import Cell
from .tables import Line, megabytes, new_table, share, titled

_COLOURS = {"passed": "green", "slow": "yellow", "refused": "red"}
_STYLES = {"passed": "good", "slow": "soft", "refused": "bad"}


def evidence(values: Mapping[str, Any]) -> Group:
    """Return every exported variant beside the trained model."""
    heads, trained, *rows = _rows(values)
    table = new_table(*heads)
    table.padding = (0, 1, 0, 0)  # closer than other tables, for names such as torchscript-int8-dynamic
    table.add_row(*trained)
    for *cells, verdict in rows:
        table.add_row(*cells, Text(verdict, _COLOURS[verdict]))
    final = values["run"].get("final")
    lines = [] if final is None else [Line(_of_final(final, values["run"]["metric"]))]
    title = "On the test texts; batch Δ: the largest change of a score between a batch of 1 and a batch of 64;"
    note = (
        "cos p1: 99 in 100 text vectors have at least this cosine with the trained model's;\n"
        "batch 1 and 8 in ms from texts to answers, on one thread"
    )
    return Group(titled(title, table, note), *lines, *map(Line, _remarks(values)))


def variants_of(values: Mapping[str, Any], packed: str | None = None) -> dict[str, Any]:
    """Return what variants.html shows of the evidence; `packed` is the variant in an archive."""
    heads, trained, *rows = _rows(values)
    cells: list[list[str | Cell]] = [[*trained]]
    for name, *others, verdict in rows:
        own = Cell(name, "strong") if name == packed else name
        cells.append([own, *others, Cell(verdict, _STYLES[verdict])])
    return {
        "heads": heads,
        "rows": cells,
        "packed": packed,
        "remarks": _remarks(values),
        "machine": ", ".join(str(values["machine"].get(name, "")) for name in ("processor", "system")),
    }


def _remarks(values: Mapping[str, Any]) -> list[str]:
    """Return why variants were refused, or are slow, and why others were left out."""
    remarks = [(one["name"], one["refused"] or one["warning"]) for one in values["variants"]]
    # A name from outside does not begin a line.
    found = [f"variant {name}: {what}." for name, what in remarks if what is not None]
    reasons: dict[str, list[str]] = {}
    for name, reason in values["left_out"].items():
        reasons.setdefault(reason, []).append(name)
    return found + [f"left out {', '.join(names)}: {reason}." for reason, names in reasons.items()]


def _rows(values: Mapping[str, Any]) -> list[list[str]]:
    """Return the heads of the table, the line of the trained model and a line for each variant, its verdict last."""
    metrics = TASKS[values["run"]["task"]].HEADLINES
    heads = ["variant", *metrics.values(), "flips", "largest Δ", "batch Δ", "cos p1", "size", "batch 1", "batch 8"]
    trained = values["trained"]["test"]
    rows = [[*heads, "gate"], ["trained model", *[share(trained[name]) for name in metrics], *[""] * 8]]
    for variant in values["variants"]:
        test = variant["test"]
        rows.append(
            [
                _named(variant),
                *[share(test[name]) for name in metrics],
                f"{test['flips']}/{test['texts']}",
                f"{test['largest_difference']:.1e}",
                f"{variant['batch_sensitivity']['test']['largest_change']:.1e}",
                f"{variant['test']['encoder']['cosine']['p1']:.4f}",
                megabytes(variant["size"]),
                f"{variant['latency']['1']['1']['median_ms']:.3f}",
                f"{variant['latency']['1']['8']['median_ms']:.2f}",
                _verdict(variant),
            ]
        )
    return rows


def _named(variant: Mapping[str, Any]) -> str:
    """Return the name; what was exported before names said that dense layers have 8 bits too gets it said here."""
    plain = f"{variant['engine']}-{variant['precision']}"
    said = variant["name"] not in (plain, f"{plain}-text")
    return str(variant["name"]) if said or variant["dense"] == "fp32" else f"{variant['name']} + dense"


def _of_final(final: Mapping[str, Any], metric: str) -> str:
    return (
        f"The model was fitted on all {final['texts']:,} texts at the end, the test texts too: only differences "
        f"between the rows mean something. Before, on texts it had not seen: {metric.replace('_', ' ')} "
        f"{share(final['before']['test'])} on test, {share(final['before']['validation'])} on validation."
    )


def _verdict(variant: Mapping[str, Any]) -> str:
    if variant["refused"]:
        return "refused"
    return "slow" if variant["warning"] else "passed"
