"""Starts of the real TorchServe that fail or are broken off: explained, and nothing left."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import SystemProblem
from lexport.serving import serve, start, stop
from lexport.serving.settings.addresses import Address
from lexport.serving.settings.ports import pick_free

from ...hostile import EVIL, check
from ...refusals import refused
from ...stranger_cases import stock_archive

MakeArchive = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("java")

REPORTS_FAILURE = """
import json, os
class Broken:
    def initialize(self, context):
        try:
            self.check()
        except ValueError as error:
            import traceback
            path = os.path.join(os.environ["LEXPORT_REPORT_DIR"], f"{os.getpid()}.json")
            facts = {"pid": os.getpid(), "model": "broken", "ready": False, "error": f"ValueError: {error}",
                     "traceback": traceback.format_exc()}
            with open(path + ".partial", "w") as partial:
                json.dump(facts, partial)
            os.replace(path + ".partial", path)
            raise
    def check(self):
        raise ValueError("golden 3 answered 'sport', recorded is 'politics'")
    def handle(self, data, context):
        return data
"""

MISSING_MODULE = """
import absent_thing
class Broken:
    def initialize(self, context):
        pass
    def handle(self, data, context):
        return data
"""

RAISES_WITHOUT_REPORT = """
class Broken:
    def initialize(self, context):
        raise RuntimeError("the vocabulary has 3 words, the table 4 rows")
    def handle(self, data, context):
        return data
"""

ENDS_WITHOUT_A_WORD = """
import os
class Broken:
    def initialize(self, context):
        os._exit(9)
    def handle(self, data, context):
        return data
"""

NEVER_READY = """
import time
class Slow:
    def initialize(self, context):
        time.sleep(600)
    def handle(self, data, context):
        return data
"""

SAYS_HOSTILE_THINGS = f"""
EVIL = {EVIL!r}
class Broken:
    def initialize(self, context):
        print(EVIL, flush=True)
        raise RuntimeError(EVIL)
    def handle(self, data, context):
        return data
