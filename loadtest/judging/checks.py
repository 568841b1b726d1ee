"""Every check of a load test with its outcome, for CI systems: objectives, the comparison, and what was not run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..results import LoadReport, Row
from .comparison import NOT_JUDGED, SAME, WORSE

PASSED, FAILED, SKIPPED = "passed", "failed", "not judged"


@dataclass(frozen=True)
class Check:
    """One check of one cell."""

    archive: str
    workers: str
    load: str
    """In words."""
    what: str
    """The objective, or the figure that was compared."""
    value: str
    """What was measured; "" where nothing was."""
    outcome: str
    """PASSED, FAILED or SKIPPED."""
    why: str
    """Why it failed or was not judged; else ""."""
    seconds: float
    """How long the cell was measured."""


def checks(report: LoadReport) -> Iterator[Check]:
    """Yield every check of a report: of each cell its objectives, then its figures against the earlier test."""
    for row in report.rows:
        found = [*_objectives(report, row), *_compared(report, row)]
        yield from found or [_measured(row)]
    for missing in report.not_run:
        yield Check(missing.archive, missing.workers, "", "was run", "", SKIPPED, missing.reason, 0.0)


def _measured(row: Row) -> Check:
    """Return the check of a cell without objectives: that it was answered at all."""
    why = "" if row.answered else "every request failed"
    value = f"{row.requests_per_second:,.6g} requests/s"
    return Check(
        row.archive, row.workers, row.load, "was answered", value, FAILED if why else PASSED, why, row.seconds
    )


def _objectives(report: LoadReport, row: Row) -> Iterator[Check]:
    judged = {verdict.objective: verdict for verdict in report.verdicts_of(row)}
    for objective in report.objectives:
        verdict = judged.get(objective)
        if verdict is None:
            why = row.client_limit or row.other_work or "it was not judged"
            # Other work can be ended, so this fails the test; the client's limit only where nothing is judged.
            outcome = FAILED if objective in report.unjudged or row in report.disturbed else SKIPPED
            yield Check(row.archive, row.workers, row.load, objective, "", outcome, f"not judged: {why}", row.seconds)
            continue
        why = ""
        if not verdict.passed:
            why = f"{objective} was missed: {verdict.value}" + (f"; {verdict.doubt}" if verdict.doubt else "")
        elif verdict.doubt:
            why = f"within the noise: {verdict.doubt}"
        outcome = FAILED if why else PASSED
        yield Check(row.archive, row.workers, row.load, objective, verdict.value, outcome, why, row.seconds)


def _compared(report: LoadReport, row: Row) -> Iterator[Check]:
    place = (row.archive, row.workers, row.users, row.arrivals, row.rate)
    for one in report.comparison.changes if report.comparison else ():
        if (one.archive, one.workers, one.users, one.arrivals, one.rate) == place:
            outcome = {WORSE: FAILED, NOT_JUDGED: SKIPPED}.get(one.outcome, PASSED)
            why = one.reason or (str(one) if outcome == FAILED else "")
            what = f"{one.name} is not worse than before"
            value = f"{one.words(one.before)} → {one.words(one.after)}"
            note = "" if one.outcome in (SAME, NOT_JUDGED) else f" ({one.outcome})"
            yield Check(row.archive, row.workers, row.load, what, value + note, outcome, why, row.seconds)
