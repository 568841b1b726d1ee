"""How `faults.py` brings about each fault of a server under load; nothing here knows how lexport starts one.

Processes are found from the one that `serve` returned: TorchServe's Java and the workers are that process itself or
descend from it.
"""

from __future__ import annotations

import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lexport import serving
from lexport.errors import RefusedError, SystemProblem
from lexport.serving import operations
from lexport.serving.canary.rule import Rule
from lexport.serving.canary.run import canary
from lexport.serving.canary.verdict import Limits

MODEL = "faults"
IDLE, FILES, SPARE = 1000, 1024, 300


@dataclass(frozen=True)
class Settings:
    """Seconds of each part of a row."""

    warmup: float = 3.0
    before: float = 2.0
    kills: int = 20
    held: float = 20.0
    """How long idle connections stay open."""
    after: float = 1.0
    """How long the load goes on after a server has ended."""
    recover: float = 60.0
    """The most that is waited for the rate to come back."""


@dataclass(frozen=True)
class Served:
    """A server under load, and the `lexport serve --foreground` that it belongs to, if it was started so."""

    server: serving.Server
    settings: Settings
    foreground: subprocess.Popen[str] | None
    following: Path
    """The next version of the archive that it serves."""


def processes(served: Served, kind: str) -> list[psutil.Process]:
    """The server's running Java (`frontend`) or worker processes, of either engine, the oldest first."""
    found = []
    with suppress(psutil.Error):
        root = psutil.Process(served.server.pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):
                command = process.cmdline()
                if _is_frontend(command) if kind == "frontend" else _is_worker(command):
                    found.append((process.create_time(), process.pid, process))
    return [process for _, _, process in sorted(found, key=lambda one: one[:2])]


def _is_frontend(command: Sequence[str]) -> bool:
    """Whether a command line is that of Java with TorchServe's main class, or a launcher class around it."""
    java = bool(command) and Path(command[0]).name == "java"
    return java and any(part == "org.pytorch.serve.ModelServer" or part.endswith("Launcher") for part in command)


def _is_worker(command: Sequence[str]) -> bool:
    """Whether a command line is that of TorchServe's worker, or of a process of the embedded engine."""
    return "--sock-name" in command or "lexport.serving.embedded.processes.worker" in command


def stop(served: Served) -> str:
    """Stop the server as `lexport stop` does."""
    serving.stop(served.server.state_dir)
    return "stopped"


def terminate(served: Served) -> str:
    """Send SIGTERM to the server's supervisor, or to the `lexport serve --foreground` above it, and await its end."""
    pid = served.foreground.pid if served.foreground else served.server.supervisor
    process = psutil.Process(pid)
    process.send_signal(signal.SIGTERM)
    try:
        if served.foreground:
            return f"exit code {served.foreground.wait(60)}"
        process.wait(60)
        return "ended"
    except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
        return "still there after 60 s"


def kill(served: Served, kind: str) -> int:
    """Kill the oldest process of a kind; the number of processes killed, 0 if there is none at the moment."""
    for process in processes(served, kind)[:1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            return 1
    return 0


def kill_each_second(served: Served) -> str:
    """Kill the oldest worker each second; a second in which none runs has no kill."""
    kills = 0
    began = time.monotonic()
    for second in range(served.settings.kills):
        time.sleep(max(0.0, began + second - time.monotonic()))
        kills += kill(served, "worker")
    return f"{kills} kills in {served.settings.kills} s"


def remove_models(served: Served) -> str:
    """Remove the folder of extracted models, and kill a worker. Those of TorchServe have it as their own."""
    if served.server.engine == "embedded":
        folder = served.server.run_dir / "models"
    else:
        workers = processes(served, "worker")
        folder = Path(workers[0].cwd() if workers else "/").parent
    if folder.name != "models" or not folder.is_relative_to(Path(tempfile.gettempdir()).resolve()):
        raise SystemProblem(f"The workers run in {folder}. Expected a folder `models` of this benchmark's server.")
    shutil.rmtree(folder)
    return f"folder removed, {kill(served, 'worker')} kill"


def deploy(served: Served) -> str:
    """Deploy the next version beside the one that is served."""
    operations.deploy(served.following, state_dir=served.server.state_dir)
    return "version 2.0 beside 1.0"


def change_default(served: Served) -> str:
    """Deploy the next version, promote it, and roll back."""
    state = served.server.state_dir
    operations.deploy(served.following, promoted=True, state_dir=state)
    operations.rollback(MODEL, state_dir=state)
    return "2.0 deployed and promoted, rolled back to 1.0"


def try_out(served: Served) -> str:
    """Deploy the next version and send half of the requests to it for a while."""
    state = served.server.state_dir
    operations.deploy(served.following, state_dir=state)
    rule, limits = Rule(MODEL, "2.0", 0.5), Limits(latency=1_000.0, least=1_000_000)
    result = canary(rule, limits, seconds=served.settings.kills / 4, state_dir=state)
    return f"{result.tally.canary.answers:,} of {result.tally.canary.answers + result.tally.stable.answers:,} to 2.0"


def take_out(served: Served) -> str:
    """Deploy and promote the next version, and take the first one out."""
    state = served.server.state_dir
    operations.deploy(served.following, promoted=True, state_dir=state)
    operations.undeploy(MODEL, "1.0", state_dir=state)
    return "2.0 in place of 1.0"


def scale(served: Served) -> str:
    """Scale the model from 1 to 4 workers and back."""
    for workers in (4, 1):
        operations.scale(MODEL, workers, state_dir=served.server.state_dir)
    return "1, 4, 1 workers"


def deploy_corrupt(served: Served) -> str:
    """Try to deploy an archive with an altered byte, which must be refused."""
    content = bytearray(served.following.read_bytes())
    content[len(content) // 2] ^= 0xFF
    with tempfile.TemporaryDirectory(prefix="lexport-corrupt-") as folder:
        corrupt = Path(folder, served.following.name)
        corrupt.write_bytes(content)
        try:
            operations.deploy(corrupt, state_dir=served.server.state_dir)
        except RefusedError as refusal:
            return f"refused: {refusal.code}"
    raise SystemProblem("A corrupt archive was deployed.")


def remove_store(served: Served) -> str:
    """Remove the server's copies of its archives, and kill a worker."""
    shutil.rmtree(served.server.state_dir / "store")
    return f"store removed, {kill(served, 'worker')} kill"


def fill_disk(served: Served) -> str:
    """Leave no space in the file system of the server's logs for a while."""
    ballast, written = served.server.state_dir.parent / "ballast", 0
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            written += file.write(bytes(1 << 16))
    time.sleep(served.settings.held)
    ballast.unlink()
    return f"full for {served.settings.held:g} s"


def fill(served: Served) -> str:
    """Open idle connections, hold them, close them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + SPARE
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    host, _, port = served.server.inference_url.removeprefix("http://").rpartition(":")
    opened = 0
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with suppress(OSError):  # refused, or not taken in a second
            for _ in range(limit - SPARE):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=1.0))
                opened += 1
        time.sleep(served.settings.held)
    return f"{opened:,} idle connections for {served.settings.held:g} s"


def fill_few_files(served: Served) -> str:
    """Do as `fill` against a Java that may open no more files than a shell's usual limit lets it."""
    for process in processes(served, "frontend"):
        process.rlimit(psutil.RLIMIT_NOFILE, (FILES, FILES))
    return f"{fill(served)}, {FILES:,} files"


def once(kind: str) -> Callable[[Served], str]:
    """Return the fault that kills one process of a kind."""

    def fault(served: Served) -> str:
        return f"{kill(served, kind)} kill"

    return fault
