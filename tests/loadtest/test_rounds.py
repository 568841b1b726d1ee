"""Whole load tests that are repeated, compared and reported, against a stub in TorchServe's place."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.__main__ import run
from lexport.docs.generate import schemas
from lexport.errors import InputError
from lexport.loadtest import locust_process as client
from lexport.loadtest.driver.recorder import latencies
from lexport.loadtest.judging.summary import VARIABLE
from lexport.loadtest.locust_process import Load, Target
from lexport.loadtest.results import LoadReport
from lexport.loadtest.runner import loadtest

from .. import json_schema
from ..refusals import refused
from .conftest import GOOD, Stub
from .measuring.test_hdr import read

Test = Callable[..., LoadReport]


@pytest.fixture
def short(stubbed: Stub, mar: Path) -> Test:
    """A load test of two worker sets with one and two users, of half a second a run."""

    def ask(**options: Any) -> LoadReport:
        given = {"worker_sets": ["cpu:1", "cpu:2"], "users": [1, 2], "duration": 0.5, "warmup": 0.0, **options}
        return loadtest([mar], **given)

    return ask


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, dict[str, Any]]]:
    """The users and measurements of every run of Locust, in the order in which they were made."""
    made: list[tuple[int, dict[str, Any]]] = []
    run_locust = client.run

    def kept(target: Target, load: Load, folder: Path) -> dict[str, Any]:
        found = run_locust(target, load, folder)
        made.append((load.users, found))
        return found

    monkeypatch.setattr(client, "run", kept)
    return made


@pytest.mark.long
def test_rounds_go_through_all_servers_and_loads_in_an_order_of_their_own(
    short: Test, order: list[tuple[int, dict[str, Any]]], tmp_path: Path
) -> None:
    said: list[str] = []
    report = short(repeat=3, seed=3, say=said.append, out=tmp_path / "out")
    assert [(row.workers, row.users) for row in report.rows] == [
        *(("cpu:1", 1), ("cpu:1", 2), ("cpu:2", 1), ("cpu:2", 2)),
    ]
    assert [line for line in said if line.startswith("round ")] == [f"round {number} of 3" for number in (1, 2, 3)]
    made = sorted((repeat.began, row.workers, row.users) for row in report.rows for repeat in row.repeats)
    rounds = [[cell[1:] for cell in made[first : first + 4]] for first in (0, 4, 8)]
    assert all(sorted(cells) == [("cpu:1", 1), ("cpu:1", 2), ("cpu:2", 1), ("cpu:2", 2)] for cells in rounds)
    assert len({tuple(cells) for cells in rounds}) > 1
    # A server is used for all of its loads before the next is started.
    assert all(cells[0][0] == cells[1][0] != cells[2][0] == cells[3][0] for cells in rounds)
    for row in report.rows:
        own = [found for _, found in order if found["began"] in {repeat.began for repeat in row.repeats}]
        exact = latencies(sorted(time for found in own for time in found["times"]))
        assert (row.p50_ms, row.p99_9_ms, row.max_ms) == (exact["p50_ms"], exact["p99_9_ms"], exact["max_ms"])
        assert row.answered == sum(repeat.answered for repeat in row.repeats)
        assert [repeat.round for repeat in row.repeats] == [1, 2, 3]
        noise = row.spread["requests_per_second"]
        assert noise.low <= noise.median == row.requests_per_second <= noise.high

    content = json.loads((tmp_path / "out" / "results.json").read_text())
    schema = json.loads((schemas.FOLDER / "loadtest.schema.json").read_text(encoding="utf-8"))
    assert json_schema.problems(schema, content) == []
    [first, *_] = csv.DictReader(io.StringIO((tmp_path / "out" / "results.csv").read_text()))
    assert first["runs"] == "3"
    assert float(first["p50_ms_low"]) <= float(first["p50_ms"]) <= float(first["p50_ms_high"])
    # A server's own counters are not known of the stub, nor is what else the machine did.
    assert (first["server_queue_ms"], first["other_cpu_percent"]) == ("", "")
    intervals = read(tmp_path / "out" / "latency.hlog")
    counts: dict[str, int] = {}
    for one in intervals:
        counts[one.get_tag()] = counts.get(one.get_tag(), 0) + one.get_total_count()
    assert counts == {f"{row.label.replace(' ', '_')}": row.answered for row in report.rows}


def test_the_settings_say_how_to_run_it_again(short: Test, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a good film\n")
    before = tmp_path / "before"
    short(users=[1], worker_sets=["cpu:1"], texts=texts, out=before)
    report = short(
        users=[1],
        worker_sets=["cpu:1"],
        texts=texts,
        repeat=2,
        slo=["p99=1s"],
        baseline=before / "results.json",
        max_regression=0.125,
        judge_anyway=True,
        processes=1,
    )
    command = report.settings["command"]
    for words in (
        *("--workers cpu:1", "--users 1", "--duration 0.5s", "--repeat 2", "--texts texts.txt", "--processes 1"),
        *(f"--baseline {before}/results.json", "--max-regression 12.5%", "--judge-anyway", "--slo p99=1s"),
    ):
        assert words in command
    assert len(report.settings["texts_sha256"]) == 64


@pytest.mark.long
def test_a_regression_fails_the_command_and_is_in_every_report(
    stubbed: Stub, mar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Five runs on each side, of a server that answers every request and of one that refuses every second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "summary.md")
    monkeypatch.setitem(loadtest.__kwdefaults__ or {}, "warmup", 0.0)
    words = ["loadtest", str(mar), "--workers", "cpu:1", "--users", "2", "--duration", "0.5s", "--repeat", "5"]
    assert run([*words, "--out", "before", "--trust-code"]) == 0
    assert "single run" not in capfd.readouterr().err
    stubbed.answer = lambda number, body: GOOD if number % 2 else (503, b"{}")
    later = ["--baseline", "before/results.json", "--junit", "junit.xml", "--out", "after", "--trust-code"]
    assert run([*words, *later]) == 1
    printed = capfd.readouterr()
    assert "LX-LOAD-080" in printed.err.splitlines()[-1]
    assert "failures 0.000% → " in printed.err.splitlines()[-1]
    assert "worse" in printed.out
    suite = ET.parse("junit.xml").getroot()[0]
    failed = [case.attrib["name"] for case in suite if case.find("failure") is not None]
    assert "2 users: failures is not worse than before" in failed
    report = json.loads(Path("after/results.json").read_text())
    assert report["passed"] is False
    assert {one["metric"]: one["outcome"] for one in report["comparison"]["changes"]}["failures"] == "worse"
    assert 'bad">worse</td>' in Path("after/report.html").read_text()
    summary = Path("summary.md").read_text()
    assert summary.count("## Load test of ") == 2
    assert "| worse |" in summary


def test_what_cannot_be_compared_is_refused_before_anything_is_sent(
    short: Test, stubbed: Stub, tmp_path: Path
) -> None:
    before = tmp_path / "before" / "results.json"
    short(users=[1], worker_sets=["cpu:1"], out=before.parent)
    sent = len(stubbed.bodies)
    for options, code in (
        ({"duration": 0.6}, "LX-LOAD-086"),
        ({"texts": ["another text"]}, "LX-LOAD-086"),
        ({"users": [2]}, "LX-LOAD-087"),
        ({"junit": tmp_path}, "LX-FILE-003"),
    ):
        with refused(InputError, code):
            short(**{"users": [1], "worker_sets": ["cpu:1"], "baseline": before, **options})
    assert len(stubbed.bodies) == sent


def test_a_baseline_of_single_runs_is_said_to_show_nothing_before_the_test(short: Test, tmp_path: Path) -> None:
    before = tmp_path / "before" / "results.json"
    short(users=[1], worker_sets=["cpu:1"], out=before.parent)
    said: list[str] = []
    report = short(users=[1], worker_sets=["cpu:1"], baseline=before, say=said.append)
    assert "1 run there and 1 here show nothing; --repeat 5 is needed in both" in said[0]
    assert report.comparison is not None
    assert report.comparison.judged == 0
    assert not report.passed
