from __future__ import annotations

import ast
import json
import math
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lexport.loadtest.driver.recorder import merged, rank
from lexport.loadtest.locust_process import Load, Target, run

from .conftest import GOOD, LOCUSTFILE, Stub, locust, measure

TEXTS = ["one two three four five six seven eight", "uno dos tres cuatro", "你好世界 hello"]


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS, "  "]), encoding="utf-8")
    return str(path)


def test_needs_nothing_but_locust_and_the_standard_library() -> None:
    files = list(LOCUSTFILE.parent.glob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    others = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {file.stem for file in files}
    assert others == {"locust", "gevent", "geventhttpclient", "psutil"}  # Locust requires the other three


def test_plain_locust_finds_the_running_server(stub: Stub, tmp_path: Path) -> None:
    state = tmp_path / "lexport"
    state.mkdir()
    (state / "server.json").write_text(json.dumps({"inference_url": stub.url, "models": {"films": "1.0"}}))
    (state / "key_file.json").write_text(json.dumps({"inference": {"key": "s3cret"}}))
    run = locust("-H", stub.url, "-u", "4", "-r", "4", "-t", "2s", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    path, headers = stub.requests[0]
    assert path == "/predictions/films"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert len(stub.bodies) > 5
    assert "0(0.00%)" in run.stdout + run.stderr


def test_unknown_words_are_the_same_for_the_same_seed(stub: Stub, tmp_path: Path, texts: str) -> None:
    sent = []
    for seed in ("7", "7", "8"):
        stub.bodies.clear()
        found = measure(
            stub, tmp_path, "--texts", texts, "--unknown-share", "0.3", "--seed", seed, "--measure", "0.5"
        )
        sent.append(stub.bodies[:30])
        assert len(sent[-1]) == 30
        assert found["unknown_tokens"] / found["tokens"] == pytest.approx(0.3, abs=0.03)
        assert found["failures"] == 0
    assert sent[0] == sent[1] != sent[2]
    known = {word for text in TEXTS for word in re.findall(r"[a-z]+|[^a-z ]", text)}
    words = [word for body in sent[0] for word in re.findall(r"[a-z]+|[^a-z ]", body.decode())]
    invented = [word for word in words if word not in known]
    assert 0.15 < len(invented) / len(words) < 0.45
    assert all(re.fullmatch(r"([zxqvkj][aeiou])+", word) for word in invented)


def test_share_zero_sends_the_texts_themselves_as_json(stub: Stub, tmp_path: Path, texts: str) -> None:
    options = ("--texts", texts, "--unknown-share", "0", "--content-type", "json", "--measure", "0.2")
    measure(stub, tmp_path, *options, LEXPORT_TOKEN="abc")
    assert {json.loads(body)["text"] for body in stub.bodies} == set(TEXTS)
    assert stub.requests[0][1]["Content-Type"] == "application/json"
    assert stub.requests[0][1]["Authorization"] == "Bearer abc"


def test_languages_and_images_are_sent_as_the_file_has_them(stub: Stub, tmp_path: Path) -> None:
    lines = [
        {"text": "one two three", "lang": "en", "variant": {"labels": []}},
        {"text": "eins zwei", "lang": "de"},
        {"image": [0.5, 1.0], "text": ""},
        {"text": "  ", "lang": "de"},
        {"text": "plain"},
    ]
    path = tmp_path / "goldens.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = measure(stub, tmp_path, "--texts", str(path), "--unknown-share", "0", "--measure", "0.3")
    assert {body.decode() for body in stub.bodies} == {
        '{"text": "one two three", "lang": "en"}',
        '{"text": "eins zwei", "lang": "de"}',
        '{"image": [0.5, 1.0]}',
        '{"text": "plain"}',
    }
    assert stub.requests[0][1]["Content-Type"] == "application/json"
    assert (found["failures"], found["unknown_tokens"]) == (0, 0)
    stub.bodies.clear()
    found = measure(stub, tmp_path, "--texts", str(path), "--unknown-share", "1", "--measure", "0.3")
    asked = [json.loads(body) for body in stub.bodies]
    assert {one.get("lang") for one in asked if "text" in one} == {"en", "de", None}
    assert not {"one two three", "eins zwei", "plain"} & {one.get("text") for one in asked}
    assert {"image": [0.5, 1.0]} in asked
    assert found["unknown_tokens"] == found["tokens"] > 0


def test_failures_are_counted_by_reason(stub: Stub, tmp_path: Path) -> None:
    answers = [
        GOOD,
        (503, b'{"code": 503, "type": "ServiceUnavailableException", "message": "queue full"}'),
        (200, b'{"score": 1}'),
        (200, b"<html>"),
        (400, b'{"error": "x"}'),
        None,
        (200, b'{"vector": [0.5]}'),
    ]
    stub.answer = lambda number, body: answers[number % len(answers)]
    found = measure(stub, tmp_path, "--measure", "0.6", users=3)
    assert set(found["reasons"]) == {
        "HTTP 503 ServiceUnavailableException",
        "no label or vector in the answer",
        "HTTP 200, not JSON",
        "HTTP 400",
        "no answer: HTTPConnectionClosed",
    }
    assert found["failures"] == sum(found["reasons"].values())
    assert found["answered"] / (found["answered"] + found["failures"]) == pytest.approx(2 / 7, abs=0.05)


def test_every_2xx_of_a_model_with_answers_of_its_own_is_counted(stub: Stub, tmp_path: Path) -> None:
    answers = [(200, b'{"Sports": 0.75, "World": 0.25}'), (200, b"Sports"), (202, b"[1]"), (500, b"{}")]
    stub.answer = lambda number, body: answers[number % len(answers)]
    found = measure(stub, tmp_path, "--expect", "status", "--measure", "0.4")
    assert set(found["reasons"]) == {"HTTP 500"}
    assert found["answered"] / (found["answered"] + found["failures"]) == pytest.approx(3 / 4, abs=0.05)
    stub.bodies.clear()
    assert measure(stub, tmp_path, "--measure", "0.4")["answered"] == 0


def test_several_processes_are_measured_as_one(stub: Stub, tmp_path: Path) -> None:
    """Every process sends what it measured to the first one, which writes the figures of all."""
    stub.answer = lambda number, body: (500, b"{}") if number % 10 == 0 else GOOD
    found = measure(stub, tmp_path, "--processes", "2", "--measure", "1", users=4)
    assert found["processes"] == 2
    assert found["answered"] > 0
    assert found["reasons"] == {"HTTP 500": found["failures"]}


def test_a_worker_takes_the_files_from_the_master(stub: Stub, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    given = ["-H", stub.url, "--model", "m", "--measure", "0.5", "--result", str(tmp_path / "unused.json")]
    command = [sys.executable, "-m", "locust", "-f", "-", "--worker", "--master-port", port, *given]
    received = tmp_path / "received"
    received.mkdir()
    environment = os.environ | {"TMPDIR": str(received)}
    silent = subprocess.DEVNULL
    worker = subprocess.Popen(command, cwd=tmp_path, stdout=silent, stderr=silent, env=environment)
    try:
        options = (
            "-f",
            str(LOCUSTFILE.parent),
            "--master",
            "--expect-workers",
            "1",
            "--master-bind-port",
            port,
            "--measure",
            "0.5",
        )
        found = measure(stub, tmp_path, *options, users=2)
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()
    assert (found["processes"], found["failures"]) == (1, 0)
    assert found["answered"] > 0
    assert not (tmp_path / "unused.json").exists()
    assert {"locustfile.py", "arrivals.py"} <= {file.name for file in received.glob("*.py")}


def test_parts_are_merged_as_if_one_process_had_measured() -> None:
    part = {"times": [1.0, 3.0], "reasons": {"HTTP 500": 1}, "seconds": 2.0, "finished": 2, "client_seconds": 0.5}
    part |= {"began": 9.5, "interrupt_share": 0.1}
    part |= {"due": [0.0, 1.9], "failed_due": [0.5], "failed_times": [7.0], "lags": [0.1], "machine_share": 0.4}
    other = part | {"times": [2.0], "finished": 4, "machine_share": 0.6, "reasons": {"HTTP 500": 2, "HTTP 503": 1}}
    other |= {"due": [1.95], "failed_due": [1.0] * 3, "failed_times": [math.inf] * 3, "lags": [], "client_seconds": 1}
    other |= {"began": 9.4, "interrupt_share": 0.2}
    found = merged([part, other])
    assert (found["answered"], found["p50_ms"], found["max_ms"]) == (3, 2.0, 3.0)
    assert (found["failures"], found["reasons"]) == (4, {"HTTP 500": 3, "HTTP 503": 1})
    assert (found["p90_ms"], found["p99_9_ms"]) == (3.0, 3.0)
    assert (found["began"], found["interrupt_share"]) == (9.4, 0.2)
    assert (found["requests_per_second"], found["client_seconds"], found["machine_share"]) == (3.0, 1.5, 0.6)
    assert (found["busiest_client"], found["lag_p99_ms"], found["slowest_failure_ms"]) == (0.5, 0.1, 7.0)
    assert found["due_per_second"] == 3.5
    slots = [(slot["second"], slot["answered"], slot["failures"], slot["max_ms"]) for slot in found["series"]]
    assert len(slots) == 20
    assert [slot for slot in slots if slot[1] or slot[2]] == [
        (0.0, 1, 0, 1.0),
        (0.5, 0, 1, None),
        (1.0, 0, 3, None),
        (1.9, 2, 0, 3.0),
    ]


def test_settings_of_the_user_do_not_change_a_load_test(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    (home / ".locust.conf").write_text("token-file = absent\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOCUST_TOKEN_FILE", "absent")
    assert run(Target(stub.url, "m", ""), Load(1, 0.0, 0.5, None, 0.0, 0), scratch)["answered"] > 0


def test_times_are_exact_and_late_answers_count(stub: Stub, tmp_path: Path) -> None:
    def slow(number: int, body: bytes) -> tuple[int, bytes]:
        time.sleep(0.137 if number < 4 else 0.7)
        return GOOD

    stub.answer = slow
    found = measure(stub, tmp_path, "--measure", "0.5", users=2)
    assert found["answered"] == 4  # the first two were asked before the window, the last two answered after it
    assert 137 <= found["p50_ms"] < 180
    assert found["p50_ms"] % 1 != 0  # Locust itself would say 140
    assert 700 <= found["p99_ms"] < 800
    assert found["p99_ms"] == found["max_ms"]
    assert found["requests_per_second"] == pytest.approx(4 / found["seconds"])
    assert 0 < found["client_seconds"] < 0.5
    assert 0 <= found["machine_share"] <= 1
    assert 0 <= found["interrupt_share"] <= found["machine_share"]
    assert abs(found["began"] - time.time()) < 60


def test_each_time_is_kept_in_a_file_with_when_its_request_was_due(stub: Stub, tmp_path: Path) -> None:
    path = tmp_path / "times"
    found = measure(stub, tmp_path, "--measure", "0.5", "--times", str(path), "--processes", "2", users=2)
    both = np.fromfile(path)
    due, times = both[: len(both) // 2], both[len(both) // 2 :]
    assert len(times) == found["answered"]
    assert rank(sorted(times), 90) == found["p90_ms"]
    assert ((due >= 0) & (due < 0.5)).all()


@pytest.mark.parametrize(
    ("options", "variables", "message"),
    [
        (("-H", "http://192.0.2.1:8080", "--model", "m"), {}, "is not this machine"),
        (("-H", "http://127.0.0.1@192.0.2.1/", "--model", "m"), {}, "is not this machine"),
        (("-H", "http://192.0.2.1:8080", "--remote"), {}, "Which model?"),
        (("--model", "m", "--texts", "absent.txt"), {}, "Cannot read the texts absent.txt"),
        (("--model", "m", "--unknown-share", "2"), {}, "is not a share; expected 0 to 1"),
    ],
)
def test_refuses_with_one_line(
    options: tuple[str, ...], variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    run = locust(*options, cwd=tmp_path, **variables)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
