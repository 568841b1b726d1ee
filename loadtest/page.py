"""report.html: one file that fetches nothing and runs nothing, readable in light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .charts import figures
from .plots import measured
from .results import LoadReport, Row

CSS = """
:root{color-scheme:light dark;--page:#fff;--panel:#f6f7f9;--ink:#1b1f24;--soft:#57606a;--rule:#d5d9df;
--good:#116329;--good-bg:#e3f5e7;--bad:#a40e26;--bad-bg:#fdeaec;--note:#7a4b00;--note-bg:#fff4dc;
--c0:#1f6fb2;--c1:#b8500a;--c2:#0a7a5a;--c3:#7a4fb5;--c4:#b3264a}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--panel:#1d2126;--ink:#e8eaed;--soft:#a3abb5;--rule:#3a4048;
--good:#7fd996;--good-bg:#12301a;--bad:#ff9aa6;--bad-bg:#3d151b;--note:#f0c674;--note-bg:#352a10;
--c0:#6cb2f0;--c1:#f59a56;--c2:#4cc9a0;--c3:#b899f0;--c4:#f2789a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}
h2{font-size:18px;margin:40px 0 12px}
h3{font-size:14px;margin:0 0 6px}
p{margin:0 0 10px;max-width:76ch}
.soft{color:var(--soft)}
.banner{border-left:5px solid;border-radius:4px;padding:12px 16px;margin:20px 0}
.banner p:last-child,.banner ul{margin-bottom:0}
.banner ul{margin-top:4px;padding-left:20px}
.good{color:var(--good)}.bad{color:var(--bad)}
.banner.good{background:var(--good-bg)}.banner.bad{background:var(--bad-bg)}
.banner.note{background:var(--note-bg);color:var(--note)}
.banner.plain{background:var(--panel);border-color:var(--rule)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;min-width:min(100%,640px)}
th,td{padding:6px 11px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:600;font-size:13px;vertical-align:bottom}
th.l,td.l{text-align:left}
.note{margin-top:8px}
tr.first td{border-top:2px solid var(--rule)}
figure{margin:0;background:var(--panel);border-radius:8px;padding:16px}
.pair,.many{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
.many{grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr))}
figcaption{font-size:13px;color:var(--soft);margin-top:6px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font-size:12px;font-family:inherit}
svg .label{fill:var(--ink)}
.grid{stroke:var(--rule);stroke-width:1;opacity:.7}
.axis{stroke:var(--soft);stroke-width:1;fill:none}
.limit{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:2 4}
svg .limit-name{fill:var(--bad)}
.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
.mark{fill:currentColor;stroke:var(--panel);stroke-width:1}
.faint .line{stroke-width:1.5;stroke-dasharray:5 4}
.faint .mark{fill:var(--panel);stroke:currentColor;stroke-width:1.5}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}
.d1 .line{stroke-dasharray:9 4}.d2 .line{stroke-dasharray:2 3}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;margin:0 0 12px;padding:0;list-style:none}
.legend li{display:flex;align-items:center;gap:8px}
.swatch{width:34px;height:14px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
li{max-width:76ch}
@media print{main{padding:0;max-width:none}figure{break-inside:avoid}}
"""


def html(report: LoadReport) -> str:
    """The whole page. Every value is escaped; the page's own policy forbids it to load anything."""
    title = f"Load test of {', '.join(report.archives)}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="soft">{escape(_in_short(report))}</p>',
            _verdict(report),
            *(f'<div class="banner note"><p>{escape(warning)}</p></div>' for warning in report.warnings),
            "<h2>Results</h2>",
            _results(report),
            *figures(report),
            _evidence(report.evidence),
            _reading(),
            _surroundings(report),
            "</main>\n</body>\n</html>\n",
        ]
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
    asked = escape(", ".join(report.objectives))
    if report.passed:
        return (
            f'<div class="banner good"><p><strong>SLO met</strong> in all {len(report.rows)} runs: {asked}.</p></div>'
        )
    if not report.rows:
        return (
            f'<div class="banner bad"><p><strong>SLO not shown</strong>: nothing was run. Asked: {asked}.</p></div>'
        )
    misses = report.misses()
    items = "".join(f"<li>{escape(miss)}</li>" for miss in misses)
    head = f"<p><strong>SLO missed</strong> in {len(misses)} of {len(report.verdicts)} checks:</p>"
    return f'<div class="banner bad">{head}<ul>{items}</ul></div>'


