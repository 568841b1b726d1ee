"""The embedded engine: how it scales with its processes, and whether a crowd of other connections slows anybody down.

    python benchmarks/embedded.py MAR [--wrk WRK] [--parts processes,crowd] [--quick]

Two parts. *processes*: requests a second and memory of one process and of two, side by side. *crowd*: 16 connections
ask as fast as they are answered, alone, and beside 2,000 idle connections and a hundred that send their requests
byte by byte, three a second; in turns. The client is wrk, as in `rivals.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from lexport.benchmarks import in_parts
from lexport.benchmarks.connections import Cell
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report, Verdict
from lexport.benchmarks.rivals import Running, address_of, answering, ask, memory_of
from lexport.serving import serve, stop
from lexport.serving.store import read

IDLE, SLOW, PAUSE = 2_000, 100, 0.3  # connections; seconds between two bytes
CONNECTIONS = (1, 16, 64, 256)
ASKING = 16


def main() -> int:
    """Measure and print Markdown tables."""
    if sys.argv[1:2] == ["--crowd"]:
        return asyncio.run(_crowd(sys.argv[2], int(sys.argv[3]), *map(int, sys.argv[4:6])))
    return in_parts.run(__doc__, {"processes": _processes, "crowd": _beside_a_crowd}, rounds=5, quick=1.0)


@contextmanager
def _served(archive: Path, processes: int, scratch: Path) -> Iterator[Running]:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    began = time.perf_counter()
    server = serve([archive], engine="embedded", workers=f"cpu:{processes}", port=0, state_dir=folder, bound=True)
    try:
        path = f"/predictions/{read(archive).name}"
        supervisor = psutil.Process(server.supervisor)
        yield answering(supervisor, address_of(server.inference_url), path, server.token(), began)
    finally:
        stop(folder)


def _processes(
    options: argparse.Namespace, report: Report, rounds: int, seconds: float, scratch: Path
) -> list[Verdict]:
    counts = (1, 2)
    found: dict[tuple[int, int], list[Cell]] = {}
    memory: dict[int, list[float]] = {}
    for turn in range(rounds):
        for processes in counts if turn % 2 == 0 else counts[::-1]:
            say(f"round {turn + 1} of {rounds}: {processes} processes")
            with _served(options.archive, processes, scratch) as running:
                ask(options.wrk, running, 16, min(seconds, 2.0), scratch)
                for connections in CONNECTIONS:
                    cell = ask(options.wrk, running, connections, seconds, scratch)
                    found.setdefault((processes, connections), []).append(cell)
                memory.setdefault(processes, []).append(memory_of(running.process))
    report.part("Processes")
    rows = []
    for processes in counts:
        cells = [found[processes, connections] for connections in CONNECTIONS]
        rates = [f"{statistics.median(cell.rate for cell in one):,.0f}" for one in cells]
        rows.append([str(processes), *rates, f"{statistics.median(memory[processes]):,.0f}"])
    gains = [
        statistics.median(
            two.rate / one.rate for one, two in zip(found[1, connections], found[2, connections], strict=True)
        )
        for connections in CONNECTIONS
    ]
    rows.append(["2 ÷ 1", *(f"{gain:.2f}" for gain in gains), _ratio(memory[2], memory[1])])
    report.table(["processes", *(f"requests/s with {one}" for one in CONNECTIONS), "memory, MiB"], rows)
    # Server and client share the cores, so what two processes would do on cores of their own follows from the
    # processor time that a request takes in them, not from the rates above.
    cpu = {processes: statistics.median(cell.cpu for cell in found[processes, 64]) for processes in counts}
    more = statistics.median(memory[2]) - statistics.median(memory[1])
    report.text(
        f"A request takes {cpu[1]:.0f} µs of processor time with one process and {cpu[2]:.0f} with two, with 64 "
        f"connections. On paper, not measured: 16 processes on cores of their own, {16e6 / cpu[2]:,.0f} requests/s "
        f"and {statistics.median(memory[1]) + 15 * more:,.0f} MiB."
    )
    return []


def _ratio(values: Sequence[float], others: Sequence[float]) -> str:
    return f"{statistics.median(values) / statistics.median(others):.2f}"


def _beside_a_crowd(
    options: argparse.Namespace, report: Report, rounds: int, seconds: float, scratch: Path
) -> list[Verdict]:
    idle, slow = (50, 5) if options.quick else (IDLE, SLOW)
    alone: list[Cell] = []
    beside: list[Cell] = []
    with _served(options.archive, 1, scratch) as running:
        ask(options.wrk, running, ASKING, min(seconds, 2.0), scratch)
        for turn in range(rounds):
            for crowded in (False, True) if turn % 2 == 0 else (True, False):
                say(f"round {turn + 1} of {rounds}: {'beside a crowd' if crowded else 'alone'}")
                if crowded:
                    with _connected(running, idle, slow):
                        beside.append(ask(options.wrk, running, ASKING, seconds, scratch))
                else:
                    alone.append(ask(options.wrk, running, ASKING, seconds, scratch))
    report.part(f"{ASKING} connections, alone and beside {idle:,} idle and {slow} slow ones")
    rows = []
    for title, cells in (("alone", alone), ("beside them", beside)):
        rows.append([title, *(f"{_median(cells, field):{form}}" for field, form in _FIGURES)])
    pairs = list(zip(alone, beside, strict=True))
    ratios = {
        field: sorted(getattr(other, field) / getattr(one, field) for one, other in pairs) for field, _ in _FIGURES
    }
    rows.append(["ratio", *(f"{statistics.median(ratios[field]):.2f}" for field, _ in _FIGURES)])
    rows.append(["least – most", *(f"{ratios[field][0]:.2f} – {ratios[field][-1]:.2f}" for field, _ in _FIGURES)])
    report.table(["", "requests/s", "median, ms", "p99, ms", "processor time, µs"], rows)
    held = ratios["p99"][0] <= 1.0
    found = f"{ratios['p99'][0]:.2f} – {ratios['p99'][-1]:.2f}"
    return [Verdict("p99 beside them ÷ alone: 1 lies within the rounds, or above them", found, held)]


_FIGURES = (("rate", ",.0f"), ("median", ".2f"), ("p99", ".2f"), ("cpu", ".0f"))


def _median(cells: Sequence[Cell], field: str) -> float:
    return float(statistics.median(getattr(cell, field) for cell in cells))


@contextmanager
def _connected(running: Running, idle: int, slow: int) -> Iterator[None]:
    """Have another process hold the connections. Raises SystemExit if it cannot."""
    host, port = running.address
    command = [sys.executable, str(Path(__file__).resolve()), "--crowd", host, str(port), str(idle), str(slow)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("the crowd could not connect: is the limit of open files below 2,200?")
            yield
        finally:
            process.kill()


async def _crowd(host: str, port: int, idle: int, slow: int) -> int:
    """Hold idle connections, and send byte by byte on slow ones, again from the start where the server hangs up."""
    held = [await asyncio.open_connection(host, port) for _ in range(idle)]
    tasks = [asyncio.ensure_future(_send_slowly(host, port)) for _ in range(slow)]
    await asyncio.sleep(1.0)
    if any(reader.at_eof() for reader, _ in held):
        return 1
    print("ready", flush=True)
    await asyncio.wait(tasks)
    return 0


async def _send_slowly(host: str, port: int) -> None:
    request = b"POST /predictions/slow HTTP/1.1\r\nHost: slow\r\nContent-Length: 5\r\n\r\nslow!"
    while True:
        _, writer = await asyncio.open_connection(host, port)
        with suppress(OSError):
            for place in range(len(request)):
                writer.write(request[place : place + 1])
                await writer.drain()
                await asyncio.sleep(PAUSE)
        writer.close()


if __name__ == "__main__":
    sys.exit(main())
