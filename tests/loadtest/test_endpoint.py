"""`lexport loadtest --host URL`: a server that runs, whoever made it, asked and judged as the user says."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.__main__ import run
from lexport.client import Unauthorised
from lexport.errors import InputError
from lexport.loadtest import cells
from lexport.loadtest.command import endpoint_of, run_loadtest
from lexport.loadtest.report import FILES
from lexport.loadtest.results import LoadReport
from lexport.loadtest.runner import loadtest
from lexport.loadtest.targets import Endpoint, read_asked

from ..refusals import refused
from .conftest import LOCUSTFILE, Stub

Loadtest = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Half a second a run, and no server of the user's own."""
    monkeypatch.setattr(cells, "SETTLE", 0.1)
    monkeypatch.setitem(loadtest.__kwdefaults__ or {}, "warmup", 0.0)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lexport_loadtest(capfd: pytest.CaptureFixture[str]) -> Loadtest:
    def ask(*words: str) -> tuple[int, dict[str, Any]]:
        code = run(["loadtest", *words, "--duration", "0.5s", "--json"])
        out = capfd.readouterr().out
        return code, json.loads(out) if out else {}

    return ask


def test_a_strangers_endpoint_is_asked_at_its_path_in_its_own_form(
    stub: Stub, lexport_loadtest: Loadtest, tmp_path: Path
) -> None:
    """What failed before: the path was dropped, and good answers of another shape were counted as failed."""
    stub.answer = lambda number, body: (200, b'{"outputs": [{"class": "a"}]}')
    with Path("texts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "body"], [1, 'say "hi"\nthere'], [2, "äh"]])
    code, report = lexport_loadtest(
        *("--host", f"{stub.url}/v1/classify?k=1", "-H", "X-Key: s3cret", "-H", "content-type: application/x"),
        *("--body", '{"inputs": "{text}"}', "--expect", "$.outputs[0].class", "--users", "1"),
        *("--texts", "texts.csv", "--text-column", "body", "--slo", "failures=0%"),
    )
    assert code == 0
    (row,) = report["rows"]
    assert row["answered"] > 5
    assert (row["failures"], row["archive"], row["workers"]) == (0, "v1/classify", stub.url.removeprefix("http://"))
    path, headers = stub.requests[0]
    assert path == "/v1/classify?k=1"
    assert (headers["X-Key"], headers["content-type"], headers.get("Content-Type")) == (
        "s3cret",
        "application/x",
        None,
    )
    assert "Authorization" not in headers
    # The texts as they are: no word is replaced unless that was asked for.
    assert {json.loads(body)["inputs"] for body in stub.bodies} == {'say "hi"\nthere', "äh"}
    assert report["schema"] == 3
    assert report["settings"]["headers"] == ["X-Key", "content-type"]
    assert "s3cret" not in json.dumps(report)
    assert sorted(file.name for file in (tmp_path / "loadtest-report").iterdir()) == sorted(FILES)


def test_an_answer_without_what_is_expected_is_a_failure_by_name(stub: Stub, lexport_loadtest: Loadtest) -> None:
    code, report = lexport_loadtest("--host", f"{stub.url}/ask", "--expect", "$.class", "--users", "1")
    assert code == 1  # no request was answered as expected
    assert set(report["rows"][0]["reasons"]) == {"no $.class in the answer"}
    code, report = lexport_loadtest("--host", f"{stub.url}/ask", "--users", "1")
    assert (code, report["rows"][0]["failures"]) == (0, 0)


def test_a_model_is_asked_by_its_name_with_a_token(
    stub: Stub, lexport_loadtest: Loadtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("token").write_text("from-file\n")
    code, _ = lexport_loadtest("films/2.0", "--host", stub.url, "--token-file", "token", "--users", "1")
    path, headers = stub.requests[0]
    assert (code, path, headers["Authorization"]) == (0, "/predictions/films/2.0", "Bearer from-file")
    stub.requests.clear()
    monkeypatch.setenv("LEXPORT_TOKEN", "from-environment")
    lexport_loadtest("films", "--host", stub.url.removeprefix("http://"), "--users", "1")
    path, headers = stub.requests[0]
    assert (path, headers["Authorization"]) == ("/predictions/films", "Bearer from-environment")


def test_a_token_goes_to_the_server_that_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("token").write_text("from-file")
    assert endpoint_of("m", "https://127.0.0.1:1", Path("token"), False).token == "from-file"
    assert endpoint_of("m", "127.0.0.1:1", None, False) == Endpoint("http://127.0.0.1:1", "m")
    assert endpoint_of("m", "http://[", None, False).token == ""
    monkeypatch.setenv("LEXPORT_TOKEN", "from-environment")
    assert endpoint_of("m", "127.0.0.1:1", None, False).token == "from-environment"
    with refused(Unauthorised, "LX-CLIENT-013", "absent"):
        endpoint_of("m", "127.0.0.1:1", Path("absent"), False)


def test_a_mix_has_lists_long_texts_and_bad_requests_that_are_to_be_refused(
    stub: Stub, lexport_loadtest: Loadtest
) -> None:
    def answer(number: int, body: bytes) -> tuple[int, bytes]:
        try:
            asked = json.loads(body.decode())
        except ValueError:
            return (400, b"{}") if body.startswith(b"\xff") else (200, b'{"label": "a"}')
        return 200, json.dumps([{"label": "a"}] * len(asked["texts"])).encode()

    stub.answer = answer
    code, report = lexport_loadtest(
        *("films", "--host", stub.url, "--expect", "label", "--mix", "bad=20%,list=20%,long=20%"),
        *("--users", "1", "--seed", "3"),
    )
    assert (code, report["rows"][0]["failures"]) == (0, 0)
    assert any(body.startswith(b"\xff") for body in stub.bodies)
    assert any(body.startswith(b'{"texts"') for body in stub.bodies)
    assert any(len(body) >= 20_000 for body in stub.bodies)


def test_an_open_loop_has_a_row_for_each_rate(stub: Stub, lexport_loadtest: Loadtest) -> None:
    code, report = lexport_loadtest("films", "--host", stub.url, "--arrivals", "constant", "--rate", "10,20")
    assert code == 0
    assert [(row["arrivals"], row["rate"], row["users"], row["answered"]) for row in report["rows"]] == [
        ("constant", 10, 0, 5),
        ("constant", 20, 0, 10),
    ]
    assert all(row["lag_p99_ms"] >= 0 and sum(slot["answered"] for slot in row["series"]) for row in report["rows"])
    with Path("loadtest-report/results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["arrivals"], line["rate"], line["due_per_second"]) for line in lines] == [
        ("constant", "10", "10"),
        ("constant", "20", "20"),
    ]
    page = Path("loadtest-report/report.html").read_text(encoding="utf-8")
    assert "requests/s planned" in page
    assert "an open loop" in page
    assert "20 requests/s (constant)" in page


def test_a_replay_takes_as_long_as_what_was_recorded(stub: Stub, lexport_loadtest: Loadtest) -> None:
    Path("times.txt").write_text("\n".join(f"{place / 10}" for place in range(12)))
    code, report = lexport_loadtest("films", "--host", stub.url, "--arrivals", "replay:times.txt")
    (row,) = report["rows"]
    assert (code, row["arrivals"], row["answered"]) == (0, "replay", 12)
    assert row["seconds"] == pytest.approx(1.11)


def test_the_path_of_the_locustfile_is_printed_for_locust(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["loadtest", "--locustfile"]) == 0
    printed = capfd.readouterr().out.strip()
    assert Path(printed) == LOCUSTFILE
    listed = subprocess.run(
        [sys.executable, "-m", "locust", "-f", printed, "--list"], capture_output=True, text=True, timeout=60
    )
    assert listed.returncode == 0, listed.stderr
    assert "ClosedUser" in listed.stdout


GIVEN: dict[str, Any] = {"token_file": None, "remote": False, "worker_sets": "", "engines": "", "users": "1"}
GIVEN |= {"rate": None, "duration": "1s", "model_store": Path("none"), "out": Path("out"), "trusted": None}
GIVEN |= {"trust_code": False, "say": print, "show": None, "max_regression": "5%"}


def command(name: str | None, host: str | None, **options: Any) -> LoadReport:
    return run_loadtest(name, host=host, **(GIVEN | options))


@pytest.mark.parametrize(
    ("name", "host", "options", "error"),
    [
        (None, None, {}, ("LX-LOAD-071", "--host URL")),
        ("a", None, {"remote": True}, ("LX-LOAD-072", "--remote")),
        ("a", "http://127.0.0.1:9/path", {}, ("LX-LOAD-063", "both a path and the name of a model")),
        (None, "http://127.0.0.1:9", {}, ("LX-LOAD-063", "neither a path")),
        ("a", "ftp://127.0.0.1", {}, ("LX-LOAD-061", "'ftp://127.0.0.1'")),
        ("a", "http://127.0.0.1:99999", {}, ("LX-LOAD-061", "99999")),
        ("a", "http://192.0.2.1", {}, ("LX-LOAD-062", "is not this machine", "--remote")),
        ("a", "http://127.0.0.1:9", {"headers": ["X"]}, ("LX-LOAD-070", "'X'")),
        ("a", "http://127.0.0.1:9", {"headers": ["X: a\nY: b"]}, ("LX-LOAD-070",)),
        ("a", "http://127.0.0.1:9", {"body": "x"}, ("LX-LOAD-069", "'x' has no {text}")),
        ("a", "http://127.0.0.1:9", {"expect": "$["}, ("LX-LOAD-069", "--expect '$['")),
        ("a", "http://127.0.0.1:9", {"mix": "odd=1"}, ("LX-LOAD-069", "--mix 'odd=1'")),
        ("a", "http://127.0.0.1:9", {"arrivals": "wave", "rate": "1"}, ("LX-LOAD-065", "'wave'")),
        ("a", "http://127.0.0.1:9", {"arrivals": "open"}, ("LX-LOAD-021", "--rate")),
        ("a", "http://127.0.0.1:9", {"arrivals": "open", "rate": "1,1"}, ("LX-LOAD-022", "--rate 1, 1")),
        ("a", "http://127.0.0.1:9", {"arrivals": "open", "rate": "0"}, ("LX-LOAD-066", "--rate 0")),
        ("a", "http://127.0.0.1:9", {"arrivals": "open", "rate": "fast"}, ("LX-LOAD-073", "'fast'")),
        ("a", "http://127.0.0.1:9", {"rate": "5"}, ("LX-LOAD-064", "--rate 5", "--arrivals closed")),
        ("a", "http://127.0.0.1:9", {"arrivals": "replay:no.txt"}, ("LX-LOAD-067", "no.txt cannot be read")),
        ("a", "http://127.0.0.1:9", {"max_regression": "a lot"}, ("LX-LOAD-089", "'a lot'", "5%")),
        ("a", "http://127.0.0.1:9", {"processes": 0}, ("LX-LOAD-068", "--processes 0")),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    name: str | None, host: str | None, options: dict[str, Any], error: tuple[str, ...]
) -> None:
    with refused(InputError, *error):
        command(name, host, **options)
    assert not Path("out").exists()


def test_another_machine_is_loaded_only_where_the_user_says_so() -> None:
    for host in ("http://192.0.2.1:8080", "http://127.0.0.1@192.0.2.1", "http://example.com"):
        with refused(InputError, "LX-LOAD-062"):
            loadtest(endpoint=Endpoint(host, "m"))
        assert Endpoint(host, "m", remote=True).subject().label == "m"
    for host in ("http://127.0.0.9:1", "http://localhost", "http://[::1]:80"):
        assert Endpoint(host, "m").subject().label == "m"


def test_texts_come_from_any_data_file(tmp_path: Path) -> None:
    lines = [{"text": "a", "lang": "en"}, {"text": " b ", "label": "x"}, {"text": " "}]
    held_out = tmp_path / "test.jsonl.gz"  # as a run has it
    held_out.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    assert read_asked(held_out) == [{"text": "a", "lang": "en"}, {"text": " b "}]
    (tmp_path / "a.csv").write_text("text,label\none,x\none,x\n")
    assert read_asked(tmp_path / "a.csv") == [{"text": "one"}] * 2  # as often as it is there
    (tmp_path / "a.jsonl").write_text('{"review": "r"}\n')
    assert read_asked(tmp_path / "a.jsonl", "review") == [{"text": "r"}]
    (tmp_path / "a.txt").write_text("one, two\nthree\n")
    assert read_asked(tmp_path / "a.txt") == [{"text": "one, two"}, {"text": "three"}]