def _table(heads: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]], left: int) -> str:
    """A table whose first `left` columns are text; cells are HTML already; a row may begin a group."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=l' if place < left else ''}>{value}</{tag}>" for place, value in enumerate(values)
        )

    body = "\n".join(f"<tr{' class=first' if first else ''}>{cells('td', values)}</tr>" for values, first in rows)
    head = f"<thead><tr>{cells('th', heads)}</tr></thead>"
    return f'<div class="scroll"><table>\n{head}\n<tbody>\n{body}\n</tbody></table></div>'


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
        cells = [escape(missing.archive), escape(missing.workers), "–", '<span class="soft">not run</span>']
        lines.append((cells[not several :] + [""] * (len(heads) - len(cells) + (not several)), True))
    notes = dict.fromkeys(f"{missing.workers} was not run: {missing.reason}" for missing in report.not_run)
    return _table(heads, lines, 1 + several) + "".join(f'<p class="note soft">{escape(note)}</p>' for note in notes)


def _result(report: LoadReport, row: Row) -> list[str]:
    failed = f'<span class="bad">{row.failures:,}</span>' if row.failures else "0"
    cells = [escape(row.archive), escape(row.workers), f"{row.users:,}", measured(row.requests_per_second)]
    cells += [measured(value) for value in (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)]
    cells += [failed, f"{row.client_cpu * 100:.0f}", f"{row.machine_cpu * 100:.0f}"]
    if report.objectives:
        missed = ", ".join(report.misses(row))
        cells.append(f'<span class="bad">missed: {missed}</span>' if missed else '<span class="good">met</span>')
    return cells


def _evidence(evidence: Mapping[str, Mapping[str, Any]]) -> str:
    """What the archives' EVIDENCE.json tell of their run's variants; what they do not tell is a dash.

    Archives of one run carry the same evidence, which is shown once.
    """
    tables: dict[str, list[str]] = {}
    for archive, found in evidence.items():
        shown = _variants(found, {str(other.get("variant")) for other in evidence.values()})
        if shown:
            tables.setdefault(shown, []).append(archive)
    return "".join(
        f"<h2>What {escape(', '.join(archives))} carries as evidence</h2>"
        "<p>Measured when the variants were exported: on the test split, in-process, with one thread. Bold: served "
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
            shown = f"<strong>{escape(name)}</strong>" if name in served else escape(name)
            lines.append(([shown, *_figures(variant)], False))
    heads = ("Variant", "Accuracy, %", "Macro-F1, %", "Label flips", "Size, MB", "1 text, ms", "32 texts, ms")
    return _table(heads, lines, 1)


def _figures(variant: Mapping[str, Any]) -> list[str]:
    def shown(value: object, factor: float = 1, decimals: int = 2) -> str:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return f"{value * factor:,.{decimals}f}" if known else "–"  # type: ignore[operator]

    return [
        shown(_at(variant, "test", "accuracy"), 100),
        shown(_at(variant, "test", "macro_f1"), 100),
        shown(_at(variant, "test", "flips"), decimals=0),
        shown(_at(variant, "size"), 1e-6),
        *(shown(_at(variant, "latency", size, "median_ms"), decimals=3) for size in ("1", "32")),
    ]


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _reading() -> str:
    return """<h2>How to read this</h2>
<ul>
<li>The client (Locust, one process) and the server share this machine's cores. The server alone would have more,
and a client at nearly 100 % of its one core is what limits the figures.</li>
<li>Each user sends the next text as soon as the last answer is there (a closed loop): more users mean more load,
never a fixed rate.</li>
<li>Latency is the client's: from sending a request to having read its whole answer. Percentiles are exact, taken
over every answered request of the measured window, including those whose answer came after its end.</li>
<li>Failed means no answer, another status than 200, or an answer without a label or vector. Failed requests are
counted, and have no part in the latencies.</li>
</ul>"""


def _surroundings(report: LoadReport) -> str:
    def pairs(values: Mapping[str, Any]) -> str:
        shown = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        items = "".join(f"<dt>{escape(k.replace('_', ' '))}</dt><dd>{escape(v)}</dd>" for k, v in shown.items())
        return f"<dl>{items}</dl>"

    return (
        f"<h2>Settings</h2>{pairs(report.settings)}<h2>Machine</h2>{pairs(report.machine)}"
        f"<h2>Versions</h2>{pairs(report.versions)}"
    )
