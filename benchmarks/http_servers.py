"""How fast HTTP servers in Python hand on a small request and its answer: ours beside granian, uvicorn and others.

    python benchmarks/http_servers.py [--python PYTHON] [--archive MAR] [--servers ours,granian] [--quick]

Every server answers the same request, a JSON of some 20 words, with the same 200 bytes, from one process: at once, or
together with the others of that turn of the loop, as a model would. Without --python the others are installed into a
folder that is removed afterwards. With --archive its model answers behind our server, in the loop and in a thread.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from lexport.benchmarks.connections import PATIENCE, Cell, load
from lexport.benchmarks.figures import say
from lexport.benchmarks.http_programs import ARCHIVED, PROGRAMS
from lexport.benchmarks.report import Report, add_options

PACKAGES = ("aiohttp", "granian", "hypercorn", "httptools", "uvicorn", "uvloop")
WORDS = ("gripping", "film", "about", "love", "war", "never", "bores", "one", "weak", "scene", "near", "end")


def main() -> int:
    """Measure and print a Markdown table."""
    options = _options()
    report = Report(options)
    connections = [int(one) for one in options.connections.split(",")]
    with tempfile.TemporaryDirectory(prefix="lexport-http-") as scratch:
        servers = [name for name in PROGRAMS if name.split()[0] in options.servers.split(",")]
        python = options.python or (Path() if servers == ["ours"] else _installed(Path(scratch) / "env"))
        report.part("A request and 200 bytes, one process")
        names = [(name, mode) for name in servers for mode in ("at once", "by turns")]
        _measure(report, names, connections, options, Path(scratch), python)
        if options.archive:
            report.part("A model behind our server")
            names = [(ARCHIVED, mode) for mode in ("in the loop", "in a thread")]
            _measure(report, names, connections, options, Path(scratch), python)
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_options(parser)
    add("--python", type=Path, help=f"an interpreter that has {', '.join(PACKAGES)}; lexport's own serves ours")
    add("--archive", type=Path, help="an archive whose model answers in a second table")
    add("--servers", default=",".join(name.split()[0] for name in PROGRAMS), help="names, separated by commas")
    add("--connections", default="1,16,64")
    add("--seconds", type=float, default=3.0, help="for each cell")
    add("--rounds", type=int, default=3, help="the best of so many is shown")
    add("--quick", action="store_true", help="one short round: does it run at all?")
    return parser.parse_args()


def _installed(folder: Path) -> Path:
    say(f"installing {', '.join(PACKAGES)}")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def _measure(
    report: Report,
    names: Sequence[tuple[str, str]],
    connections: Sequence[int],
    options: argparse.Namespace,
    scratch: Path,
    python: Path,
) -> None:
    rounds, seconds = (1, 0.3) if options.quick else (options.rounds, options.seconds)
    found: dict[tuple[str, str, int], list[Cell]] = {}
    for turn in range(rounds):  # all servers in each, so that what else runs on the machine slows down none alone
        for name, mode in names:
            say(f"round {turn + 1}: {name}, {mode}")
            with _running(name, mode, options, scratch, python) as (process, address):
                for count in connections:
                    cell = load(address, _requests(), count, seconds, process)
                    found.setdefault((name, mode, count), []).append(cell)
    rows = []
    for name, mode in names:
        cells = [max(found[name, mode, count], key=lambda cell: cell.rate) for count in connections]
        costs = [min(cell.cpu for cell in found[name, mode, count]) for count in connections]
        rows.append(
            [
                f"{name}, {mode}",
                *(f"{cell.rate:,.0f}" for cell in cells),
                f"{cells[0].median:.2f}",
                f"{cells[-1].p99:.1f}",
                *(f"{cost:.0f}" for cost in costs),
            ]
        )
    many = [f"{count} connections" if count > 1 else "1 connection" for count in connections]
    columns = [
        "server",
        *(f"{one}, requests/s" for one in many),
        f"median with {connections[0]}, ms",
        f"p99 with {connections[-1]}, ms",
        *(f"{one}, processor time, µs" for one in many),
    ]
    report.table(columns, rows, {name: "µs" for name in columns if name.endswith("µs")})


@contextmanager
def _running(
    name: str, mode: str, options: argparse.Namespace, scratch: Path, python: Path
) -> Iterator[tuple[psutil.Process, tuple[str, int]]]:
    """A server's process, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = ("127.0.0.1", taken.getsockname()[1])
    program = PROGRAMS.get(name) or PROGRAMS["ours"]
    (scratch / "program.py").write_text(program.source, encoding="utf-8")
    own = name in ("ours", ARCHIVED)
    command = [str(sys.executable if own else python), *program.arguments(address[1])]
    settings = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(scratch), "MODE": mode}
    if name == ARCHIVED:
        settings["ARCHIVE"] = str(options.archive.resolve())
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=scratch, env=settings, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(address, 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} does not answer:\n{(scratch / 'log').read_text()}")
            time.sleep(0.05)
        yield psutil.Process(process.pid), address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def _requests() -> list[bytes]:
    draw = random.Random(1)
    bodies = [json.dumps({"text": " ".join(draw.choices(WORDS, k=20))}).encode() for _ in range(100)]
    head = (
        b"POST /predictions/reviews HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: benchmark\r\nAccept: */*\r\n"
        b"Authorization: Bearer fmyTpSKv\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    return [head % len(body) + body for body in bodies]


if __name__ == "__main__":
    sys.exit(main())
