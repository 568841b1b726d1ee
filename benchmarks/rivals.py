"""The same archive behind lexport's two engines and behind other servers, side by side.

    python benchmarks/rivals.py MAR [--servers embedded,torchserve,granian] [--wrk WRK] [--envs DIR] [--quick]

Every server answers the same requests from one process that computes, `{"text": …}` of about 20 words, with the same
predictor; the embedded engine with everything on: tokens, limits, metrics, access log. `exit-NAME` is what
`lexport export-to NAME` writes, in its server. Each rival has an environment of its own, made in DIR and kept there.
The client is wrk (https://github.com/wg/wrk), which takes a twentieth of what a Python client takes; without it,
Python's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from lexport.benchmarks import plain
from lexport.benchmarks.connections import Cell, load, spent
from lexport.benchmarks.exit_servers import EXITS
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.benchmarks.rival_programs import BODY, RIVALS
from lexport.data.load import Columns
from lexport.data.load import load as load_data
from lexport.export.archive.format.reader import read_labels
from lexport.serving import serve, stop
from lexport.serving.store import read

OURS = ("embedded", "torchserve", "tutorial")
ROOT = Path(__file__).resolve().parents[1]
_WORDS = range(17, 24)  # of a text
_PATIENCE = 120.0  # seconds until a server must answer


class Running(NamedTuple):
    """A server that runs."""

    process: psutil.Process
    address: tuple[str, int]
    path: str
    token: str
    body: str
    """What it is sent: TEXT stands for the text as JSON."""
    ready: float
    """Seconds from its start to its first answer."""


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    report = Report(options)
    names, connections = options.servers.split(","), [int(one) for one in options.connections.split(",")]
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    found: dict[tuple[str, int], list[Cell]] = {}
    ready: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="rivals-", dir="/tmp") as scratch:
        pythons = {name: _environment(name, (options.envs or Path(scratch) / "envs").absolute()) for name in names}
        for turn in range(rounds):  # every server in each round, so that what else runs slows down none alone
            for name in names if turn % 2 == 0 else names[::-1]:
                say(f"round {turn + 1} of {rounds}: {name}")
                folder = Path(tempfile.mkdtemp(dir=scratch))
                with _served(name, options.archive, pythons[name], folder) as running:
                    ready.setdefault(name, []).append(running.ready)
                    ask(options.wrk, running, 16, min(seconds, 2.0), folder)
                    for count in connections:
                        found.setdefault((name, count), []).append(ask(options.wrk, running, count, seconds, folder))
                    memory[name] = memory_of(running.process)
        versions = {name: _version(name, pythons[name]) for name in names}
    _show(report, names, connections, found, ready, memory, versions)
    return report.close([] if options.quick else _verdicts(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("archive", type=Path, help="an archive of an ONNX variant")
    add_options(parser)
    add("--servers", default=",".join([*OURS, *RIVALS]), help="names, separated by commas; exit-NAME for an exit")
    add("--connections", default="1,16,64,256")
    add("--seconds", type=float, default=4.0, help="for each cell")
    add("--rounds", type=int, default=3)
    add("--wrk", default=shutil.which("wrk") or "", help="the client; without it, one in Python")
    add("--envs", type=Path, help="where the rivals' environments are kept")
    add("--quick", action="store_true", help="one short round: does it run at all?")
    return parser.parse_args()


def _environment(name: str, folder: Path) -> Path:
    """The interpreter of a server: this one for our own, else one with its packages; rivals have lexport[serve]."""
    if name in OURS:
        return Path(sys.executable)
    home = folder / name
    python = home / "bin" / "python"
    if not (home / "made").exists():
        needs = EXITS[name].needs() if name in EXITS else (f"{ROOT}[serve]", *RIVALS[name].packages)
        say(f"installing {', '.join(needs)}")
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *needs], check=True)
        if name in RIVALS and RIVALS[name].after:
            subprocess.run([*pip, *RIVALS[name].after], check=True)
        (home / "made").touch()
    return python


def _version(name: str, python: Path) -> str:
    """The version of a server's package."""
    packages: tuple[str, ...] = ("lexport",)
    if name not in OURS:
        packages = EXITS[name].packages if name in EXITS else RIVALS[name].packages
    package = re.split(r"[\[<>=]", packages[0])[0]
    package = "torchserve" if name in ("torchserve", "tutorial") else package
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(python), "-c", program], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def _served(name: str, archive: Path, python: Path, folder: Path) -> Iterator[Running]:
    """A server that answers, with one process that computes."""
    began = time.perf_counter()
    if name in ("embedded", "torchserve"):
        server = serve([archive], engine=name, workers="cpu:1", port=0, state_dir=folder / "s", bound=True)
        try:
            path, address = f"/predictions/{read(archive).name}", address_of(server.inference_url)
            yield answering(psutil.Process(server.supervisor), address, path, server.token(), began)
        finally:
            stop(folder / "s")
    elif name == "tutorial":
        texts = list(load_data("rotten-tomatoes", Columns()).texts)
        packed = plain.pack(texts, read_labels(archive), folder / "plain.mar")
        with plain.served(packed, folder) as target:
            address = address_of(target.url)
            yield answering(_listener(address[1]), address, f"/predictions/{plain.NAME}", target.token, began)
    else:
        yield from _rival(name, archive, python, folder, began)


