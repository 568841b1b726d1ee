"""What a load test leaves for CI systems: JUnit's XML, and a summary in Markdown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from lexport.loadtest.judging.baseline import compare, read_baseline
from lexport.loadtest.judging.junit import junit
from lexport.loadtest.judging.summary import VARIABLE, append_summary, markdown
from lexport.loadtest.objectives import judge, parse
from lexport.loadtest.results import LoadReport, NotRun
from lexport.storage.atomic import json_bytes

from ..samples import REPORT, ROW, repeated
from .test_baseline import BASE, MACHINE, RATES, SETTINGS, TESTED, TIMES

LIMITED = replace(ROW, users=64, client_limit="Locust took 97% of a core")
DISTURBED = replace(ROW, users=128, other_work="the machine was 100% busy", archive="films-1.0")
MISSED = replace(ROW, users=32, p99_ms=80.0)


def judged(*rows: object, missing: tuple[NotRun, ...] = ()) -> LoadReport:
    objectives = parse(["p99=50ms"])
    report = replace(REPORT, objectives=tuple(map(str, objectives)), not_run=missing)
    return replace(report, rows=rows, verdicts=judge(objectives, rows))  # type: ignore[arg-type]


def cases(report: LoadReport) -> dict[str, list[str]]:
    """The kinds of the elements of each test case, by its name."""
    suite = ET.fromstring(junit(report))[0]
    return {case.attrib["name"]: [part.tag for part in case if part.tag != "system-out"] for case in suite}


def test_each_cell_and_objective_is_a_test_case() -> None:
    report = judged(ROW, MISSED, missing=(NotRun("films-1.0", "gpu:1", "no CUDA device"),))
    assert cases(report) == {
        "16 users: p99 <= 50 ms": [],
        "16 users: failures <= 0%": [],
        "32 users: p99 <= 50 ms": ["failure"],
        "32 users: failures <= 0%": [],
        "was run": ["skipped"],
    }
    root = ET.fromstring(junit(report))
    assert root.attrib | root[0].attrib == {
        "name": "lexport loadtest",
        "tests": "5",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "20.000",
        "timestamp": "2026-01-02T03:04:05",
    }
    case = root[0][2]
    assert (case.attrib["classname"], case.attrib["time"]) == ("films-1.0.cpu:1", "10.000")
    assert case[0].attrib["message"] == "p99 <= 50 ms was missed: 80 ms"
    assert case[1].text == "80 ms"


def test_what_was_not_judged_is_skipped_unless_it_fails_the_test() -> None:
    assert cases(judged(ROW, LIMITED))["64 users: p99 <= 50 ms"] == ["skipped"]
    assert cases(judged(LIMITED))["64 users: p99 <= 50 ms"] == ["failure"]
    assert cases(judged(ROW, DISTURBED))["128 users: p99 <= 50 ms"] == ["failure"]
    for report in (judged(ROW, LIMITED), judged(LIMITED), judged(ROW, DISTURBED), judged(ROW), judged(MISSED)):
        assert report.passed == (["failure"] not in cases(report).values())


def test_figures_that_were_compared_are_test_cases_too(tmp_path: Path) -> None:
    earlier = tmp_path / "results.json"
    earlier.write_bytes(
        json_bytes(replace(REPORT, rows=(BASE,), settings=SETTINGS, machine=MACHINE, tested=TESTED).as_dict())
    )
    slower = repeated(ROW, [0.8 * rate for rate in RATES], TIMES)
    found = compare(read_baseline(earlier), [slower], TESTED, MACHINE)
    report = replace(REPORT, rows=(slower,), comparison=found)
    assert cases(report) == {
        "16 users: requests/s is not worse than before": ["failure"],
        "16 users: p50 is not worse than before": [],
        "16 users: p99 is not worse than before": [],
        "16 users: failures is not worse than before": [],
    }
    lines = markdown(report).splitlines()
    assert any(line.startswith("Compared with the test of 2026-01-02") for line in lines)
    assert any(line.endswith("| -20.0% | worse |") for line in lines)


def test_a_cell_without_objectives_is_one_test_case() -> None:
    assert cases(REPORT) == {"16 users: was answered": []}
    assert cases(replace(REPORT, rows=(replace(ROW, answered=0),))) == {"16 users: was answered": ["failure"]}


def test_names_from_outside_stay_valid_xml() -> None:
    bad = replace(ROW, archive='a<b>&"\x00\x1b[31m')
    suite = ET.fromstring(junit(replace(REPORT, rows=(bad,))))[0]
    assert "<b>" in suite[0].attrib["classname"]


def test_the_summary_has_the_verdict_the_table_and_what_to_know() -> None:
    report = replace(judged(ROW, MISSED), warnings=("Each figure is of a single run.",))
    lines = markdown(report).splitlines()
    assert lines[0] == "## Load test of films-1.0"
    assert lines[2].startswith("SLO missed in 1 of 4 checks: cpu:1 at 32 users: p99 ")
    assert lines[4] == "| workers | load | runs | requests/s | p50 ms | p99 ms | failed | SLO |"
    assert lines[6] == "| cpu:1 | 16 users | 1 | 1,000 | 4.00 | 20.0 | 0 | met |"
    assert lines[7] == "| cpu:1 | 32 users | 1 | 1,000 | 4.00 | 80.0 | 0 | missed p99 |"
    assert lines[-1] == "- Each figure is of a single run."
    assert all(line.count("|") in (0, 9) for line in lines)


def test_names_from_outside_do_not_become_markup() -> None:
    bad = "a|b<script>[x](http://y)`*_"
    text = markdown(replace(REPORT, rows=(replace(ROW, archive=bad), ROW), warnings=(bad,)))
    assert "<script>" not in text
    assert "[x](" not in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_the_summary_is_appended_to_that_of_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# Before\n")
    append_summary(REPORT)
    assert path.read_text() == "# Before\n"
    monkeypatch.setenv(VARIABLE, str(path))
    append_summary(REPORT)
    assert path.read_text() == f"# Before\n{markdown(REPORT)}"
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    append_summary(REPORT)  # it cannot be written, and the figures are not lost for that
