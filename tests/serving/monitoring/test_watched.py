"""Real servers of both engines, looked at while they are asked, changed, killed, stopped and started again."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rich.console import Console

import lexport
from lexport.client.once import predict
from lexport.errors import SystemProblem
from lexport.reports import status_tables as screens
from lexport.serving import Server, logs, looks, running, serve, status, stop
from lexport.serving.monitoring.looks import Look
from lexport.serving.operations import promote, scale

from ...refusals import refused

ENGINES = ("embedded", pytest.param("torchserve", marks=pytest.mark.long))
SECRET = "unmentionableword"


@pytest.fixture(scope="module", params=ENGINES)
def shared(
    request: pytest.FixtureRequest, archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of one engine with two workers of an archive. Its workers and processes may be killed."""
    if request.param == "torchserve":
        request.getfixturevalue("java")
    folder = tmp_path_factory.mktemp(request.param) / "s"
    server = serve([archive_of("onnx-int8")], engine=request.param, workers="cpu:2", port=0, state_dir=folder)
    yield server
    stop(folder)


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def counted(server: Server, requests: int) -> dict[str, Any]:
    """The model once so many requests are counted: workers of TorchServe tell their counts once a second."""

    def look() -> dict[str, Any] | None:
        [model] = status(server.state_dir)["models"]
        return model if model["requests"] >= requests else None

    found: dict[str, Any] = until(look)
    return found


def command(server: Server, *words: str) -> list[str]:
    return [sys.executable, "-m", "lexport", *words, "--state-dir", str(server.state_dir)]


def said(server: Server, **options: Any) -> list[str]:
    return [entry.line for entry in logs(server.state_dir, **options)]


def test_status_has_the_figures_of_each_model_and_of_the_server(shared: Server) -> None:
    [before] = status(shared.state_dir)["models"]
    for _ in range(3):
        predict("topics", [f"goal rain {SECRET}"], state_dir=shared.state_dir)
    model = counted(shared, before["requests"] + 3)
    assert model["requests"] == before["requests"] + 3
    assert model["variant"] == "onnx-int8"
    assert model["unknown_share"] == pytest.approx(1 / 3)
    assert model["recent"] is None
    if shared.engine == "embedded":
        assert 0 < model["p50_seconds"] <= model["p99_seconds"] < 10
    else:
        assert (model["p50_seconds"], model["p99_seconds"]) == (None, None)
    found = lexport.server(state_dir=shared.state_dir).status()
    assert found["engine"] == shared.engine
    assert 0 < found["uptime_seconds"] < 600
    assert found["total_memory_bytes"] > 50_000_000


def test_a_second_look_has_rates_of_the_time_between(shared: Server) -> None:
    found = looks(shared.state_dir, seconds=2.5)
    first = next(found)
    assert first.values is not None
    assert first.values["models"][0]["recent"] is None
    for _ in range(5):
        predict("topics", ["goal rain"], state_dir=shared.state_dir)
    second = next(found)
    assert second.values is not None
    recent = second.values["models"][0]["recent"]
    assert recent["requests_per_second"] * recent["seconds"] == pytest.approx(5)
    assert recent["unknown_share"] == 0.0
    assert (recent["p99_seconds"] is not None) == (shared.engine == "embedded")
    third = next(found)
    assert third.values is not None
    assert third.values["models"][0]["recent"]["requests_per_second"] == 0.0
    assert third.values["models"][0]["recent"]["unknown_share"] is None


def test_the_logs_tell_starts_and_changes(shared: Server) -> None:
    promote("topics", "1.0", state_dir=shared.state_dir)
    scale("topics", 1, state_dir=shared.state_dir)
    scale("topics", 2, state_dir=shared.state_dir)
    url, token = shared.management_url, shared.token("management")
    httpx.put(f"{url}/models/topics/1.0/set-default", headers={"Authorization": f"Bearer {token}"}).raise_for_status()
    entries = list(logs(shared.state_dir))
    assert [entry.time for entry in entries] == sorted(entry.time for entry in entries)
    changes = [entry.line.rstrip(".") for entry in entries if entry.kind == "change"]
    assert "topics 1.0 is the default of its name" in changes
    assert (
        len([line for line in changes if re.search(r"answered by [12] workers?\b|workers is set to [12]", line)]) >= 2
    )
    assert any("runs (pid" in entry.line for entry in entries if entry.kind == "start")


def test_a_killed_worker_is_in_the_logs_and_the_last_error(shared: Server) -> None:
    victim = status(shared.state_dir)["models"][0]["workers"][0]["pid"]
    before = len([entry for entry in logs(shared.state_dir) if entry.kind == "death"])
    os.kill(victim, signal.SIGKILL)
    until(lambda: len([entry for entry in logs(shared.state_dir) if entry.kind == "death"]) > before)
    error = until(lambda: status(shared.state_dir)["last_error"])
    assert error["kind"] == "death"
    assert "killed by signal 9" in error["line"] or f"(pid {victim}) has ended" in error["line"]
    until(lambda: not status(shared.state_dir)["problems"])


def test_no_text_of_a_request_is_ever_logged(shared: Server) -> None:
    headers = {"Authorization": f"Bearer {shared.token()}"}
    url = f"{shared.inference_url}/predictions/topics"
    bodies = [f'{{"texts": ["{SECRET}"', f'{{"texts": ["{SECRET}", 3]}}', f'{{"{SECRET}": 3}}', SECRET]
    answers = [httpx.post(url, content=body, headers=headers).status_code for body in bodies]
    answers += [httpx.post(url, content=SECRET).status_code]
    answers += [httpx.post(f"{url}none", content=SECRET, headers=headers).status_code]
    assert {400, 404} <= set(answers)
    if shared.engine == "embedded":  # TorchServe's access log is closed
        until(lambda: any(entry.kind == "refused" and "404" in entry.line for entry in logs(shared.state_dir)))
    lines = said(shared, everything=True)
    assert len(lines) > len(said(shared))
    assert not [line for line in lines if SECRET in line]


