from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lexport.errors import InputError
from lexport.loadtest.objectives import judge, parse
from lexport.loadtest.pages.report import html
from lexport.loadtest.report import COLUMNS, FILES, check_out, csv_text, table, write
from lexport.loadtest.results import LoadReport, NotRun
from lexport.reports.charts.axes import linear, logarithmic
from lexport.reports.numbers import number

from ..refusals import refused
from .samples import REPORT, ROW

ROWS = (
    ROW,
    replace(ROW, users=64, p99_ms=88.5, failures=2, reasons={"HTTP 503": 2}),
    replace(ROW, workers="cpu:2", users=16),
    replace(ROW, workers="cpu:2", users=64, answered=0, failures=9, p50_ms=None, p99_ms=None, curve=()),
)
EVIDENCE = {
    "films-1.0": {
        "variant": "onnx-int8",
        "trained": {"test": {"accuracy": 0.8}},
        "variants": [{"name": "onnx-int8", "test": {"accuracy": 0.795, "flips": 3}, "size": 2_000_000}, "odd"],
    }
}


def full() -> LoadReport:
    objectives = parse(["p99=50ms"])
    return replace(
        REPORT,
        rows=ROWS,
        not_run=(NotRun("films-1.0", "gpu:1", "no CUDA device"),),
        objectives=tuple(map(str, objectives)),
        verdicts=judge(objectives, ROWS),
        warnings=("The client was the bottleneck.",),
        evidence=EVIDENCE,
    )


class Page(HTMLParser):
    """What a page loads, and whether its tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_loads_nothing() -> None:
    text = html(full())
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    assert not {"script", "link", "iframe", "img", "object", "base"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "://" not in text
    assert "default-src 'none'" in text


def test_figures_are_valid_xml_with_titles_and_labelled_axes() -> None:
    drawings = [ET.fromstring(drawing) for drawing in re.findall(r"<svg width.*?</svg>", html(full()), re.DOTALL)]
    assert [drawing.findtext("title") for drawing in drawings] == [
        "Requests per second",
        "Latency, p50 and p99",
        "p99 against throughput",
        "Latency by percentile, 16 users",
        "Latency by percentile, 64 users",
        *("Requests per second", "Latency, p50 and p99", "Requests per second by workers"),
    ]
    units = {"requests/s", "ms"}
    for drawing in drawings:
        labels = [text.text for text in drawing.iter("text") if text.get("class") == "label"]
        if any(part.get("class") == "bar" for part in drawing.iter("rect")):
            assert labels == [next(iter(units & set(labels)))]
        else:
            assert labels[0] in {"users at once", "percentile of requests", "workers", "requests/s"}
            assert labels[1] in units
        _, _, width, height = map(float, drawing.attrib["viewBox"].split())
        for text in drawing.iter("text"):
            assert 0 <= float(text.get("x", "0")) <= width
            assert 0 <= float(text.get("y", "0")) <= height
    assert "SLO p99 <= 50 ms" in [text.text for text in drawings[1].iter("text")]


def test_page_says_what_happened() -> None:
    text = html(full())
    assert "SLO missed</strong> in 4 of 8 checks" in text
    assert "cpu:1 at 64 users: p99 &lt;= 50 ms, was 88.5 ms" in text
    assert "gpu:1 was not run: no CUDA device" in text
    assert "The client was the bottleneck." in text
    assert "share this machine" in text
    assert '<td class="words strong">onnx-int8</td>' in text
    assert "SLO met" in html(replace(full(), verdicts=judge(parse(["p99=50ms"]), [ROW])))
    assert "No SLO was set" in html(REPORT)
    nothing = replace(full(), rows=(), verdicts=())
    assert "nothing was run" in html(nothing)
    assert "<svg" not in html(nothing)


def test_values_are_escaped() -> None:
    bad = "<script>alert(1)</script>"
    row = replace(ROW, archive=bad, failures=1, reasons={bad: 1})
    evidence = {bad: {"variants": [{"name": bad, "size": bad}]}}
    report = replace(REPORT, rows=(row,), warnings=(bad,), settings={**REPORT.settings, bad: bad}, evidence=evidence)
    assert bad not in html(report)
    Page(html(report))


@pytest.mark.parametrize("evidence", [{}, {"variants": 3}, {"variants": [None, {"test": []}]}, {"trained": 1}])
def test_any_evidence_is_shown_or_left_out(evidence: dict[str, object]) -> None:
    Page(html(replace(REPORT, evidence={"films-1.0": evidence})))


def test_csv_has_a_line_for_each_run_and_each_set_not_run() -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(full()))))
    assert tuple(lines[0]) == COLUMNS
    assert [(line["workers"], line["users"]) for line in lines] == [
        *(("cpu:1", "16"), ("cpu:1", "64"), ("cpu:2", "16"), ("cpu:2", "64")),
        ("gpu:1", ""),
    ]
    first, second, _, silent, missing = lines
    assert (first["requests_per_second"], first["p95_ms"], first["slo"]) == ("1000", "11.25", "met")
    assert (second["failures"], second["slo"]) == ("2", "missed p99, failures")
    assert (silent["p99_ms"], silent["failure_percent"]) == ("", "100")
    assert missing["status"] == "not run: no CUDA device"
    assert missing["p99_ms"] == ""


def test_table_fits_a_narrow_terminal() -> None:
    console = Console(width=80, file=io.StringIO())
    console.print(table(full()))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "not run" in shown
    assert "88.5" in shown
    assert "…" not in shown


def test_files_are_written_together_and_only_over_an_older_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        check_out(out)
        write(full(), out, "#[Histogram log format version 1.3]\n")
        assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["out", *FILES])
    found = json.loads((out / "results.json").read_text())
    assert found["passed"] is False
    assert found["rows"][0]["curve"][1] == [50, 4.0]
    (out / "notes.txt").touch()
    with refused(InputError, "LX-LOAD-020", "notes.txt"):
        check_out(out)
    with refused(InputError, "LX-FILE-002", "is not a folder"):
        check_out(out / "notes.txt")


@given(st.floats(1e-3, 1e7), st.floats(1e-3, 1e7))
def test_axes_hold_their_values(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for axis in (linear("", high), logarithmic("ms", low, high)):
        assert 0 <= axis.place(high) <= 1
        assert 2 <= len(axis.ticks) <= 32
    assert 0 <= logarithmic("ms", low, high).place(low) <= 1


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.00123, "0.00123"), (1.5, "1.5"), (12.34, "12.3"), (4321.9, "4,322"), (20, "20")]
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert number(value) == text
