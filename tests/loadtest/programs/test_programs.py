"""wrk and k6 in the place of Locust: found, asked, read, and what their figures say of themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import InputError, SystemProblem
from lexport.loadtest import runner as lab
from lexport.loadtest.driver.bodies import Bodies, read_requests
from lexport.loadtest.judging.conditions import warnings
from lexport.loadtest.locust_process import Load, Target
from lexport.loadtest.pages.report import html
from lexport.loadtest.programs.drivers import PROGRAMS, driver
from lexport.loadtest.programs.k6 import K6
from lexport.loadtest.programs.program import Program
from lexport.loadtest.programs.wrk import Wrk
from lexport.loadtest.report import csv_text
from lexport.loadtest.targets import Endpoint

from ...refusals import refused
from ..conftest import Stub

KEPT = Path(__file__).parent / "kept"
LOAD = Load(2, 0.0, 1.0, None, 0.0, 0)


def on_path(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not on the PATH")


EACH = pytest.mark.parametrize("name", [pytest.param(one, marks=on_path(one)) for one in PROGRAMS])


def unfound(kind: type[Program]) -> Program:
    """A program as if it had been found, to read what it printed elsewhere."""
    made = kind.__new__(kind)
    made.path, made.version = kind.NAME, "0"
    return made


def test_what_wrk_printed_is_read() -> None:
    found = unfound(Wrk).figures((KEPT / "wrk-4.2.0.txt").read_text(encoding="utf-8"), Path(), LOAD)
    assert (found["answered"], found["failures"], found["reasons"]) == (281, 0, {})
    assert found["requests_per_second"] == pytest.approx(277.16, abs=0.01)  # as wrk's own table has it
    assert (found["p50_ms"], found["p99_ms"], found["max_ms"]) == (10.912, 79.891, 79.91)
    assert dict(map(tuple, found["curve"]))[50] == 10.912
    assert max(percent for percent, _ in found["curve"]) < 99.9  # of 281 answers


def test_what_k6_wrote_is_read(tmp_path: Path) -> None:
    shutil.copy(KEPT / "k6-1.1.0.json", tmp_path / "summary.json")
    found = unfound(K6).figures("", tmp_path, LOAD)
    assert (found["answered"], found["failures"], found["requests_per_second"]) == (50, 0, 51)
    assert (found["p50_ms"], found["max_ms"]) == (15.26913, 72.701833)


def test_failures_that_wrk_counted_are_failures_with_a_reason() -> None:
    values = {"requests": 10, "microseconds": 2e6, "max": 5, "status": 10, "connect": 0, "read": 3, "write": 0}
    printed = json.dumps(values | {"timeout": 0, "percentiles": [[50, 4], [90, 5], [95, 5], [99, 5], [99.9, 5]]})
    found = unfound(Wrk).figures(printed, Path(), LOAD)
    assert (found["answered"], found["failures"], found["requests_per_second"]) == (0, 13, 0)
    assert found["reasons"] == {"HTTP status above 399": 10, "no answer: the connection was closed": 3}
    assert (found["p50_ms"], found["max_ms"], found["curve"]) == (None, None, [])


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_a_program_that_is_not_installed_is_named_with_how_it_is_had(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused(SystemProblem, "LX-LOAD-150", f"--driver {name}", "not on the PATH", "install"):
        driver(name)


def test_a_program_that_is_another_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wrk").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "wrk").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused(SystemProblem, "LX-LOAD-151", "hello", "expected wrk"):
        driver("wrk")


def test_a_driver_that_there_is_not_is_refused() -> None:
    assert driver("locust") is None
    with refused(InputError, "LX-LOAD-156", "'oha'", "locust, wrk, k6"):
        driver("oha")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"arrivals": "ramp", "rates": [5.0]}, "LX-LOAD-154", "'ramp'"),
        ({"slo": ["p99=50ms"]}, "LX-LOAD-155", "--slo"),
        ({"repeat": 3, "mix": "bad=1%"}, "LX-LOAD-155", "--repeat, --mix"),
        ({"ui": True}, "LX-LOAD-155", "--ui"),
    ],
)
def test_what_only_locust_does_is_refused_before_anything_starts(
    mar: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], code: str, words: str
) -> None:
    monkeypatch.setattr(lab, "driver_of", lambda name: unfound(Wrk))
    with refused(InputError, code, "--driver wrk", words):
        lab.loadtest([mar], driver="wrk", **options)


def test_a_server_whose_certificate_is_not_verified_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "driver_of", lambda name: unfound(Wrk))
    with refused(InputError, "LX-LOAD-157", "https://127.0.0.1:9/ask", "k6"):
        lab.loadtest(endpoint=Endpoint("https://127.0.0.1:9/ask"), driver="wrk")


@EACH
def test_the_figures_of_a_server_are_its_own_and_say_who_made_them(name: str, stubbed: Stub, mar: Path) -> None:
    said: list[str] = []
    report = lab.loadtest(
        [mar], worker_sets=["cpu:1"], users=[2], duration=1, warmup=0, driver=name, expect="label", say=said.append
    )
    (row,) = report.rows
    program = driver(name)
    assert program is not None
    assert (row.driver, row.driver_version, row.failures) == (name, program.version, 0)
    assert 0 < row.answered <= len(stubbed.bodies)
    assert row.requests_per_second == pytest.approx(row.answered / row.seconds, rel=0.2)
    assert row.p50_ms is not None
    assert f"by {name} {program.version}" in said[-1]
    assert report.warnings[0].startswith(f"All figures are those of {name} {program.version}, not of Locust: answers")
    assert report.settings["driver"] == name
    assert f"--driver {name}" in report.settings["command"]
    assert f"The client ({name})" in html(report)
    assert csv_text(report).splitlines()[0].endswith("driver,driver_version,unchecked")


@EACH
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"text": "ein Film, ünïcode"}', "text/plain; charset=utf-8"),
        ('{"text": "good", "lang": "en"}', "application/json"),
    ],
)
def test_bodies_headers_and_the_token_are_those_that_locust_sends(
    name: str, line: str, kind: str, stub: Stub, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text(line + "\n", encoding="utf-8")
    target = Target(f"{stub.url}/v1/ask?x=1", "", "key", expect="$.label", headers=("X-Key: a b",))
    program = driver(name)
    assert program is not None
    program.run(target, replace(LOAD, texts=texts), tmp_path)
    sent = {body.content for body in Bodies(read_requests(texts), 0.0, LOAD.seed, "text", None, {}).all}
    assert set(stub.bodies) == sent
    path, headers = stub.requests[0]
    assert (path, headers["Authorization"], headers["X-Key"]) == ("/v1/ask?x=1", "Bearer key", "a b")
    assert {headers["Content-Type"] for _, headers in stub.requests} == {kind}


@EACH
def test_refusals_are_failures_and_a_wrong_answer_is_one_for_who_checks(
    name: str, stub: Stub, tmp_path: Path
) -> None:
    program = driver(name)
    assert program is not None
    target = Target(stub.url, "m", "")
    stub.answer = lambda number, body: (503, b'{"code": 503}')
    found = program.run(target, LOAD, tmp_path)
    assert found["answered"] == 0
    assert found["failures"] > 0
    stub.answer = lambda number, body: (200, b'{"other": 1}')
    found = program.run(target, LOAD, tmp_path)
    if name == "k6":
        assert (found["answered"], list(found["reasons"])) == (0, ["not what was expected in the answer"])
    else:
        assert found["failures"] == 0
        assert "not checked" in program.UNCHECKED


@EACH
def test_a_server_that_is_not_there_leaves_no_figures(name: str, tmp_path: Path) -> None:
    program = driver(name)
    assert program is not None
    target = Target("http://127.0.0.1:1", "m", "")
    if name == "wrk":
        with refused(SystemProblem, "LX-LOAD-153", "wrk", "code 1"):
            program.run(target, LOAD, tmp_path)
    else:
        found = program.run(target, LOAD, tmp_path)
        assert (found["answered"], list(found["reasons"])) == (0, ["no answer"])


@on_path("k6")
def test_k6_finds_the_values_at_a_path_that_locust_finds(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda number, body: (200, b'{"predictions": [{"label": null}, {"label": "a"}], "none": null}')
    program = driver("k6")
    assert program is not None
    for path, right in (
        ("$.predictions[*].label", True),
        ("$.predictions[-1].label", True),
        ("$.predictions[0].label", False),
        ("$.none", False),
        ("$.constructor", False),
    ):
        found = program.run(Target(stub.url, "m", "", expect=path), LOAD, tmp_path)
        assert bool(found["answered"]) is right, path
        assert bool(found["failures"]) is not right, path


@EACH
def test_the_embedded_engine_is_loaded(name: str, archive_of: Callable[[str], Path]) -> None:
    report = lab.loadtest(
        [archive_of("onnx-int8")],
        worker_sets=["cpu:1"],
        engines=["embedded"],
        users=[4],
        duration=1,
        warmup=0,
        driver=name,
    )
    (row,) = report.rows
    assert row.failures == 0
    assert row.server is not None
    assert row.answered <= row.server.requests
    assert warnings(report.rows)[0] in report.warnings
