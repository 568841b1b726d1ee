"""Locust as a child process: one run against one server, measured by the locustfile itself.

Locust patches sockets and threads of its process, so it is never imported here.
"""

from __future__ import annotations

import json
import os
import site
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RefusedError, SystemProblem
from ..export.evidence.load_results import load_in_words

LOCUSTFILE = Path(__file__).parent / "driver" / "locustfile.py"
GRACE = 60  # seconds beyond the run's own before a silent Locust is ended; its last answers may take 10


@dataclass(frozen=True)
class Target:
    """A served model to load: `url` such as http://127.0.0.1:8080, `token` of its inference API or empty.

    Where the `url` has a path, it is sent to that, and `model` is only a name.
    """

    url: str
    model: str
    token: str
    expect: str = "label"
    """What counts as an answer: `label`, of lexport's models; `status`, any 2xx; or a JSONPath."""
    server: str = ""
    """The id of the server, if lexport has started it on this machine."""
    metrics_url: str = ""
    """Its metrics address, in that case."""
    reports_late: bool = False
    """Whether its workers report what they count only once a second, as those of TorchServe do."""
    headers: tuple[str, ...] = ()
    """Such as `X-Key: abc`."""
    body: str = ""
    """A template with `{text}`; empty: the text itself."""
    remote: bool = False
    """Whether it may be on another machine."""


@dataclass(frozen=True)
class Load:
    """The load of one run: times in seconds, `rate` in requests/s of all processes, for `arrivals` but `closed`."""

    users: int
    warmup: float
    duration: float
    texts: Path | None
    unknown_share: float
    seed: int
    content_type: str = "text"
    rate: float = 0.0
    arrivals: str = "closed"
    mix: str = ""
    processes: int = 1
    page: int = 0
    """Port of Locust's own web page on 127.0.0.1; 0: it has none."""

    def in_words(self) -> str:
        """Return it as results name it, such as `16 users`; a replay without its file and rate."""
        if self.arrivals.startswith("replay:"):
            return "replay"
        return load_in_words(self.arrivals, self.users if self.arrivals == "closed" else self.rate)


def command(target: Target, load: Load, result: Path) -> list[str]:
    """Return the Locust command line of one run."""
    users = load.users if load.arrivals == "closed" else load.processes  # those of an open loop send nothing
    limit = int(load.warmup + load.duration) + GRACE // 2
    options: dict[str, Any] = {
        "--host": target.url,
        "--users": users,
        "--spawn-rate": users,
        "--run-time": f"{limit}s",  # a stop for what goes wrong; the locustfile ends the run itself
        "--exit-code-on-error": 0,  # failed requests are counted, not fatal
        "--loglevel": "WARNING",
        "--model": target.model,
        "--unknown-share": load.unknown_share,
        "--seed": load.seed,
        "--content-type": load.content_type,
        "--arrivals": load.arrivals,
        "--rate": load.rate,
        "--mix": load.mix,
        "--expect": target.expect,
        "--warmup": load.warmup,
        "--measure": load.duration,
        "--result": result,
        "--times": times_beside(result),
        "--tell": result.parent,
    }
    if load.texts:
        options["--texts"] = load.texts
    if target.body:
        options["--body"] = target.body
    if load.processes > 1:
        options["--processes"] = load.processes
        options["--master-bind-port"] = options["--master-port"] = free_port()
    # With "=" a value may begin with a dash.
    pairs = [f"{name}={value}" for name, value in options.items()]
    pairs += [f"--header={header}" for header in target.headers]
    if target.remote:
        pairs.append("--remote")
    if load.page:
        # The page is there from the start, and the run begins and ends by itself as without it.
        way = ["--autostart", "--autoquit=0", "--web-host=127.0.0.1", f"--web-port={load.page}"]
    else:
        way = ["--headless", "--only-summary"]
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *way, *pairs]


def run(target: Target, load: Load, folder: Path) -> dict[str, Any]:
    """Load `target` and return the locustfile's measurements (see `recorder.merged`).

    To these it adds `due` and `times`: of each answered request, in the same order, when it was due, in seconds since
    the window began, and its latency in ms.

    `folder` is for temporary files. On Ctrl-C or any other exception Locust is ended first. Raises SystemProblem,
    with Locust's last output line, if the run gives no measurements, RefusedError if somebody ended it in its page.
    """
    result = folder / "locust.json"
    result.unlink(missing_ok=True)
    # A LOCUST_… variable or the user's ~/.locust.conf would change the run. Packages in the user's folder must still
    # be found. With its own session Locust does not receive Ctrl-C; this process handles it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    environment |= {"HOME": str(folder), "PYTHONUSERBASE": site.getuserbase()}
    environment["LEXPORT_TOKEN"] = target.token
    # If this process is killed, Locust notices that its parent has changed, and ends.
    environment["LEXPORT_PARENT"] = str(os.getpid())
    with (folder / "locust.log").open("wb") as log:
        process = subprocess.Popen(
            command(target, load, result),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            code = process.wait(load.warmup + load.duration + GRACE)
        except subprocess.TimeoutExpired:
            raise SystemProblem(
                f"Locust did not end {GRACE} s after its {load.duration:g} s run was over and was stopped. "
                "Try again with fewer --users.",
                code="LX-LOAD-006",
            ) from None
        finally:
            _end(process)
    if code != 0 or not result.exists():
        raise SystemProblem(
            f"Locust ended with code {code} and no measurements: {_last_line(folder)}", code="LX-LOAD-007"
        )
    measured: dict[str, Any] = json.loads(result.read_bytes())
    if "stopped" in measured:
        raise RefusedError(
            f"The run {measured['stopped']}, so its figures are not those of the load that was asked for. Start the "
            "load test again; Locust's page is for looking on.",
            code="LX-LOAD-110",
        )
    both = np.fromfile(times_beside(result))
    return measured | {"due": both[: len(both) // 2], "times": both[len(both) // 2 :]}


def times_beside(result: Path) -> Path:
    """Return the file of the single times that belongs to a result."""
    return result.with_suffix(".times")


def free_port() -> int:
    """Return a port for Locust's processes or its page: its own, 5557 and 8089, may be taken by another run."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(folder: Path) -> str:
    lines: Sequence[str] = (folder / "locust.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
