"""`lexport serve --log-format json`: each line is an object, whatever happens to the server and however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lexport.serving import running
from lexport.serving.torchserve.java import find_java
from lexport.serving.torchserve.process import workers_of

from ..trust_cases import repacked
from .conftest import Place, Result, split_error

each_engine = pytest.mark.parametrize("engine", ["embedded", "torchserve"])


@pytest.fixture
def java() -> None:
    find_java()


def parsed(text: str) -> list[dict[str, Any]]:
    """Every line as an object; each has time, level and message."""
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
        assert one["level"] in ("info", "warning", "error")
        assert one["message"]
    return found


def start(place: Place, archive: Path, engine: str, *more: str) -> subprocess.Popen[str]:
    words = ["serve", str(archive), "--engine", engine, "--port", "0", "--workers", "cpu:1"]
    return place.start(*words, "--foreground", "--log-format", "json", *more)


def until(child: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The lines until the one that is wanted, which is the last."""
    assert child.stdout is not None
    found = []
    for line in child.stdout:
        found += parsed(line)
        if wanted(found[-1]):
            return found
    pytest.fail(f"exit code {child.wait()}, said {found}, {child.stderr.read() if child.stderr else ''}")


def is_event(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda line: bool(line.get("event") == kind)


@each_engine
@pytest.mark.usefixtures("java")
@pytest.mark.parametrize(
    ("number", "code", "what"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.long),
    ],
)
def test_a_start_a_death_and_a_drained_end(
    place: Place, archive_of: Callable[[str], Path], engine: str, number: signal.Signals, code: int, what: str
) -> None:
    with start(place, archive_of("onnx-int8"), engine) as child:
        began = until(child, is_event("start"))
        assert any(line.get("model") == "topics" and line.get("version") == "1.0" for line in began)
        assert any(line["message"].startswith("Ready after") for line in began)
        server = running(place.cwd / "state" / "lexport")
        if engine == "embedded":
            [victim] = [worker.pid for worker in psutil.Process(server.pid).children()]
        else:
            [victim] = workers_of(server)
        os.kill(victim, signal.SIGKILL)
        death = until(child, is_event("death"))[-1]
        assert (death["level"], death["worker"]) == ("error", 0 if engine == "embedded" else 9000)
        if engine == "embedded":  # TorchServe's starts a worker again without a line
            assert until(child, is_event("start"))[-1]["worker"] == 0
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    ends = [line["message"] for line in parsed(out) if line.get("event") == "end"]
    assert re.fullmatch(r"All requests were answered after [0-9.]+ s\.", ends[0])
    assert ends[-1] == "The server has ended."
    [last] = parsed(err)
    assert (child.returncode, last["exit_code"], last["level"]) == (code, code, "info")
    assert last["message"] == f"{what}; everything half-done was removed"
    assert place.processes() == []


@pytest.mark.usefixtures("java")
def test_a_restart_of_torchserve(place: Place, archive_of: Callable[[str], Path]) -> None:
    with start(place, archive_of("onnx-int8"), "torchserve") as child:
        until(child, is_event("start"))
        os.kill(running(place.cwd / "state" / "lexport").pid, signal.SIGKILL)
        told = until(child, is_event("restart"))
        death = next(line for line in told if line.get("event") == "death" and "TorchServe" in line["message"])
        assert "killed by signal 9" in death["message"]
        assert told[-1]["level"] == "warning"
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=60)
    assert parsed(out)[-1]["message"] == "The server has ended."
    assert child.returncode == 143


def test_a_server_that_ends_by_itself(place: Place, archive_of: Callable[[str], Path]) -> None:
    with start(place, archive_of("onnx-int8"), "embedded") as child:
        until(child, is_event("start"))
        os.kill(running(place.cwd / "state" / "lexport").supervisor, signal.SIGKILL)
        out, err = child.communicate(timeout=60)
    parsed(out)
    [last] = parsed(err)
    assert (child.returncode, last["exit_code"], last["level"]) == (3, 3, "error")
    assert last["code"] == "LX-SERVE-053"
    assert last["message"].startswith("The server ended by itself: its supervisor was killed")


@pytest.mark.usefixtures("java")
@pytest.mark.parametrize(
    ("engine", "code"),
    [("embedded", 1), ("torchserve", 3)],  # what the embedded engine serves is verified first
)
def test_a_start_that_fails_has_its_reason_in_one_line(
    place: Place, archive_of: Callable[[str], Path], engine: str, code: int
) -> None:
    changes = {"labels.json": b'["kitchen", "weather", "sport"]'}
    wrong = repacked(archive_of("onnx-int8"), changes, place.cwd / "topics-1.0.mar")
    with start(place, wrong, engine, "--trust-code") as child:
        out, err = child.communicate(timeout=120)
    parsed(out)
    [last] = parsed(err)
    assert (child.returncode, last["exit_code"], last["level"]) == (code, code, "error")
    assert re.fullmatch("LX-[A-Z]+-[0-9]{3}", last["code"])
    assert "golden" in last["message"]


@each_engine
@pytest.mark.usefixtures("java")
def test_a_port_in_use(place: Place, archive_of: Callable[[str], Path], engine: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(min(taken.getsockname()[1], 65000))
        words = ["--engine", engine, "--port", port, "--foreground", "--log-format", "json"]
        result = place.console("serve", str(archive_of("onnx-int8")), *words)
    parsed(result.out)
    [last] = parsed(result.err)
    assert (result.code, last["exit_code"]) == (3, 3)
    assert port in last["message"]


def test_wrong_options_are_lines_of_json_too(lexport: Callable[..., Result], place: Place) -> None:
    result = lexport("serve", "absent.mar", "--log-format", "json", "--engine", "embedded")
    [last] = parsed(result.err)
    assert (result.code, last["exit_code"], last["level"]) == (2, 2, "error")
    assert "absent.mar" in last["message"]
    [last] = parsed(lexport("serve", "--log-format", "json", "--json").err)
    assert last["code"] == "LX-CLI-086"
    result = lexport("serve", "--log-format", "xml")  # as text: nobody has asked for JSON
    assert (result.code, split_error(result.err.strip())[0]) == (2, "LX-CLI-085")


def test_without_the_foreground_the_start_is_told_in_json(
    lexport: Callable[..., Result], place: Place, archive_of: Callable[[str], Path]
) -> None:
    archive = str(archive_of("onnx-int8"))
    result = lexport("serve", archive, "--engine", "embedded", "--port", "0", "--log-format", "json")
    assert result.code == 0
    assert "The embedded engine runs" in parsed(result.out)[-1]["message"]
    assert lexport("stop").out.startswith("Stopped the server")  # as text again
