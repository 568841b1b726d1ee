"""Two load tests side by side: which runs belong together, their ratios, and what is refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lexport.__main__ import run
from lexport.errors import InputError, RefusedError
from lexport.loadtest.pages.side_by_side import html
from lexport.loadtest.report import write
from lexport.loadtest.results import LoadReport, Row
from lexport.loadtest.side_by_side import LoadComparison, compare, is_loadtest, notes, table

from ..refusals import refused
from ..reports.reader import read
from .samples import REPORT, ROW
from .test_report import full

FASTER = replace(ROW, archive="films-1.1", requests_per_second=1500.0, p99_ms=15.0)


def written(folder: Path, *rows: Row, **changes: Any) -> Path:
    write(replace(REPORT, rows=rows, **changes), folder, "")
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two versions of a model: three runs of one, and two of them of the other, faster with few users."""
    before = written(tmp_path / "a", ROW, replace(ROW, users=64), replace(ROW, workers="cpu:2"))
    settings = {**REPORT.settings, "duration_seconds": 20.0}
    slower = replace(FASTER, users=64, requests_per_second=800.0, p99_ms=None, failures=2)
    return before, written(tmp_path / "b", FASTER, slower, settings=settings)


def found(pair: tuple[Path, Path]) -> LoadComparison:
    return compare(*pair)


def test_runs_belong_together_by_workers_and_load_also_of_two_versions(pair: tuple[Path, Path]) -> None:
    both = found(pair)
    assert [(one.archives, one.workers, one.load) for one in both.pairs] == [
        (("films-1.0", "films-1.1"), "cpu:1", "16 users"),
        (("films-1.0", "films-1.1"), "cpu:1", "64 users"),
    ]
    assert [one.ratio("requests_per_second") for one in both.pairs] == [1.5, 0.8]
    assert [one.ratio("p99_ms") for one in both.pairs] == [0.75, None]
    assert both.only_before == ("films-1.0 cpu:2 16 users",)
    assert both.only_after == ()
    assert both.differences == (("setting duration seconds", "10.0", "20.0"),)


def test_of_several_archives_each_is_compared_with_itself(tmp_path: Path) -> None:
    rows = (ROW, replace(ROW, archive="films-int8", requests_per_second=2000.0))
    both = compare(written(tmp_path / "a", *rows), written(tmp_path / "b", *reversed(rows)))
    assert [(one.archives, one.ratio("requests_per_second")) for one in both.pairs] == [
        (("films-1.0", "films-1.0"), 1.0),
        (("films-int8", "films-int8"), 1.0),
    ]


def test_servers_at_two_addresses_are_compared(tmp_path: Path) -> None:
    folders = [
        written(tmp_path / name, replace(ROW, workers=host), settings={**REPORT.settings, "host": f"http://{host}"})
        for name, host in (("a", "127.0.0.1:8080"), ("b", "127.0.0.1:9090"))
    ]
    both = compare(folders[0], folders[1])
    assert [one.workers for one in both.pairs] == [""]
    assert ("setting host", "http://127.0.0.1:8080", "http://127.0.0.1:9090") in both.differences


def test_a_lower_bound_has_no_ratio(tmp_path: Path) -> None:
    limited = replace(FASTER, client_limit="Locust took 97% of a core")
    both = compare(written(tmp_path / "a", ROW), written(tmp_path / "b", limited))
    assert both.pairs[0].ratio("requests_per_second") is None
    assert both.pairs[0].after.bounded() == "≥ 1,500"