def test_piped_it_prints_a_block_for_each_look_and_ends_with_130(shared: Server) -> None:
    child = subprocess.Popen(
        command(shared, "status", "--watch", "0.5"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    lines: list[str] = []
    while sum(shared.inference_url in line for line in lines) < 3:
        lines.append(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert "\x1b" not in "".join(lines) + out
    assert any("of the last 0." in line for line in lines)


def test_as_json_each_look_is_a_line(shared: Server) -> None:
    child = subprocess.Popen(command(shared, "status", "--watch", "0.5", "--json"), stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first, second = (json.loads(child.stdout.readline()) for _ in range(2))
    child.terminate()
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert (first["note"], first["problem"], first["engine"]) == ("", "", shared.engine)
    assert first["time"] < second["time"]
    assert second["models"][0]["recent"]["requests_per_second"] == 0.0


def test_on_a_terminal_the_screen_is_drawn_in_its_place_and_the_cursor_comes_back(shared: Server) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command(shared, "status", "--watch", "0.5"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "40"},
    )
    os.close(theirs)
    shown = b""
    while shown.count(shared.inference_url.encode()) < 3:
        shown += os.read(ours, 65536)
    child.send_signal(signal.SIGINT)
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    assert child.wait(60) == 130
    os.close(ours)
    assert b"\x1b[?25l" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"\x1b[1A" in shown  # back up to where it began
    assert b"Traceback" not in shown


def test_the_screen_is_readable_in_40_columns(shared: Server) -> None:
    screen = io.StringIO()
    Console(file=screen, width=40).print(screens.status(status(shared.state_dir)))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert "topics 1.0 (default), onnx-int8" in lines
    assert any(line.startswith("  requests ") for line in lines)
    assert any(line.startswith("  worker 900") for line in lines)


def test_a_restart_is_waited_for_and_told(shared: Server) -> None:
    found = looks(shared.state_dir, seconds=0.2)
    assert next(found).note == ""
    server = running(shared.state_dir)
    worker = status(shared.state_dir)["models"][0]["workers"][0]["pid"]
    os.kill(server.pid if server.engine == "torchserve" else worker, signal.SIGKILL)
    seen: list[Look] = []
    deadline = time.monotonic() + 90
    while not any(look.note for look in seen) or seen[-1].values is None or seen[-1].values["problems"]:
        seen.append(next(found))
        assert time.monotonic() < deadline
    [note] = [look.note for look in seen if look.note]
    assert "started again" in note
    assert "killed by signal 9" in note
    if server.engine == "torchserve":
        assert any(look.values is None and look.problem for look in seen)
        restarts = [entry.line for entry in logs(shared.state_dir) if entry.kind == "restart"]
        assert restarts == ["Starting TorchServe again (restart 1, 1 in a row)."]


def test_logs_as_json_are_a_line_each(shared: Server) -> None:
    done = subprocess.run(command(shared, "logs", "--json", "-n", "2"), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 2
    assert all(sorted(one) == ["file", "kind", "line", "time"] for one in found)
    assert [one["line"] for one in found] == said(shared, last=2)


def test_every_line_has_the_name_of_its_file(shared: Server) -> None:
    done = subprocess.run(command(shared, "logs", "--all"), capture_output=True, text=True, timeout=120)
    names = {path.name for path in shared.logs.iterdir() if path.stat().st_size}
    assert {line.split()[1].removesuffix(":") for line in done.stdout.splitlines()} <= names
    assert "supervisor.log:" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_followed_through_a_stop_and_a_start_until_it_is_gone_for_good(
    engine: str, archive_of: Callable[[str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "torchserve":
        request.getfixturevalue("java")

    def start() -> Server:
        archives = [archive_of("onnx-int8")]
        return serve(archives, engine=engine, workers="cpu:1", port=0, state_dir=tmp_path / "s")

    first = start()
    lines: list[str] = []
    following = threading.Thread(
        target=lambda: lines.extend(entry.line for entry in logs(first.state_dir, follow=True, patience=30.0))
    )
    found = looks(first.state_dir, seconds=0.2, patience=30.0)
    try:
        assert next(found).values is not None
        following.start()
        stop(first.state_dir)
        assert next(found).problem
        second = start()
        notes = [look.note for look in (next(found) for _ in range(50)) if look.note]
        assert notes == [f"The server was started again (pid {second.supervisor})."]
        ending = looks(first.state_dir, seconds=0.1, patience=0.5)
        next(ending)
        brief = logs(first.state_dir, follow=True, patience=0.5)
    finally:
        stop(first.state_dir)
    with refused(SystemProblem, "LX-SERVE-056"):
        for look in ending:
            assert look.problem
    assert [entry.line for entry in brief][-1] == "The server has ended."
    following.join(60)
    assert not following.is_alive()
    assert lines.count("The server has ended.") == 2
    assert said(first)[-1] == "The server has ended."
    assert not psutil.pid_exists(second.supervisor)


def test_seconds_without_watch_and_two_questions_at_once_are_refused(tmp_path: Path) -> None:
    for code, words in (("LX-SERVE-203", ["5"]), ("LX-SERVE-202", ["--watch", "--live"])):
        words = [sys.executable, "-m", "lexport", "status", *words, "--state-dir", str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2
        assert code in done.stderr


def test_without_a_server_watch_ends_with_3_at_once(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "lexport", "status", "--watch", "--state-dir", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    assert "LX-SERVE-056" in done.stderr