"""

# `lexport` may be the checkout this test runs in; a child process finds it the same way.
SERVE = """
import sys
from pathlib import Path
from lexport.serving import serve
serve([Path(sys.argv[1])], state_dir=Path(sys.argv[2]), port=0, trust_code=True,
      say=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize(
    ("handler", "made_by_lexport", "reason", "last_line"),
    [
        (REPORTS_FAILURE, True, "could not start: ValueError: golden 3 answered", "ValueError: golden 3"),
        pytest.param(
            MISSING_MODULE,
            True,
            "No module named 'absent_thing'",
            "ModuleNotFoundError: No module named 'absent_thing'",
            marks=pytest.mark.long,
        ),
        (RAISES_WITHOUT_REPORT, False, "RuntimeError: the vocabulary has 3 words", "RuntimeError: the vocabulary"),
        pytest.param(
            ENDS_WITHOUT_A_WORD,
            False,
            "A worker of broken 1.0 could not start: its last line was",
            "",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_worker_that_cannot_start_is_explained_and_nothing_is_left(
    make_archive: MakeArchive,
    tmp_path: Path,
    traces: Any,
    handler: str,
    made_by_lexport: bool,
    reason: str,
    last_line: str,
) -> None:
    archives = [
        make_archive(tmp_path, "fine"),
        make_archive(tmp_path, "broken", handler=handler, made_by_lexport=made_by_lexport),
    ]
    folder = tmp_path / "state"
    with refused(SystemProblem, "LX-SERVE-072") as caught:
        serve(archives, workers="cpu:1", state_dir=folder, port=0, trust_code=True)
    first, trace = caught.value.message, caught.value.below.splitlines()
    assert "A worker of broken 1.0 could not start" in first
    assert reason in first
    assert caught.value.exit_code == 3
    if last_line:
        assert trace[0] == "Traceback (most recent call last):"
        assert 'File "handler.py", line' in trace[1]
        assert trace[-1].startswith(last_line)
        assert "site-packages/ts/" not in str(caught.value)
    assert traces.processes() == []
    assert traces.folders() == []
    assert sorted(path.name for path in folder.iterdir()) == [".lexport-state", "logs"]


@pytest.mark.long
@pytest.mark.skipif(find_spec("captum") is not None, reason="captum is installed")
def test_a_package_that_torchserves_own_handler_needs_comes_with_its_pip_line(tmp_path: Path, traces: Any) -> None:
    (tmp_path / "source_vocab.pt").write_bytes(b"never read")
    mar = stock_archive(tmp_path, "tc", "--extra-files", "source_vocab.pt", handler="text_classifier")
    with refused(SystemProblem, "LX-SERVE-072") as caught:
        serve([mar], workers="cpu:1", state_dir=tmp_path / "state", port=0, trust_code=True)
    assert (
        "No module named 'captum'. TorchServe's own handler text_classifier needs it. Install it where TorchServe "
        "runs: pip install captum"
    ) in caught.value.message
    assert caught.value.below == ""
    assert traces.processes() == []


def test_what_a_worker_says_disturbs_neither_the_terminal_nor_who_reads_the_logs(
    make_archive: MakeArchive, tmp_path: Path, traces: Any
) -> None:
    path, folder = make_archive(tmp_path, "broken", handler=SAYS_HOSTILE_THINGS), tmp_path / "state"
    with refused(SystemProblem, "LX-SERVE-072", "broken 1.0") as caught:
        serve([path], workers="cpu:1", state_dir=folder, port=0, trust_code=True)
    check(str(caught.value))
    assert "RuntimeError: x?[2J?]0;title" in str(caught.value)
    for log in (folder / "logs").iterdir():
        text = log.read_bytes().decode("utf-8", "replace")
        found = {one for one in text if one not in "\n\t" and (not one.isprintable() or one == "\x1b")}
        assert found == set(), f"{log.name}: {found}"
    assert "x?[2J?]0;title" in (folder / "logs" / "model_log.log").read_text(encoding="utf-8")


def test_too_slow_a_start_is_given_up(make_archive: MakeArchive, tmp_path: Path, traces: Any) -> None:
    with refused(SystemProblem, "LX-SERVE-068", "4 s", "1 of 1", "slow", "--timeout"):
        serve(
            [make_archive(tmp_path, "slow", handler=NEVER_READY)],
            workers="cpu:1",
            state_dir=tmp_path / "state",
            port=0,
            trust_code=True,
            timeout=4.0,
        )
    assert traces.processes() == []
    assert traces.folders() == []


def test_an_archive_torchserve_refuses_is_explained(make_archive: MakeArchive, tmp_path: Path, traces: Any) -> None:
    archive = make_archive(tmp_path, "odd")
    with zipfile.ZipFile(archive) as before:
        members = {name: before.read(name) for name in before.namelist()}
    members["MAR-INF/MANIFEST.json"] = members["MAR-INF/MANIFEST.json"].replace(b'"python"', b'"cobol"')
    with zipfile.ZipFile(archive, "w") as after:
        for name, content in members.items():
            after.writestr(name, content)
    with refused(SystemProblem, "LX-SERVE-069", "odd-1.0.mar", "Runtime is not defined"):
        serve([archive], state_dir=tmp_path / "state", port=0, trust_code=True)
    assert traces.processes() == []
    assert traces.folders() == []


def test_settings_java_refuses_are_explained(make_archive: MakeArchive, tmp_path: Path, traces: Any) -> None:
    own = tmp_path / "own.properties"
    own.write_text("number_of_netty_threads=plenty\n")
    with refused(SystemProblem, "LX-SERVE-070", '"plenty"'):
        serve([make_archive(tmp_path, "echo")], state_dir=tmp_path / "state", port=0, config=own, trust_code=True)
    assert traces.folders() == []


@pytest.mark.long
def test_a_port_taken_at_the_last_moment_is_replaced(
    make_archive: MakeArchive, tmp_path: Path, traces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, tries = make_archive(tmp_path, "echo"), []

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        def pick(endpoints: dict[str, Address]) -> dict[str, Address]:
            picked = pick_free(endpoints)
            tries.append(picked)
            return picked if len(tries) > 1 else picked | {"metrics": Address("127.0.0.1", taken.getsockname()[1])}

        monkeypatch.setattr(start, "pick_free", pick)
        server = serve([archive], workers="cpu:1", state_dir=tmp_path / "state", port=0, trust_code=True)
    assert len(tries) == 2
    assert traces.folders() == [server.run_dir]
    stop(server.state_dir)
    assert traces.processes() == []


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, -signal.SIGINT, marks=pytest.mark.long), (signal.SIGTERM, 143)]
)
def test_an_interrupted_start_leaves_nothing(
    make_archive: MakeArchive, tmp_path: Path, traces: Any, number: signal.Signals, code: int
) -> None:
    archive = make_archive(tmp_path, "slow", handler=NEVER_READY)
    command = [sys.executable, "-c", SERVE, str(archive), str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert "its code may run" in child.stdout.readline()
        assert "Starting TorchServe" in child.stdout.readline()
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("state/run/.ts.sock.*")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        child.send_signal(number)
        child.communicate(timeout=30)
        assert child.returncode == code
    assert traces.processes() == []
    assert traces.folders() == []
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [".lexport-state", "logs"]
