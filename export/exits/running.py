"""Running the programs of an exit while it is proven: commands, servers, and questions to them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import SystemProblem

_PATIENCE = 300.0  # seconds for a server to answer its first request, and for a command to end
_GRACE = 10.0  # seconds for a server to end
_SHOWN = 3000  # characters of a program's last words
_PAUSE = 0.05


class Environment:
    """The Python environment in which an exit is proven: that of an interpreter."""

    def __init__(self, python: Path) -> None:
        """`python` is its interpreter, whose folder has its commands."""
        # Programs run in other folders. A virtual environment's interpreter is a link, which says where that is.
        self.python = python.absolute()

    def version(self, package: str) -> str | None:
        """Return the version of an installed package; None if it is not installed.

        What only PYTHONPATH or the user's own folder has is not: programs run without these, see `variables`.
        """
        asked = (
            "import importlib.metadata as m, sys\n"
            "try: print(m.version(sys.argv[1]))\n"
            "except m.PackageNotFoundError: pass"
        )
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                [self.python, "-I", "-c", asked, package],
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
            return done.stdout.strip() or None
        return None

    def missing(self, package: str) -> str:
        """Return why a program is not proven where `package` is not installed."""
        return (
            f"{package} is not installed beside {self.python}. Name an interpreter that has it with --python, after: "
            f"pip install {package} -r requirements.txt"
        )

    def variables(self, home: Path) -> dict[str, str]:
        """Return the variables of a program: nothing of this process but what finds programs and certificates."""
        # A compiled module would be one more file in the exit.
        fixed = {"HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        path = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return fixed | {"PATH": path, "ORT_DISABLE_TELEMETRY": "1", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface at which nothing listens."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in taken]
    finally:
        for one in taken:
            one.close()


def run(command: Sequence[str | Path], *, cwd: Path, variables: Mapping[str, str], what: str) -> str:
    """Run a command to its end and return what it printed. Raises SystemProblem if it fails or does not end."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemProblem(
            f"{what} could not be run: {error}. Nothing was written; install it again, or name another --python.",
            code="LX-EXPORT-101",
        ) from error
    if done.returncode:
        raise SystemProblem(
            f"{what} ended with the exit code {done.returncode}. Nothing was written; its last words are below. "
            "Install what is missing beside --python, or name another.",
            (done.stderr or done.stdout)[-_SHOWN:],
            code="LX-EXPORT-102",
        )
    return done.stdout


@contextmanager
def served(
    command: Sequence[str | Path], port: int, ready: str, *, variables: Mapping[str, str], what: str
) -> Iterator[None]:
    """Context manager: a server that answers `GET ready` with 200 at a port; its processes are ended afterwards.

    Raises SystemProblem with its last words if it ends or does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="lexport-") as scratch, (Path(scratch) / "log").open("w+b") as log:
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=scratch,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise SystemProblem(
                f"{what} could not be started: {error}. Nothing was written; install it again, or name another "
                "--python.",
                code="LX-EXPORT-103",
            ) from error
        try:
            _wait(process, port, ready, what, Path(log.name))
            yield
        finally:
            _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, ready: str, what: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with suppress(OSError, http.client.HTTPException):
            if ask(port, ready)[0] == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(_PAUSE)
    state = "does not answer" if process.returncode is None else f"ended with the exit code {process.returncode}"
    words = log.read_text(encoding="utf-8", errors="replace")[-_SHOWN:]
    raise SystemProblem(
        f"{what} {state}. Nothing was written; its last words are below. Install what is missing beside --python, or "
        "name another.",
        words,
        code="LX-EXPORT-104",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server's whole session: first asked, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    process.wait()


def ask(port: int, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a request to the loopback interface, a POST if there is a JSON body; return the status and the answer.

    The answer is JSON, or bytes where it is none. Raises OSError and HTTPException.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(content)
    except ValueError:
        return answer.status, content
