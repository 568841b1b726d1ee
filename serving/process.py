"""Processes: starting TorchServe's Java, telling it from others, ending it with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import distribution
from pathlib import Path
from types import FrameType

import psutil

from ..errors import SystemProblem
from .java import Java
from .plan import Plan
from .state import LOGS, SETTINGS, STORE, Server

REPORTS_VARIABLE = "LEXPORT_REPORT_DIR"
THREADS_VARIABLE = "LEXPORT_THREADS"
CORES_VARIABLE = "LEXPORT_CORES"

LOG_SETTINGS = Path(__file__).resolve().parent / "log4j2.xml"
# TorchServe reads these and would let them override the settings.
_OVERRIDES = ("TS_", "LOG_LOCATION", "METRICS_LOCATION", "SM_TELEMETRY_LOG")
# A Unix socket's path has at most 104 to 108 bytes, of which the folder's own name and `.ts.sock.NNNNN` take 32.
_LONGEST_PARENT = 70


def new_scratch() -> Path:
    """A private, empty temporary folder with a path short enough for Unix sockets."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST_PARENT:
        parent = "/tmp"
    scratch = Path(tempfile.mkdtemp(prefix="lexport-", dir=parent)).resolve()
    (scratch / "reports").mkdir()
    return scratch


def start_java(java: Java, state_dir: Path, scratch: Path, plan: Plan, vmargs: str) -> psutil.Process:
    """Start TorchServe in the background, in a session of its own, with `state_dir` as its working directory.

    The settings, store and log folder must be there already. Raises SystemProblem if TorchServe is not installed
    or Java cannot be started.
    """
    try:
        home = Path(str(distribution("torchserve").locate_file("")))
    except ModuleNotFoundError:
        raise SystemProblem("TorchServe is not installed. Install it with: pip install torchserve==0.12.0") from None
    command = [
        str(java.path),
        f"-Djava.io.tmpdir={scratch}",
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={LOG_SETTINGS.as_uri()}",
        # Performance counters would go to a shared folder in /tmp, whatever java.io.tmpdir says.
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={LOGS}/java_crash_%p.log",
        *vmargs.split(),
        *("-cp", str(home / "ts" / "frontend" / "*"), "org.pytorch.serve.ModelServer"),
        *("--python", sys.executable, "-f", SETTINGS, "-s", STORE, "-w", STORE, "-ncs"),
    ]
    try:
        with (state_dir / LOGS / "java.log").open("wb") as log:
            started = subprocess.Popen(
                command,
                cwd=state_dir,
                env=_environment(os.environ, scratch, plan),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise SystemProblem(f"Cannot start {java.path}: {error.strerror}. Set JAVA_HOME to a working Java.") from None
    # The server outlives this object, which would warn of that when collected; `end` reaps the process.
    started.returncode = 0
    return psutil.Process(started.pid)


def _environment(outer: Mapping[str, str], scratch: Path, plan: Plan) -> dict[str, str]:
    own = {key: value for key, value in outer.items() if not key.startswith(_OVERRIDES)}
    own |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    own |= dict.fromkeys((THREADS_VARIABLE, "OMP_NUM_THREADS"), str(plan.threads))
    own[CORES_VARIABLE] = str(plan.cores)
    # Idle OpenMP threads that spin take the cores from the other workers and from Java.
    own["OMP_WAIT_POLICY"] = "PASSIVE"
    own[REPORTS_VARIABLE] = str(scratch / "reports")
    if sys.platform == "linux":
        # In the locale "C" Java cannot open a file whose name is not ASCII.
        own["LC_ALL"] = "C.UTF-8"
    return own


def is_running(server: Server) -> bool:
    """Whether the server's Java runs; another process that was given the same number does not count."""
    return _leader(server) is not None


def workers_of(server: Server) -> dict[int, str]:
    """The server's worker processes: their TorchServe worker id (`9000`, …) by process number."""
    workers = {}
    leader = _leader(server)
    for child in leader.children() if leader else []:
        with suppress(psutil.Error):
            command = child.cmdline()
            if "--sock-name" in command:
                workers[child.pid] = command[command.index("--sock-name") + 1].rpartition(".")[2]
    return workers


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended (a zombie has)."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(scratch: Path, *, leader: int | None = None, patience: float) -> None:
    """End the processes of the server whose temporary folder is `scratch`, its Java (process `leader`) first.

    Each gets `patience` seconds to end by itself before it is killed; with 0 all are killed at once. Raises
    SystemProblem if one survives that.
    """
    if leader is not None:
        _end([process for process in _members(scratch) if process.pid == leader], patience)
    # Killed while starting a worker, Java may leave one that appears a moment later.
    for _ in range(5):
        left = _members(scratch)
        if not left:
            return
        _end(left, min(patience, 3.0))
    raise SystemProblem(f"The processes {[process.pid for process in left]} do not end. End them by hand.")


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into SystemExit(143), so that `finally` blocks run.

    Only the main thread can do that, and a handler of the caller's own stays.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leader(server: Server) -> psutil.Process | None:
    with suppress(psutil.Error):
        process = psutil.Process(server.pid)
        if is_alive(process.pid) and _belongs(process, server.scratch):
            return process
    return None


def _members(scratch: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _belongs(process, scratch) and is_alive(process.pid)]


def _belongs(process: psutil.Process, scratch: Path) -> bool:
    """A process of this server: its environment names the server's temporary folder, which no other one has.

    Unlike a process number with a start time, that survives a change of the clock, and it finds workers too.
    """
    try:
        return bool(process.environ().get(REPORTS_VARIABLE) == str(scratch / "reports"))
    except (psutil.Error, OSError):
        return False


def _end(processes: list[psutil.Process], patience: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL) if patience else (signal.SIGKILL,):
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(number)
        deadline = time.monotonic() + (patience if number == signal.SIGTERM else 10.0)
        while processes and time.monotonic() < deadline:
            for process in processes:
                with suppress(ChildProcessError):  # reaps it if it is ours
                    os.waitpid(process.pid, os.WNOHANG)
            processes = [process for process in processes if is_alive(process.pid)]
            time.sleep(0.02)