def _rival(name: str, archive: Path, python: Path, folder: Path, began: float) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    settings = {"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(folder), "ARCHIVE": str(archive.resolve())}
    settings |= {"PORT": str(port), "OMP_NUM_THREADS": "1"}
    if name in EXITS:
        own = EXITS[name]
        own.write(archive, python, folder / "exit")
        command, variables = own.command(python, folder / "exit", port)
        settings |= variables
        path, body, began = own.path.replace("NAME", read(archive).name), own.body, time.perf_counter()
    else:
        rival = RIVALS[name]
        (folder / "program.py").write_text(rival.source, encoding="utf-8")
        command, path, body = [str(python), *rival.arguments(port)], rival.path, rival.body
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log)
    watched = psutil.Process(process.pid)
    try:
        yield answering(watched, ("127.0.0.1", port), path, "", began, folder / "log", body)
    finally:
        everything = [*watched.children(recursive=True), watched]
        for one in everything:
            with suppress(psutil.Error):
                one.terminate()
        _, alive = psutil.wait_procs(everything, 5)
        for one in alive:
            with suppress(psutil.Error):
                one.kill()
        process.wait()


def answering(
    process: psutil.Process,
    address: tuple[str, int],
    path: str,
    token: str,
    began: float,
    log: Path | None = None,
    body: str = BODY,
) -> Running:
    """Wait for the first answer. Raises SystemExit if none comes, or another than that of a classifier."""
    [request] = _requests(path, token, [body.replace("TEXT", '"a gripping film"')])
    while True:
        with suppress(OSError), socket.create_connection(address, 5) as client:
            client.sendall(request)
            answer = client.recv(1 << 16)
            if answer.startswith(b"HTTP/1.1 200"):
                return Running(process, address, path, token, body, time.perf_counter() - began)
        if time.perf_counter() - began > _PATIENCE or not process.is_running():
            raise SystemExit(f"{path} does not answer:\n{log.read_text()[-3000:] if log else ''}")
        time.sleep(0.02)


def ask(wrk: str, running: Running, connections: int, seconds: float, folder: Path) -> Cell:
    """Load a server by so many connections for so long. `wrk`: the program, "" for a client in Python."""
    bodies = _bodies(running.body)
    if not wrk:
        return load(
            running.address, _requests(running.path, running.token, bodies), connections, seconds, running.process
        )
    (folder / "bodies").write_text("\n".join(bodies) + "\n", encoding="utf-8")
    script = folder / "post.lua"
    script.write_text(_LUA.format(bodies=folder / "bodies", token=running.token), encoding="utf-8")
    url = f"http://{running.address[0]}:{running.address[1]}{running.path}"
    command = [wrk, "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--latency", "-s", str(script), url]
    before, client = spent(running.process), _spent_by_clients()
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used, client = spent(running.process) - before, _spent_by_clients() - client
    count = int(_figure(said, r"(\d+) requests in"))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    refused = int(bad[1]) / max(count, 1) if bad else 0.0
    return Cell(
        float(_figure(said, r"Requests/sec:\s+([\d.]+)")) * (1 - refused),
        _milliseconds(_figure(said, r"\n\s+50%\s+(\S+)")),
        _milliseconds(_figure(said, r"\n\s+99%\s+(\S+)")),
        used / max(count, 1) * 1e6,
        100 * refused,
        client / max(count, 1) * 1e6,
    )


