"""The supervisor, with a program of a line in the place of TorchServe's Java."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lexport.errors import SystemProblem
from lexport.serving import Server, launch, running, state, stop, wait
from lexport.serving.folders import fresh_logs, make_private
from lexport.serving.plan import Plan
from lexport.serving.process import end, is_alive, is_running
from lexport.serving.settings.environment import server_environment
from lexport.serving.settings.files import read_settings
from lexport.serving.torchserve.engine import run
from lexport.serving.torchserve.process import frontend

from ...refusals import refused
from ..test_state import server

LASTS = ["sh", "-c", "sleep 600 & wait"]
ENDS_AT_ONCE = ["sh", "-c", "echo java.io.IOException: No space left; exit 3"]
PLAN = Plan(device="cpu", gpus=0, workers={"m": 1}, threads=1, cores=1)

# `lexport` may be the checkout this test runs in; a child process finds it the same way.
CALLER = """
import sys, time
from pathlib import Path
from lexport.serving import launch
from {tests} import started
server = started(Path(sys.argv[1]), bound=sys.argv[2] == "bound", ready=sys.argv[3] == "ready")
print("started", flush=True)
time.sleep(600)
"""


def started(folder: Path, command: list[str] = LASTS, *, bound: bool = False, ready: bool = True) -> Server:
    make_private(folder)
    fresh_logs(folder)
    described = replace(server(folder), authorized=False)  # the programs here take no tokens
    environment = server_environment(os.environ, (), folder, described.id, PLAN, read_settings())
    made = run(described, command, environment, None, bound=bound)
    if ready:
        launch.keep(made, bound=bound)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "state"
    yield made
    end(server(made).id, patience=0.0)


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def log(folder: Path) -> str:
    return (folder / "logs" / "supervisor.log").read_text()


def test_it_is_light_and_runs_what_it_is_told(folder: Path) -> None:
    made = started(folder)
    assert running(folder) == made
    java = frontend(made)
    assert java is not None
    assert java.ppid() == made.supervisor
    supervisor = psutil.Process(made.supervisor)
    assert supervisor.num_threads() == 1
    assert supervisor.memory_info().rss < 40_000_000
    assert os.getsid(made.supervisor) == made.supervisor  # Ctrl-C in a terminal does not reach it
    stop(folder)
    assert not is_alive(made.supervisor)
    assert not is_alive(made.pid)
    assert "The server has ended." in log(folder)


def test_what_dies_is_started_again_and_said(folder: Path) -> None:
    made = started(folder)
    psutil.Process(made.pid).kill()
    until(lambda: running(folder).restarts == 1)
    again = running(folder)
    assert (again.id, again.supervisor) == (made.id, made.supervisor)
    assert again.last_reason == "killed by signal 9 (Killed)"
    assert frontend(again) is not None
    assert "killed by signal 9" in log(folder)
    stop(folder)


@pytest.mark.long
def test_what_dies_again_and_again_is_given_up(folder: Path) -> None:
    made = started(folder, ENDS_AT_ONCE)
    began = time.monotonic()
    with refused(SystemProblem, "LX-SERVE-053", "exit code 3: java.io.IOException: No space left"):
        wait(made)
    assert 14 < time.monotonic() - began < 60  # 0, 1, 2, 4, 8 s between the starts
    assert "died 6 times in a row" in log(folder)
    assert sorted(path.name for path in folder.iterdir()) == [".lexport-state", "logs"]


def test_nothing_is_started_again_before_the_server_was_ready(folder: Path) -> None:
    made = started(folder, ENDS_AT_ONCE, ready=False)
    until(lambda: "has ended: exit code 3" in log(folder))
    time.sleep(0.5)
    assert is_running(made)
    assert frontend(made) is None
    assert running(folder).restarts == 0


def test_a_command_that_does_not_run_is_said(folder: Path) -> None:
    with refused(SystemProblem, "LX-SERVE-065", "/absent/java: No such file", "JAVA_HOME"):
        started(folder, ["/absent/java"])


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end a child with its parent")
def test_what_it_runs_ends_with_a_killed_supervisor(folder: Path) -> None:
    made = started(folder)
    psutil.Process(made.supervisor).kill()
    until(lambda: not is_alive(made.pid))
    with refused(SystemProblem, "LX-SERVE-054", "supervisor was killed"):
        running(folder)
    stop(folder)
    assert state.load(folder) is None


@pytest.mark.parametrize(("bound", "ready", "ends"), [(True, True, True), (False, False, True), (False, True, False)])
def test_a_killed_caller(folder: Path, bound: bool, ready: bool, ends: bool) -> None:
    """A server ends with its caller if it is bound to it, or was not ready yet; nothing but logs is left of it."""
    program = CALLER.replace("{tests}", __name__)
    words = ["bound" if bound else "free", "ready" if ready else "starting"]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder), *words],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "started\n"
        made = running(folder)
        caller.kill()
        caller.wait()
        if ends:
            until(lambda: not is_alive(made.supervisor) and not is_alive(made.pid))
            assert sorted(path.name for path in folder.iterdir()) == [".lexport-state", "logs"]
            assert "has ended, and the server ends with it" in log(folder)
        else:
            time.sleep(1.0)
            assert running(folder) == made
            stop(folder)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_the_caller_does_not_keep_the_server(folder: Path) -> None:
    made = started(folder, bound=True)
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    try:
        launch.release(made.id)  # as at this process's own end
        until(lambda: not is_running(made))
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
