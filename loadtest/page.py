"""report.html: the results of a load test as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..reports.html import escaped, page, table
from ..reports.svg import measured
from .charts import figures
from .results import LoadReport, Row

_MAX = 1e15  # the largest number from evidence that fits the page


def html(report: LoadReport) -> str:
    """Return the whole page. Every value is escaped."""
    return page(
        f"Load test of {', '.join(report.archives)}",
        _in_short(report),
        [
            _verdict(report),
            *(f'<div class="banner note"><p>{escaped(warning)}</p></div>' for warning in report.warnings),
            "<h2>Results</h2>",
            _results(report),
            *figures(report),
            _evidence(report.evidence),
            _reading(),
            _environment(report),
        ],
    )


def _in_short(report: LoadReport) -> str:
    settings, machine = report.settings, report.machine
    return (
        f"{report.started[:10]} {report.started[11:16]} UTC · {machine['cores']} cores, "
        f"{machine['processor']} · {settings['duration_seconds']:g} s a run · "
        f"{settings['unknown_share']:.0%} of the tokens replaced by unknown words"
    )


def _verdict(report: LoadReport) -> str:
    if not report.objectives:
        return '<div class="banner plain"><p>No SLO was set; nothing was judged.</p></div>'
    asked = escaped(", ".join(report.objectives))
    if report.passed:
        return (
            f'<div class="banner good"><p><strong>SLO met</strong> in all {len(report.rows)} runs: {asked}.</p></div>'
        )
    if not report.rows:
        return f'<div class="banner bad"><p><strong>SLO not shown</strong>: nothing was run. SLO: {asked}.</p></div>'
    misses = report.misses()
    items = "".join(f"<li>{escaped(miss)}</li>" for miss in misses)
    head = f"<p><strong>SLO missed</strong> in {len(misses)} of {len(report.verdicts)} checks:</p>"
    return f'<div class="banner bad">{head}<ul>{items}</ul></div>'


def _results(report: LoadReport) -> str:
    several = len(report.archives) > 1
    heads = [*(["Archive"] if several else []), "Workers", "Users", "Requests/s", "p50, ms", "p95, ms", "p99, ms"]
    heads += ["max, ms", "Failed", "Client CPU,<br>% of a core", "Machine CPU,<br>% of all cores"]
    heads += ["SLO"] if report.objectives else []
    lines: list[tuple[Sequence[str], bool]] = []
    before: tuple[str, str] | None = None
    for row in report.rows:
        lines.append((_result(report, row)[not several :], bool(before) and before != (row.archive, row.workers)))
        before = (row.archive, row.workers)
    for missing in report.not_run:
        cells = [escaped(missing.archive), escaped(missing.workers), "–", '<span class="soft">not run</span>']
        lines.append((cells[not several :] + [""] * (len(heads) - len(cells) + (not several)), True))
    notes = dict.fromkeys(f"{missing.workers} was not run: {missing.reason}" for missing in report.not_run)
    return table(heads, lines, 1 + several) + "".join(f'<p class="note soft">{escaped(note)}</p>' for note in notes)


def _result(report: LoadReport, row: Row) -> list[str]:
    failed = f'<span class="bad">{row.failures:,}</span>' if row.failures else "0"
    cells = [escaped(row.archive), escaped(row.workers), f"{row.users:,}", measured(row.requests_per_second)]
    cells += [measured(value) for value in (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)]
    cells += [failed, f"{row.client_cpu * 100:.0f}", f"{row.machine_cpu * 100:.0f}"]
    if report.objectives:
        missed = ", ".join(report.misses(row))
        cells.append(
            f'<span class="bad">missed: {escaped(missed)}</span>' if missed else '<span class="good">met</span>'
        )
    return cells


def _evidence(evidence: Mapping[str, Mapping[str, Any]]) -> str:
    """Return tables of the variants in the archives' EVIDENCE.json; a missing value is a dash.

    Archives of one run have the same evidence, which is shown once.
    """
    tables: dict[str, list[str]] = {}
    for archive, found in evidence.items():
        shown = _variants(found, {str(other.get("variant")) for other in evidence.values()})
        if shown:
            tables.setdefault(shown, []).append(archive)
    return "".join(
        f"<h2>What {escaped(', '.join(archives))} carries as evidence</h2>"
        "<p>Measured when the variants were exported: on the test split, in process, with one thread. Bold: served "
        f"in this load test.</p>{shown}"
        for shown, archives in tables.items()
    )


def _variants(evidence: Mapping[str, Any], served: set[str]) -> str:
    variants = evidence.get("variants")
    if not isinstance(variants, list):
        return ""
    lines: list[tuple[Sequence[str], bool]] = []
    trained = _at(evidence, "trained", "test")
    if isinstance(trained, dict):
        lines.append((["the trained model", *_figures({"test": trained})], False))
    for variant in variants:
        if isinstance(variant, dict):
            name = str(variant.get("name", "?"))
            shown = f"<strong>{escaped(name)}</strong>" if name in served else escaped(name)
            lines.append(([shown, *_figures(variant)], False))
    heads = ("Variant", "Accuracy, %", "Macro-F1, %", "Label flips", "Size, MB", "1 text, ms", "64 texts, ms")
    return table(heads, lines, 1)


def _figures(variant: Mapping[str, Any]) -> list[str]:
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


def _reading() -> str:
    return """<h2>How to read this</h2>
<ul>
<li>The client (Locust, one process) and the server share this machine's cores. Without the client the server would
have more cores. If the client uses nearly 100 % of its one core, the client limits the figures.</li>
<li>Each user sends the next text as soon as the last answer is there (a closed loop): more users mean more load,
never a fixed rate.</li>
<li>Latency is the client's: from sending a request to having read its whole answer. Percentiles are exact, taken
over every answered request of the measured window, including those whose answer came after its end.</li>
<li>Failed means no answer, a status other than 200, or an answer without a label or vector. Failed requests are
counted, and the latencies do not include them.</li>
</ul>"""


def _environment(report: LoadReport) -> str:
    def pairs(values: Mapping[str, Any]) -> str:
        shown = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        items = "".join(f"<dt>{escaped(k.replace('_', ' '))}</dt><dd>{escaped(v)}</dd>" for k, v in shown.items())
        return f"<dl>{items}</dl>"

    return (
        f"<h2>Settings</h2>{pairs(report.settings)}<h2>Machine</h2>{pairs(report.machine)}"
        f"<h2>Versions</h2>{pairs(report.versions)}"
    )
