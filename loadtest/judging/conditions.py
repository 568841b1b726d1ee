"""What the figures of a load test cannot show: other work on the machine, the client's limit, single runs, noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from .ranks import ALPHA, chance_larger, least_chance

if TYPE_CHECKING:
    from ..results import Row

BUSY = 0.9  # of all cores: a machine that is busier has none free for what came later
OTHERS = 0.1  # of all cores, taken by neither client nor server: more makes a busy machine another machine


def other_work(other_cpu: float | None, machine_cpu: float) -> str | None:
    """Return why the figures of a run may be due to other work, by its shares of all cores; None where not.

    They may where the machine was busy, and work that was neither the client's nor the server's had a part in that.
    """
    if other_cpu is None or machine_cpu <= BUSY or other_cpu <= OTHERS:
        return None
    return f"the machine was {machine_cpu:.0%} busy, {other_cpu:.0%} with other work than client and server"


def warnings(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return what a reader of the figures must know."""
    return (*_driven(rows), *_limited(rows), *_disturbed(rows), *_failed(rows), *_single(rows), *rankings(rows))


def _driven(rows: Sequence[Row]) -> Iterator[str]:
    others = [row for row in rows if row.unchecked]
    if others:
        one = others[0]
        yield f"All figures are those of {one.driver} {one.driver_version}, not of Locust: {one.unchecked}."


def _limited(rows: Sequence[Row]) -> Iterator[str]:
    limited = [row for row in rows if row.client_limit]
    if limited:
        worst = max(limited, key=lambda row: (row.client_cpu / row.processes, row.lag_p99_ms or 0.0))
        yield (
            f"The client, not the server, may have been the limit in {len(limited)} of {len(rows)} runs: "
            f"{worst.client_limit} ({worst.label}). Their requests/s are lower bounds, and no latency or rate of "
            f"theirs is judged. More {worst.parts} (--processes {2 * worst.processes}) show more, where there are "
            f"cores for them{'' if worst.unchecked else '; so may a faster client (--driver wrk)'}."
        )


def _disturbed(rows: Sequence[Row]) -> Iterator[str]:
    disturbed = [row for row in rows if row.other_work]
    if disturbed:
        worst = max(disturbed, key=lambda row: row.other_cpu or 0.0)
        yield (
            f"Other work on this machine may have set the figures in {len(disturbed)} of {len(rows)} runs: "
            f"{worst.other_work} ({worst.label}). End it and measure again."
        )


def _failed(rows: Sequence[Row]) -> Iterator[str]:
    failed = [row for row in rows if row.failures]
    if failed:
        worst = max(failed, key=lambda row: row.failures)
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in worst.reasons.items())
        yield f"Requests failed in {len(failed)} of {len(rows)} runs; {worst.label}: {reasons}."


def _single(rows: Sequence[Row]) -> Iterator[str]:
    if rows and all(row.runs == 1 and not row.unchecked for row in rows):
        yield (
            "Each figure is of a single run: how far another run would differ, and which of two settings is the "
            "faster, is not known. --repeat 5 shows it."
        )


def rankings(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each load under which the order of two settings, one behind the other, is not shown.

    Settings are ranked by requests/s in a closed loop and by p99 in an open one; two of them differ where the runs of
    the better one are better by the Mann–Whitney test. Single runs show no order at all.
    """
    for (_, load), group in groupby(sorted(rows, key=lambda row: (row.level, row.load)), lambda r: (r.level, r.load)):
        comparable = [row for row in group if row.runs > 1 and not row.client_limit and row.answered]
        ranked = sorted(comparable, key=lambda row: _rank_of(row), reverse=True)
        close = [
            f"{_name(better, rows)} and {_name(worse, rows)}"
            for better, worse in pairwise(ranked)
            if not _shown(better, worse)
        ]
        if close:
            runs = min(row.runs for row in ranked)
            enough = least_chance(runs, runs) <= ALPHA
            why = "is within the noise of the runs" if enough else f"is not shown by {runs} runs: --repeat 5 may"
            yield f"At {load} the order of {'; of '.join(close)} {why}."


def _shown(better: Row, worse: Row) -> bool:
    return chance_larger(_values(worse), _values(better)) <= ALPHA


def _values(row: Row) -> list[float]:
    """Return a value of each run, of which more is better."""
    if row.arrivals == "closed":
        return [repeat.requests_per_second for repeat in row.repeats]
    return [-repeat.p99_ms if repeat.p99_ms is not None else float("-inf") for repeat in row.repeats]


def _rank_of(row: Row) -> float:
    return row.requests_per_second if row.arrivals == "closed" else -(row.p99_ms or 0.0)


def _name(row: Row, rows: Sequence[Row]) -> str:
    several = len({one.archive for one in rows}) > 1
    return f"{row.archive} {row.workers}" if several else row.workers