def test_the_terminal_shows_figures_whole_at_80_columns(pair: tuple[Path, Path]) -> None:
    console = Console(width=80, file=io.StringIO())
    console.print(table(found(pair)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    assert [line.split() for line in shown.splitlines() if "cpu:1" in line] == [
        ["cpu:1", "16", "1,000", "1,500", "1.50×", "20.0", "15.0", "0.75×", "0", "0"],
        ["cpu:1", "64", "1,000", "800", "0.80×", "20.0", "–", "–", "0", "2"],
    ]
    assert notes(found(pair))[2:] == [
        "only in A  films-1.0 cpu:2 16 users",
        "setting duration seconds: 10.0 in A, 20.0 in B",
    ]


def test_the_page_shows_the_same(pair: tuple[Path, Path]) -> None:
    sections = read(html(found(pair)))
    [runs] = sections["Runs with the same workers and load"].tables
    assert runs.rows == [
        ["cpu:1", "16", "1,000", "1,500", "1.50×", "4.00", "4.00", "1.00×", "20.0", "15.0", "0.75×", "0", "0"],
        ["cpu:1", "64", "1,000", "800", "0.80×", "4.00", "4.00", "1.00×", "20.0", "–", "–", "0", "2"],
    ]
    [alone] = sections["Runs of one test alone"].tables
    assert alone.rows == [["A", "films-1.0 cpu:2 16 users"]]
    [differences] = sections["Different in the two tests"].tables
    assert differences.rows == [["setting duration seconds", "10.0", "20.0"]]


def test_the_command_compares_reports(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "both.html"
    assert run(["diff", str(pair[0]), str(pair[1] / "results.json"), "--page", str(page)]) == 0
    assert "1.50×" in capsys.readouterr().out
    assert "1.50×" in page.read_text(encoding="utf-8")
    assert run(["diff", *map(str, pair), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["pairs"][0]["ratios"]["requests_per_second"] == 1.5
    assert found(pair).as_dict() == printed


def test_reports_without_a_run_alike_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = written(tmp_path / "c", replace(ROW, users=5))
    with refused(RefusedError, "LX-LOAD-111", "films-1.0 cpu:1 16 users", "films-1.0 cpu:1 5 users"):
        compare(pair[0], other)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"{", "LX-LOAD-113"), (b"[]", "LX-LOAD-113"), (b'{"rows": [{}]}', "LX-LOAD-113"), (None, "LX-LOAD-112")],
)
def test_other_files_are_refused(pair: tuple[Path, Path], tmp_path: Path, content: bytes | None, code: str) -> None:
    other = tmp_path / "other.json"
    if content is not None:
        other.write_bytes(content)
    with refused(InputError, code, "other.json", "results.json"):
        compare(pair[0], other)


@pytest.mark.parametrize("rate", ["1e999", '"inf"', "true"])
def test_a_figure_that_is_no_number_is_refused(pair: tuple[Path, Path], rate: str) -> None:
    path = pair[1] / "results.json"
    path.write_text(path.read_text().replace('"requests_per_second": 1500.0', f'"requests_per_second": {rate}'))
    with refused(InputError, "LX-LOAD-113"):
        compare(*pair)


def test_options_that_do_not_go_together_are_refused(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [str(path) for path in pair]
    mar = tmp_path / "a.mar"
    mar.touch()
    for words, code in (
        ([*both, "--max-flips", "0"], "LX-LOAD-114"),
        ([str(mar), str(mar), "--page", "a.html"], "LX-LOAD-115"),
        ([*both, "--page", "a.txt"], "LX-REPORT-001"),
        ([both[0], str(mar)], "LX-LOAD-113"),
    ):
        assert run(["diff", *words]) == 2
        assert code in capsys.readouterr().err


def test_a_recording_is_no_load_test(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    recording = tmp_path / "answers.json"
    recording.write_text('{"recording": 1}\n{"text": "a"}\n')
    assert not is_loadtest(recording)
    assert not is_loadtest(tmp_path)
    assert is_loadtest(pair[0])


def test_a_whole_report_compares_with_itself(tmp_path: Path) -> None:
    report: LoadReport = full()
    write(report, tmp_path / "a", "")
    both = compare(tmp_path / "a", tmp_path / "a")
    assert len(both.pairs) == len(report.rows)
    assert {one.ratio("p50_ms") for one in both.pairs} == {1.0, None}
    assert both.differences == ()
