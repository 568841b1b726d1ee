"""Service level objectives: `p99=50ms`, `rps>=100`, `failures=0%`, and the verdict on every row."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError, RefusedError, SystemProblem
from .measuring.figures import Repeat, spread
from .results import LoadReport, Row, Verdict

LATENCIES = ("p50", "p90", "p95", "p99", "p99.9", "max")
UNITS = {"ms": 1.0, "s": 1000.0}  # in ms
EXAMPLES = "expected such as p99=50ms, max<=1s, rps>=100 or failures=0%"
TERM = re.compile(r"\s*([a-z0-9.]+)\s*(<=|>=|=)\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|%|)\s*", re.ASCII)


@dataclass(frozen=True)
class Objective:
    """A limit: the most for latencies (ms) and failures (a share), the least for requests per second."""

    metric: str  # one of LATENCIES, rps or failures
    limit: float

    def __str__(self) -> str:
        """Return the objective as people write it, with its unit."""
        sign = ">=" if self.metric == "rps" else "<="
        return f"{self.metric} {sign} {self.words(self.limit)}"

    def words(self, value: float | None) -> str:
        """Return a value of this metric with its unit."""
        if value is None:
            return "no answer"
        if self.metric == "failures":
            return f"{value * 100:.6g}%"
        return f"{value:.6g} requests/s" if self.metric == "rps" else f"{value:.6g} ms"

    def value(self, row: Row | Repeat) -> float | None:
        """Return what a row, or one of its runs, measured of this metric, in the limit's unit; None of no answer."""
        if self.metric == "rps":
            return row.requests_per_second
        if self.metric == "failures":
            return row.failure_share
        found: float | None = getattr(row, f"{self.metric.replace('.', '_')}_ms")
        return found

    def judge(self, row: Row) -> Verdict:
        """Compare one row with the objective."""
        value = self.value(row)
        met = value is not None and (value >= self.limit if self.metric == "rps" else value <= self.limit)
        shown = self.words(value)
        return Verdict(
            str(self), row.archive, row.workers, row.users, shown, met, row.arrivals, row.rate, self._doubt(row)
        )

    def _doubt(self, row: Row) -> str | None:
        """Return why another test may have the other result: the limit lies in the interval of the runs' median."""
        values = [value for repeat in row.repeats if (value := self.value(repeat)) is not None]
        # Requests fail or do not; what is allowed of them is counted over all runs.
        if self.metric == "failures" or len(values) < max(2, len(row.repeats)):
            return None
        noise = spread(values)
        # The limit itself is met, so it is in doubt only where some of the interval is beyond it.
        beyond = (
            noise.low < self.limit <= noise.high if self.metric == "rps" else noise.low <= self.limit < noise.high
        )
        if not beyond:
            return None
        return f"{len(values)} runs had {self.words(noise.low)} to {self.words(noise.high)}"


def parse(terms: Sequence[str]) -> tuple[Objective, ...]:
    """Return objectives from `--slo` values, each one or several with commas between.

    If any objective is given, `failures=0%` is added unless another share of failures is given: a latency without the
    failed requests would be too good. Raises InputError for a term that is not understood.
    """
    objectives: dict[str, Objective] = {}
    for term in (part for given in terms for part in given.split(",")):
        objective = _parse_one(term)
        if objective.metric in objectives:
            raise InputError(
                f"--slo names {objective.metric} twice ({term.strip()!r}); give it once.", code="LX-LOAD-008"
            )
        objectives[objective.metric] = objective
    if objectives:
        objectives.setdefault("failures", Objective("failures", 0.0))
    return tuple(objectives.values())


def _parse_one(term: str) -> Objective:
    match = TERM.fullmatch(term)
    if not match:
        raise InputError(f"--slo {term.strip()!r} is not an objective; {EXAMPLES}.", code="LX-LOAD-009")
    metric, sign, digits, unit = match.groups()
    limit = float(digits)
    if not math.isfinite(limit):
        raise InputError(f"--slo {term.strip()!r} has no finite limit; {EXAMPLES}.", code="LX-LOAD-010")
    if metric in LATENCIES:
        units, wrong = tuple(UNITS), ">="
        limit *= UNITS.get(unit, 1.0)
    elif metric == "rps":
        units, wrong = ("",), "<="
    elif metric == "failures":
        units, wrong = ("%",), ">="
        limit /= 100
    else:
        names = ", ".join((*LATENCIES, "rps", "failures"))
        raise InputError(
            f"--slo {term.strip()!r} names {metric!r}, which is not measured; expected one of {names}.",
            code="LX-LOAD-011",
        )
    if unit not in units:
        wanted = " or ".join(units) if units != ("",) else "no unit"
        raise InputError(
            f"--slo {term.strip()!r} has the unit {unit!r}; {metric} takes {wanted}; {EXAMPLES}.", code="LX-LOAD-012"
        )
    if sign == wrong:
        side = "lower" if metric == "rps" else "upper"
        raise InputError(
            f"--slo {term.strip()!r}: {metric} takes {'>=' if wrong == '<=' else '<='} (a {side} limit).",
            code="LX-LOAD-013",
        )
    return Objective(metric, limit)


