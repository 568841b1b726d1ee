"""report.html: the results of a load test as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from ...reports.numbers import at_least, measured
from ...reports.pages import Cell, render
from ..judging import page_tables
from ..judging.verdict import verdict
from ..results import LoadReport, Row
from .charts import figures
from .contrasts import HEADS, contrasts

_MAX = 1e15  # the largest number from evidence that fits the page
_STYLES = {"met": "good", "missed": "bad", "uncertain": "bad", "not": "soft"}  # of a judgement's first word
_Cells = tuple[str | Cell, ...]


def html(report: LoadReport) -> str:
    """Return the whole page."""
    several = len(report.archives) > 1
    return render(
        "loadtest.html",
        title=f"Load test of {', '.join(report.archives)}",
        in_short=_in_short(report),
        report=report,
        misses=report.misses(),
        several=several,
        closed=all(row.arrivals == "closed" for row in report.rows),
        driven_by=", ".join(
            dict.fromkeys(row.driver.capitalize() if row.driver == "locust" else row.driver for row in report.rows)
        ),
        limited=sum(row.client_limit is not None for row in report.rows),
        results=[[row[not several :] for row in rows] for rows in _results(report)],
        notes=dict.fromkeys(f"{missing.workers} was not run: {missing.reason}" for missing in report.not_run),
        figures=figures(report),
        verdict=verdict(report),
        runs=page_tables.runs(report),
        served=page_tables.served(report),
        gpus=page_tables.gpus(report),
        compared=page_tables.compared(report),
        contrasts=contrasts(report),
        contrast_heads=HEADS,
        evidence=_evidence(report.evidence),
        settings=_facts(report.settings),
        about_machine=_facts(report.machine),
        versions=_facts(report.versions),
    )


def _in_short(report: LoadReport) -> str:
    settings, machine = report.settings, report.machine
    words = (
        f"{report.started[:10]} {report.started[11:16]} UTC · {machine['cores']} cores, {machine['processor']} · "
        f"{settings['duration_seconds']:g} s a run"
        f"{f', {repeats} runs of each' if (repeats := settings.get('repeats', 1)) > 1 else ''}"
    )
    share = settings["unknown_share"]
    return f"{words} · {share:.0%} of the tokens replaced by unknown words" if share else words


def _results(report: LoadReport) -> Iterator[list[_Cells]]:
    """Yield the lines of each archive and worker set, then a line for each that was not run."""
    for _, rows in groupby(report.rows, key=lambda row: (row.archive, row.workers)):
        yield [_result(report, row) for row in rows]
    blank = ("",) * (9 + bool(report.objectives))
    for missing in report.not_run:
        yield [(missing.archive, missing.workers, "–", Cell("not run", "soft"), *blank)]


def _result(report: LoadReport, row: Row) -> _Cells:
    failed = Cell(f"{row.failures:,}", "bad") if row.failures else "0"
    judgement = report.judgement(row)
    verdict = Cell(judgement.replace("missed ", "missed: "), f"{_STYLES[judgement.partition(' ')[0]]} wide")
    return (
        row.archive,
        row.workers,
        f"{row.level:,.6g}",
        at_least(row.requests_per_second, row.client_limit),
        *map(measured, (row.p50_ms, row.p90_ms, row.p95_ms, row.p99_ms, row.p99_9_ms, row.max_ms)),
        failed,
        *([verdict] if report.objectives else []),
        f"{row.client_cpu * 100:.0f}",
        f"{row.machine_cpu * 100:.0f}",
    )


def _evidence(evidence: Mapping[str, Mapping[str, Any]]) -> dict[tuple[_Cells, ...], list[str]]:
    """Return the lines of the variants in the archives' EVIDENCE.json, with the archives that carry them.

    Archives of one run have the same evidence, which is shown once.
    """
    served = {str(one.get("variant")) for one in evidence.values()}
    found: dict[tuple[_Cells, ...], list[str]] = {}
    for archive, one in evidence.items():
        if isinstance(one.get("variants"), list):
            found.setdefault(tuple(_variants(one, served)), []).append(archive)
    return found


def _variants(evidence: Mapping[str, Any], served: set[str]) -> Iterator[_Cells]:
    trained = _at(evidence, "trained", "test")
    if isinstance(trained, dict):
        yield ("the trained model", *_figures({"test": trained}))
    for variant in evidence["variants"]:
        if isinstance(variant, dict):
            name = str(variant.get("name", "?"))
            yield (Cell(name, "strong") if name in served else name, *_figures(variant))


def _figures(variant: Mapping[str, Any]) -> list[str]:
    """Return the figures of a variant; a missing value is a dash."""

    def shown(value: object, factor: float = 1, decimals: int = 2) -> str:
        known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX
        return f"{value * factor:,.{decimals}f}" if known else "–"  # type: ignore[operator]

    return [
        shown(_at(variant, "test", "accuracy"), 100),
        shown(_at(variant, "test", "macro_f1"), 100),
        shown(_at(variant, "test", "flips"), decimals=0),
        shown(_at(variant, "size"), 1e-6),
        *(shown(_at(variant, "latency", "1", size, "median_ms"), decimals=3) for size in ("1", "64")),
    ]


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (key.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for key, value in values.items()
    ]
