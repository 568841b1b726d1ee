"""Start a server's supervisor, and keep the pipe that tells it how long to run the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import distribution
from pathlib import Path

from ...errors import MissingExtra, SystemProblem
from ..folders import LOGS, RUN, SETTINGS, STORE
from ..state import Server, load
from ..tokens import PLUGIN, Tokens
from .java import Java
from .settings import Address
from .supervisor import KEEP, LOG, READY

LOG_SETTINGS = Path(__file__).resolve().parent / "log4j2.xml"

# Load only the supervisor's modules, wherever this package is installed: the packages' __init__ files import far
# more.
_PROGRAM = """
import sys, types
for folder in ("", "/serving", "/serving/torchserve", "/serving/torchserve/health", "/handlers", "/handlers/runtime"):
    name = "lexport" + folder.replace("/", ".")
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1] + folder]
from lexport.serving.torchserve.supervisor import main
sys.exit(main())
"""

# By server id, the pipe that a supervisor reads. This process's end closes when the process ends for any reason.
_pipes: dict[str, int] = {}


def java_command(java: Java, folder: Path, vmargs: str) -> list[str]:
    """Return the command that runs TorchServe in the state folder.

    Raises MissingExtra if TorchServe is not installed.
    """
    try:
        home = Path(str(distribution("torchserve").locate_file("")))
    except ModuleNotFoundError:
        raise MissingExtra.of("ts", "Serving over HTTP") from None
    return [
        str(java.path),
        f"-Djava.io.tmpdir={folder / RUN}",
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={LOG_SETTINGS.as_uri()}",
        # Performance counters would go to a shared folder in /tmp, whatever java.io.tmpdir says.
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={LOGS}/java_crash_%p.log",
        *vmargs.split(),
        *("-cp", f"{PLUGIN}:{home}/ts/frontend/*", "org.pytorch.serve.ModelServer"),
        *("--python", sys.executable, "-f", SETTINGS, "-s", STORE, "-w", STORE, "-ncs"),
    ]


def start(
    server: Server,
    command: list[str],
    environment: dict[str, str],
    tokens: Tokens,
    *,
    bound: bool,
    health: Address | None = None,
) -> Server:
    """Start a supervisor in the background, in its own session; it starts TorchServe with `command`.

    `server` describes the server. `tokens` are the tokens that TorchServe accepts after every start. The settings,
    store and log folder must exist already. If this process ends before `keep` is called, the supervisor ends the
    server and clears its folder; with `bound` it does so at any later time too. The supervisor answers probes at
    `health`. Returns the server with its process numbers. Raises SystemProblem if Java cannot be started.
    """
    orders = {
        "server": asdict(server) | {"state_dir": str(server.state_dir)},
        "command": command,
        "tokens": asdict(tokens) if server.authorized else None,
        "health": None if health is None else [health.host, health.port],
        "bound": bound,
    }
    reading, _pipes[server.id] = os.pipe()
    try:
        with (server.logs / LOG).open("ab") as log:
            started = subprocess.Popen(
                # -E, -P: neither PYTHON… variables nor the working folder change what is imported.
                [sys.executable, "-E", "-P", "-c", _PROGRAM, str(Path(__file__).resolve().parents[2])],
                cwd=server.state_dir,
                env=environment,
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
    finally:
        os.close(reading)
    # It outlives this object, which would warn of that when collected; `process.end` reaps it.
    started.returncode = 0
    assert started.stdout is not None
    with started.stdout as answer:
        _tell(server.id, json.dumps(orders) + "\n")
        problem = answer.readline().decode(errors="replace").strip()
    running = load(server.state_dir)
    if problem or running is None:
        raise SystemProblem(
            problem or f"The supervisor of the server ended while starting (log: {server.logs / LOG}).",
            code="LX-SERVE-046",
        )
    return running


def keep(server: Server, *, bound: bool) -> None:
    """Tell the supervisor that the server is ready: from now on it starts TorchServe again if TorchServe dies.

    A server that is not `bound` keeps running after this process ends.
    """
    _tell(server.id, READY if bound else KEEP)
    if not bound:
        release(server.id)


def release(identity: str) -> None:
    """Close this process's end of a supervisor's pipe, if it has one."""
    pipe = _pipes.pop(identity, None)
    if pipe is not None:
        os.close(pipe)


def _tell(identity: str, line: str) -> None:
    with suppress(BrokenPipeError):  # the supervisor has ended; the caller notices this in another way
        data = line.encode()
        while data:
            data = data[os.write(_pipes[identity], data) :]


def _release_all() -> None:
    for identity in list(_pipes):
        release(identity)


# A forked child would keep the pipe open and the server alive after this process.
os.register_at_fork(after_in_child=_release_all)