def judge(objectives: Sequence[Objective], rows: Sequence[Row], *, anyway: bool = False) -> tuple[Verdict, ...]:
    """Return the verdict of every objective on every measured row; worker sets that were not run have none.

    Where the client was the limit, or the machine had other work (unless it is judged `anyway`), only the share of
    failures is the server's, and only that is judged.
    """
    return tuple(
        objective.judge(row)
        for row in rows
        for objective in objectives
        if objective.metric == "failures" or (row.client_limit is None and (anyway or row.other_work is None))
    )


def check_slo(report: LoadReport) -> None:
    """Raise an error unless the report has answers, meets its objectives, and is not worse than an earlier test.

    SystemProblem (exit code 3) where nothing was run. RefusedError (1) where no request of a run was answered; an
    objective was missed, naming each with its value; a figure is worse than before; an objective was not judged
    because of other work on the machine, is met by less than the runs differ, or was judged in no run because the
    client was the limit; or no figure could be compared with the earlier test.
    """
    where = f" See {report.out / 'report.html'}." if report.out else ""
    if not report.rows:
        reasons = "; ".join(f"{missing.workers}: {missing.reason}" for missing in report.not_run)
        raise SystemProblem(f"Nothing was run ({reasons}), so nothing was measured.{where}", code="LX-LOAD-014")
    silent = [row for row in report.rows if not row.answered]
    if silent:
        causes = ", ".join(f"{reason} ({count:,})" for reason, count in silent[0].reasons.items())
        raise RefusedError(
            f"Every request failed in {len(silent)} of {len(report.rows)} runs; {silent[0].label}: "
            f"{causes or 'none was sent'}.{where}",
            code="LX-LOAD-015",
        )
    misses = report.misses()
    if misses:
        raise RefusedError(
            f"SLO missed in {len(misses)} of {len(report.verdicts)} checks: {'; '.join(misses)}.{where}",
            code="LX-LOAD-016",
        )
    compared = report.comparison
    if compared and compared.worse:
        raise RefusedError(
            f"Worse than the test of {compared.started} ({compared.source}) in {len(compared.worse)} of "
            f"{compared.judged} figures: {'; '.join(map(str, compared.worse))}. Find what has changed, or allow more "
            f"with --max-regression.{where}",
            code="LX-LOAD-080",
        )
    if disturbed := report.disturbed:
        raise RefusedError(
            f"SLO not judged in {len(disturbed)} of {len(report.rows)} runs: {disturbed[0].label}: "
            f"{disturbed[0].other_work}. End the other work and measure again, or judge all the same with "
            f"--judge-anyway.{where}",
            code="LX-LOAD-081",
        )
    if doubtful := report.doubtful:
        lines = "; ".join(f"{report.in_words(verdict)} ({verdict.doubt})" for verdict in doubtful)
        raise RefusedError(
            f"SLO not shown in {len(doubtful)} of {len(report.verdicts)} checks, because the limit lies within the "
            f"noise of the runs: {lines}. More runs (--repeat) narrow it; else give the server more room.{where}",
            code="LX-LOAD-082",
        )
    if report.unjudged:
        raise RefusedError(
            f"SLO not judged: {', '.join(report.unjudged)}. The client was the limit in all {len(report.rows)} runs: "
            f"{report.rows[0].client_limit}. Use more processes of Locust (--processes) or less load.{where}",
            code="LX-LOAD-060",
        )
    if compared and not compared.judged:
        raise RefusedError(
            f"Nothing was compared with the test of {compared.started} ({compared.source}): {compared.why}. Measure "
            f"both with --repeat 5 on one machine without other work.{where}",
            code="LX-LOAD-083",
        )
