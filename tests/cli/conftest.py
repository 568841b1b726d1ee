"""The command line in this process and as the real console command, in a place where every trace shows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lexport.__main__ import run

CONSOLE = str(Path(sys.executable).with_name("lexport"))

# Started from a script's background job or with nohup, pytest and its children would ignore these.
WITH_SIGNALS = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv[1] == "ignored" else signal.SIG_DFL)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line of an error."""
        assert "Traceback" not in self.err
        [line] = self.err.splitlines()
        return as_text(line)

    @property
    def error(self) -> tuple[str, str]:
        """The code and the message of an error of one line."""
        return split_error(self.line)


def as_text(line: str) -> str:
    """Return the line that people see of an error; with --json it is JSON."""
    if not line.startswith("{"):
        return line
    said = json.loads(line)
    return f"error[{said['code']}]: {said['message']}" if "code" in said else str(said["message"])


def split_error(line: str) -> tuple[str, str]:
    """Return the code and the message of a line such as "error[LX-DATA-012]: …"."""
    found = re.fullmatch(r"error\[(LX-[A-Z]+-[0-9]{3})\]: (.*)", line)
    assert found, line
    return found[1], found[2]


class Place:
    """An empty working folder, and a temporary folder that only commands started here use."""

    def __init__(self, cwd: Path, temporary: Path) -> None:
        self.cwd = cwd
        self.temporary = temporary

    def files(self) -> list[str]:
        """Everything that lies here, hidden too, but for the cache folder that torch's optimizers make."""
        found = [path for root in (self.cwd, self.temporary) for path in root.rglob("*")]
        return sorted(str(path) for path in found if not path.name.startswith("torchinductor_"))

    def processes(self) -> list[str]:
        """Living processes that were started here, TorchServe's and Locust's too."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mine = process.environ().get("TMPDIR", "").startswith((str(self.temporary), str(self.cwd)))
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:200])
        return found

    def start(self, *arguments: str, sigint: str = "default", console: bool = True) -> subprocess.Popen[str]:
        """The real console command, in a session of its own as a terminal's foreground job is in its group."""
        command = [CONSOLE, *arguments] if console else [*arguments]
        return subprocess.Popen(
            [sys.executable, "-c", WITH_SIGNALS, sigint, *command],
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def console(self, *arguments: str) -> Result:
        """The real console command, to its end."""
        with self.start(*arguments) as child:
            out, err = child.communicate(timeout=120)
        return Result(child.returncode, out, err)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    base = Path(tempfile.mkdtemp(prefix="lc-", dir="/tmp")).resolve()  # short enough for sockets
    cwd, temporary = base / "cwd", base / "tmp"
    cwd.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("XDG_STATE_HOME", str(cwd / "state"))
    yield Place(cwd, temporary)
    shutil.rmtree(base)


@pytest.fixture
def lexport(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command line in this process."""

    def command(*arguments: str) -> Result:
        capfd.readouterr()
        code = run([*arguments])
        return Result(code, *capfd.readouterr())

    return command


def wait_for(condition: Callable[[], object], child: subprocess.Popen[str], seconds: float = 60.0) -> None:
    """Wait until something is so; fail with the child's words if it ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if child.poll() is not None or time.monotonic() > deadline:
            os.killpg(child.pid, 9) if child.poll() is None else None
            pytest.fail(f"did not happen; exit code {child.poll()}, said {child.communicate()}")
        time.sleep(0.01)
