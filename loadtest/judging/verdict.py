"""The verdict on a load test, in a line."""

from __future__ import annotations

from dataclasses import replace

from ...errors import LexportError
from ..objectives import check_slo
from ..results import LoadReport


def verdict(report: LoadReport) -> str:
    """Return what a load test has shown: why it failed, or which objectives were met in how many runs."""
    try:
        check_slo(replace(report, out=None))  # it would name the page that this may stand on
    except LexportError as error:
        return error.message
    said = []
    if report.objectives:
        judged = sum(bool(report.verdicts_of(row)) and report.judgement(row) == "met" for row in report.rows)
        least = min(row.runs for row in report.rows)
        times = "once each" if least == 1 else f"{least} times each"
        said.append(f"SLO met in {judged} of {len(report.rows)} cells, run {times}: {', '.join(report.objectives)}.")
    else:
        said.append("No SLO was set; nothing was judged.")
    if report.comparison:
        compared = report.comparison
        said.append(
            f"Not worse than the test of {compared.started} ({compared.source}) in {compared.judged} of "
            f"{len(compared.changes)} figures."
        )
    return " ".join(said)
