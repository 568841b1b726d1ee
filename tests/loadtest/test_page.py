"""The tables and sentences of the load test's report, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lexport.loadtest.objectives import judge, parse
from lexport.loadtest.pages.report import html
from lexport.loadtest.results import LoadReport, NotRun

from ..reports.reader import Section, read
from .samples import REPORT, ROW
from .test_report import full


def sections(report: LoadReport) -> list[Section]:
    return list(read(html(report)).values())


def section(report: LoadReport, heading: str) -> Section:
    return read(html(report))[heading]


def test_the_first_lines_say_what_ran_and_how_it_was_judged() -> None:
    first = sections(full())[0]
    assert first.heading == "Load test of films-1.0"
    assert first.texts == [
        "2026-01-02 03:04 UTC · 2 cores, a processor · 10 s a run · 10% of the tokens replaced by unknown words",
        "SLO missed in 4 of 8 checks:",
        "cpu:1 at 64 users: p99 <= 50 ms, was 88.5 ms",
        "cpu:1 at 64 users: failures <= 0%, was 0.019996%",
        "cpu:2 at 64 users: p99 <= 50 ms, was no answer",
        "cpu:2 at 64 users: failures <= 0%, was 100%",
        "The client was the bottleneck.",
    ]


@pytest.mark.parametrize(
    ("report", "style", "sentence"),
    [
        (REPORT, "plain", "No SLO was set; nothing was judged."),
        (
            replace(
                REPORT, objectives=("p99 <= 50 ms", "failures <= 0%"), verdicts=judge(parse(["p99=50ms"]), [ROW])
            ),
            "good",
            "SLO met in all 1 runs: p99 <= 50 ms, failures <= 0%.",
        ),
        (
            replace(REPORT, objectives=("p99 <= 50 ms",), rows=()),
            "bad",
            "SLO not shown: nothing was run. SLO: p99 <= 50 ms.",
        ),
    ],
)
def test_the_verdict_is_one_sentence(report: LoadReport, style: str, sentence: str) -> None:
    assert sections(report)[0].texts[1:] == [sentence]
    assert f'<div class="banner {style}">' in html(report)


def test_results_are_grouped_by_workers_and_end_with_what_was_not_run() -> None:
    results = section(full(), "Results")
    [table] = results.tables
    assert table.heads == [
        *("Workers", "Users", "Requests/s", "p50, ms", "p90, ms", "p95, ms", "p99, ms", "p99.9, ms", "max, ms"),
        *("Failed", "SLO", "Client CPU, % of a core", "Machine CPU, % of all cores"),
    ]
    times = ["4.00", "8.50", "11.2", "20.0", "30.0", "31.0"]
    late = ["4.00", "8.50", "11.2", "88.5", "30.0", "31.0"]
    unanswered = ["–", "8.50", "11.2", "–", "30.0", "31.0"]
    assert table.rows == [
        ["cpu:1", "16", "1,000", *times, "0", "met", "25", "90"],
        ["cpu:1", "64", "1,000", *late, "2", "missed: p99, failures", "25", "90"],
        ["cpu:2", "16", "1,000", *times, "0", "met", "25", "90"],
        ["cpu:2", "64", "1,000", *unanswered, "9", "missed: p99, failures", "25", "90"],
        ["gpu:1", "–", "not run", *[""] * 10],
    ]
    assert table.groups == [2, 2, 1]
    assert table.styles == ["words", "", "soft", *[""] * 10]
    assert results.texts == ["gpu:1 was not run: no CUDA device"]
    page = html(full())
    for style, text in (("bad wide", "missed: p99, failures"), ("good wide", "met"), ("bad", "2")):
        head = "Failed" if text == "2" else "SLO"
        assert f'<td class="{style}" data-head="{head}">{text}</td>' in page


def test_several_archives_have_a_column_and_no_slo_has_none() -> None:
    rows = (ROW, replace(ROW, archive="films-1.1", users=1_024, failures=1_500))
    missing = (NotRun("films-1.1", "gpu:1", "no device"), NotRun("films-1.0", "gpu:1", "no device"))
    results = section(replace(REPORT, rows=rows, not_run=missing), "Results")
    [table] = results.tables
    assert (table.heads[0], table.heads[-1]) == ("Archive", "Machine CPU, % of all cores")
    assert [row[:3] for row in table.rows[:2]] == [["films-1.0", "cpu:1", "16"], ["films-1.1", "cpu:1", "1,024"]]
    assert table.rows[1][-3] == "1,500"
    assert table.rows[2:] == [[name, "gpu:1", "–", "not run", *[""] * 9] for name in ("films-1.1", "films-1.0")]
    assert table.groups == [1, 1, 1, 1]
    assert table.styles == ["words", "words", "", "soft", *[""] * 9]
    assert results.texts == ["gpu:1 was not run: no device"]


VARIANTS: dict[str, Any] = {
    "variant": "onnx-int8",
    "trained": {"test": {"accuracy": 0.8, "macro_f1": 0.75}},
    "variants": [
        {
            "name": "onnx-int8",
            "test": {"accuracy": 0.795, "macro_f1": 0.7, "flips": 1_234},
            "size": 2_345_678,
            "latency": {"1": {"1": {"median_ms": 0.1234}, "64": {"median_ms": 1.5}}},
        },
        {"name": "onnx-fp32", "test": {"accuracy": True, "flips": "3"}, "size": 1e15},
        "odd",
        {},
    ],
}


def test_evidence_is_a_table_for_each_that_is_different() -> None:
    evidence = {"a": VARIANTS, "b": VARIANTS, "c": {"variants": [{"name": "onnx-fp32"}]}, "d": {"variants": 3}}
    found = [one for one in sections(replace(REPORT, evidence=evidence)) if "evidence" in one.heading]
    assert [one.heading for one in found] == ["What a, b carries as evidence", "What c carries as evidence"]
    assert found[0].texts == [
        "Measured when the variants were exported: on the test split, in process, with one thread. "
        "Bold: served in this load test."
    ]
    [table] = found[0].tables
    assert table.heads == [
        *("Variant", "Accuracy, %", "Macro-F1, %", "Label flips", "Size, MB", "1 text, ms", "64 texts, ms"),
    ]
    assert table.rows == [
        ["the trained model", "80.00", "75.00", *["–"] * 4],
        ["onnx-int8", "79.50", "70.00", "1,234", "2.35", "0.123", "1.500"],
        ["onnx-fp32", *["–"] * 6],
        ["?", *["–"] * 6],
    ]
    assert '<td class="words strong">onnx-int8</td>' in html(replace(REPORT, evidence=evidence))
    assert '<td class="words">onnx-fp32</td>' in html(replace(REPORT, evidence=evidence))


def test_figures_stand_below_their_legend() -> None:
    throughput, distribution = (
        section(full(), name) for name in ("Throughput and latency by load", "Latency distribution")
    )
    assert throughput.texts == distribution.texts == ["cpu:1", "cpu:2"]
    assert throughput.captions == [
        *("Requests per second", "Answered requests per second; higher is better."),
        *("Latency, p50 and p99", "Filled and solid: p99. Hollow and dashed: p50. Logarithmic; lower is better."),
    ]
    caption = "Each further nine takes the same room; logarithmic; lower is better."
    assert distribution.captions == ["16 users", caption, "64 users", caption]
    page = html(full())
    assert "<title>cpu:1, 16 users: 1,000 requests/s</title>" in page
    assert "<title>cpu:1, 64 users: p99 88.5 ms</title>" in page
    several = replace(REPORT, rows=(ROW, replace(ROW, archive="films-1.1")))
    assert section(several, "Latency distribution").texts == ["films-1.0 cpu:1", "films-1.1 cpu:1"]


def test_the_report_ends_with_settings_machine_and_versions() -> None:
    report = replace(REPORT, settings={**REPORT.settings, "texts": ["a"], "host": "b"})
    found = read(html(report))
    assert list(found)[-4:] == ["How to read this", "Settings", "Machine", "Versions"]
    assert len(found["How to read this"].texts) == 5
    assert found["Settings"].facts == [
        *("duration seconds", "10.0", "unknown share", "0.1", "texts", '["a"]', "host", "b"),
    ]
    assert found["Machine"].facts == ["cores", "2", "processor", "a processor"]
    assert found["Versions"].facts == ["python", "3.11"]
