"""Watching a run: what Locust's processes tell each second, put together, and shown in the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from array import array
from pathlib import Path

import pytest

from lexport.cli import live
from lexport.loadtest.driver.recorder import Recorder
from lexport.loadtest.driver.telling import Teller, read
from lexport.loadtest.locust_process import Load, Target, run
from lexport.loadtest.watching import Moment, look, watched

from .conftest import Stub

STARTED = 100.0


def recorder() -> Recorder:
    """Ten answers of 1 to 10 ms in the first second, and a failure."""
    found = Recorder(STARTED, STARTED + 10)
    for place in range(1, 11):
        found.request(STARTED + place / 20, STARTED, STARTED + place / 20 + place / 1000, None)
    found.request(STARTED + 0.9, STARTED, STARTED + 0.95, "HTTP 503")
    return found


def test_a_process_tells_what_came_since_it_last_told(tmp_path: Path) -> None:
    heard = recorder()
    teller = Teller(heard, tmp_path)
    teller.tell(STARTED + 1)
    [path] = tmp_path.iterdir()
    told = read(path)
    assert (told.second, told.span, told.finished, told.failures) == (1.0, 1.0, 10, 1)
    assert list(told.times) == pytest.approx(range(1, 11))
    heard.request(STARTED + 1.5, STARTED, STARTED + 1.75, None)
    teller.tell(STARTED + 3)
    told = read(path)
    assert (told.second, told.span, told.finished, told.failures) == (3.0, 2.0, 1, 1)
    assert told.times == array("d", [250.0])


def test_several_processes_are_one(tmp_path: Path) -> None:
    Teller(recorder(), tmp_path).tell(STARTED + 1)
    [one] = tmp_path.iterdir()
    one.rename(tmp_path / "telling-0")
    slow = Recorder(STARTED, STARTED + 10)
    slow.request(STARTED, STARTED, STARTED + 0.5, None)
    Teller(slow, tmp_path).tell(STARTED + 1)
    moment = look(tmp_path, "films cpu:1 16 users", 10.0)
    assert (moment.requests_per_second, moment.p99_ms, moment.failures) == (11.0, 500.0, 1)
    assert moment.left == pytest.approx(9.0, abs=2.0)
    assert str(moment).endswith(" left  11/s  p99 500 ms  1 failed")


def test_a_narrow_terminal_cuts_the_label_and_no_figure() -> None:
    moment = Moment("movie-reviews-1.0 embedded cpu:2 16 users", 4.2, 1864.0, 21.6, 0)
    line = "…reviews-1.0 embedded cpu:2 16 users  0:04 left  1,864/s  p99 21.6 ms  0 failed"
    assert moment.within(79) == line
    assert len(line) == 79
    assert moment.within(200) == str(moment)


def test_before_the_window_and_while_a_file_is_written_nothing_is_known(tmp_path: Path) -> None:
    assert str(look(tmp_path, "films cpu:1", 10.0)) == "films cpu:1  starting"
    (tmp_path / "telling-1").write_bytes(b'{"second": 1')
    (tmp_path / "telling-2").write_bytes(b'{"second": 1}\n')
    assert look(tmp_path, "films cpu:1", 10.0) == Moment("films cpu:1", None)


def test_what_an_earlier_run_told_is_forgotten(tmp_path: Path) -> None:
    Teller(recorder(), tmp_path).tell(STARTED + 1)
    with watched(tmp_path, "films", 10.0, None):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_a_real_run_is_watched(stub: Stub, tmp_path: Path, processes: int) -> None:
    seen: list[Moment] = []
    load = Load(4, 0.0, 4.0, None, 0.0, 0, processes=processes)
    with watched(tmp_path, "the run", load.duration, seen.append):
        measured = run(Target(stub.url, "m", ""), load, tmp_path)
    assert {moment.label for moment in seen} == {"the run"}
    busy = [moment for moment in seen if moment.requests_per_second]
    assert busy
    assert all(moment.left is not None and 0 <= moment.left <= 4 and moment.p99_ms for moment in busy)
    # Of the same order: a second of the run is not the whole of it.
    assert 0.2 < busy[-1].requests_per_second / measured["requests_per_second"] < 5
    assert len(list(tmp_path.glob("telling-*"))) == processes


COMMAND = [sys.executable, "-m", "lexport", "loadtest", "--users", "2", "--duration", "4s", "--expect", "label"]


def in_terminal(command: list[str], folder: Path, **variables: str) -> tuple[str, int]:
    """What a terminal of 80 columns was sent, and the exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    told = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")
    known = {name: value for name, value in os.environ.items() if name not in told}
    environment = known | {"TERM": "xterm", "XDG_STATE_HOME": str(folder)} | variables
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    sent = b""
    while True:
        try:
            found = os.read(ours, 1 << 16)
        except OSError:  # Linux' way to say that nobody has the terminal open any more
            break
        if not found:
            break
        sent += found
    os.close(ours)
    return sent.decode(), process.wait(60)


def test_a_terminal_shows_a_line_that_changes_and_is_gone_at_the_end(stub: Stub, tmp_path: Path) -> None:
    sent, code = in_terminal([*COMMAND, "--host", f"{stub.url}/ask"], tmp_path)
    assert code == 0, sent
    assert "left" in sent
    assert "/s  p99" in sent
    assert "\x1b[36m" in sent  # cyan
    last = sent[sent.rindex("left") :]
    assert "\x1b[2K" in last  # erased before the result
    assert "requests/s, p50" in last
    assert "report: loadtest-report/report.html" in last


@pytest.mark.long
def test_a_terminal_without_colours_has_none(stub: Stub, tmp_path: Path) -> None:
    sent, code = in_terminal([*COMMAND, "--host", f"{stub.url}/ask"], tmp_path, NO_COLOR="1")
    assert code == 0
    assert "left" in sent
    assert "\x1b[36m" not in sent
    assert "\x1b[31m" not in sent


@pytest.mark.parametrize("json", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_pipe_gets_no_line_that_changes(stub: Stub, tmp_path: Path, json: bool) -> None:
    command = [*COMMAND, "--host", f"{stub.url}/ask", *(["--json"] if json else [])]
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=90
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert " left " not in done.stdout + done.stderr
    assert done.stdout.startswith("{") == json


def test_without_a_terminal_a_long_run_says_a_line_each_half_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with live.watching(as_json=False) as (say, watch):
        assert watch is not None
        for _ in range(65):
            now += 1
            watch(Moment("films cpu:1 16 users", 1065 - now, 812.4, 20.06, 0))
        say("done")
    assert capsys.readouterr().out.splitlines() == [
        "films cpu:1 16 users  0:35 left  812/s  p99 20.1 ms  0 failed",
        "films cpu:1 16 users  0:05 left  812/s  p99 20.1 ms  0 failed",
        "done",
    ]