_LUA = """
local bodies, place = {{}}, 0
for line in io.lines("{bodies}") do bodies[#bodies + 1] = line end
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
request = function()
  place = place % #bodies + 1
  return wrk.format("POST", nil, nil, bodies[place])
end
"""


def _spent_by_clients() -> float:
    """Processor time, in seconds, of the clients that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _figure(said: str, pattern: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise SystemExit(f"wrk did not say {pattern}: {said}")
    return match[1]


def _milliseconds(text: str) -> float:
    factors = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    match = re.fullmatch(r"([\d.]+)(us|ms|s)", text)
    assert match is not None, text
    return float(match[1]) * factors[match[2]]


def _bodies(body: str) -> list[str]:
    texts = [text for text in load_data("rotten-tomatoes", Columns()).texts if len(text.split()) in _WORDS]
    return [body.replace("TEXT", json.dumps(text)) for text in texts[:500]]


def _requests(path: str, token: str, bodies: Sequence[str]) -> list[bytes]:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return [f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode() for body in bodies]


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a server's URL."""
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def _listener(port: int) -> psutil.Process:
    for one in psutil.net_connections("tcp"):
        if one.laddr and one.laddr.port == port and one.status == psutil.CONN_LISTEN and one.pid:
            return psutil.Process(one.pid)
    raise SystemExit(f"nothing listens at {port}")


def memory_of(process: psutil.Process) -> float:
    """Memory of a server's processes, shared pages divided, in MiB."""
    return sum(one.memory_full_info().pss for one in [process, *process.children(recursive=True)]) / 2**20


def _show(
    report: Report,
    names: Sequence[str],
    connections: Sequence[int],
    found: dict[tuple[str, int], list[Cell]],
    ready: dict[str, list[float]],
    memory: dict[str, float],
    versions: dict[str, str],
) -> None:
    report.part("One process that computes")
    titles = {"requests/s": "rate", "median, ms": "median", "p99, ms": "p99", "processor time, µs": "cpu"}
    titles |= {"the client's, µs": "client", "answered with an error, %": "refused"}
    for title, field in titles.items():
        rows = []
        for name in names:
            cells = [[float(getattr(one, field)) for one in found[name, count]] for count in connections]
            rows.append([name, *(_with_range(one, title) for one in cells)])
        report.table([f"server: {title}", *(f"with {count}" for count in connections)], rows)
    rows = [[name, versions[name], f"{statistics.median(ready[name]):.1f}", f"{memory[name]:,.0f}"] for name in names]
    report.table(["server", "version", "first answer, s", "memory, MiB"], rows)


def _verdicts(found: dict[tuple[str, int], list[Cell]]) -> list[Verdict]:
    """The embedded engine's requests a second beside TorchServe's, round by round, and its place among all."""
    verdicts = []
    for count, least in ((16, 3.0), (64, 2.5)):
        if ("embedded", count) in found and ("torchserve", count) in found:
            pairs = zip(found["embedded", count], found["torchserve", count], strict=True)
            ratio = statistics.median(one.rate / other.rate for one, other in pairs)
            asked = f"embedded ÷ torchserve, requests/s with {count}: at least {least:g}"
            verdicts.append(Verdict(asked, f"{ratio:.2f}", ratio >= least))
    for count in sorted({count for _, count in found}):
        own = {name: cells for (name, other), cells in found.items() if other == count}
        rates = {name: statistics.median(one.rate for one in cells) for name, cells in own.items()}
        best = max(rates, key=lambda name: rates[name])
        verdicts.append(Verdict(f"most requests/s with {count}: embedded", best, best == "embedded"))
        # The usual one where nobody else asks; else the slow ones.
        what = "p99" if count > 1 else "median"
        times = {name: statistics.median(float(getattr(one, what)) for one in cells) for name, cells in own.items()}
        best = min(times, key=lambda name: times[name])
        verdicts.append(Verdict(f"lowest {what} with {count}: embedded", best, best == "embedded"))
    return verdicts


def _with_range(values: Sequence[float], title: str) -> str:
    digits = 2 if title.endswith("ms") else 0
    median = f"{statistics.median(values):,.{digits}f}"
    return f"{median} ({min(values):,.{digits}f} – {max(values):,.{digits}f})" if len(values) > 1 else median


if __name__ == "__main__":
    sys.exit(main())
