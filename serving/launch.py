"""Start a server's supervisor, and keep the pipe that tells it how long to run the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from ..errors import SystemProblem
from ..storage.progress import Say, silent
from .state import Server, load
from .supervision import KEEP, LOG, READY, from_json

# Load only the supervisor's modules, wherever this package is installed: the packages' __init__ files import far
# more.
_PROGRAM = """
import sys, types
for folder in ("", "/serving"):
    name = "lexport" + folder.replace("/", ".")
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1] + folder]
from importlib import import_module
sys.exit(import_module(sys.argv[2]).main())
"""

# By server id, the pipe that a supervisor reads. This process's end closes when the process ends for any reason.
_pipes: dict[str, int] = {}


def command(module: str) -> list[str]:
    """Return the command that runs the `main` of one of this package's modules in a process of its own."""
    # -E, -P: neither PYTHON… variables nor the working folder change what is imported.
    return [sys.executable, "-E", "-P", "-c", _PROGRAM, str(Path(__file__).resolve().parents[1]), module]


def start(
    server: Server,
    module: str,
    orders: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    say: Say = silent,
) -> Server:
    """Start a supervisor in the background, in its own session, and return when it says that it has started.

    `server` describes the server, `module` has the supervisor's `main`, `orders` are for it. The store and the log
    folder must exist already. If this process ends before `keep` is called, the supervisor ends the server and clears
    its folder. Returns the server with its process numbers. Raises the supervisor's own error if it could not start,
    SystemProblem if it gave none.
    """
    orders = {"server": asdict(server) | {"state_dir": str(server.state_dir)}, **orders}
    reading, _pipes[server.id] = os.pipe()
    try:
        with (server.logs / LOG).open("ab") as log:
            started = subprocess.Popen(
                command(module),
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
    with started.stdout as answers:
        _tell(server.id, json.dumps(orders) + "\n")
        answer = _answer(answers, say)
    running = load(server.state_dir)
    if "problem" in answer:
        raise from_json(answer["problem"])
    if "started" not in answer or running is None:
        raise SystemProblem(
            f"The supervisor of the server ended while starting (log: {server.logs / LOG}).", code="LX-SERVE-046"
        )
    return running


def keep(server: Server, *, bound: bool) -> None:
    """Tell the supervisor that the server is ready: from now on it starts again what dies of it.

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


def _answer(answers: IO[bytes], say: Say) -> dict[str, Any]:
    """Return a supervisor's last answer, having shown what it had to say; {} if it ended without one."""
    for line in answers:
        answer: dict[str, Any] = json.loads(line)
        if "say" not in answer:
            return answer
        say(answer["say"])
    return {}


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
