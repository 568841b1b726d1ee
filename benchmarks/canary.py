"""What a canary costs while it runs: requests a second and times, without one, with a share, and with copies.

    python benchmarks/canary.py [--run RUN] [--wrk WRK] [--engines torchserve,embedded] [--quick]

One server of one worker with two versions of a model. Each round loads it without a canary, while a tenth of the
requests go to the other version, and while copies of a tenth do, in turns; the ratios are of the cells of one round.
The client is wrk, as in `rivals.py`, and connects anew for each cell, so that TorchServe's proxy has its connections.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from lexport.benchmarks.connections import Cell
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report
from lexport.benchmarks.rivals import Running, address_of, answering, ask
from lexport.benchmarks.small import add_options, run_of
from lexport.export.archive.pack import archive
from lexport.serving import serve, stop
from lexport.serving.operations import deploy

MODEL = "canary"
MODES = {"none": None, "10 % of the requests": [], "copies of 10 %": ["--mirror"]}
CONNECTIONS = (1, 16, 64)


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    report = Report(options)
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    with tempfile.TemporaryDirectory(prefix="lexport-canary-", dir="/tmp") as scratch:
        folder = Path(scratch)
        run = run_of(options, folder)
        versions = [archive(run, version=one, name=MODEL, variant="auto", out=folder) for one in ("1.0", "2.0")]
        for engine in options.engines.split(","):
            found = _measure(options, engine, versions, folder, rounds, seconds)
            report.part({"torchserve": "TorchServe, behind a proxy", "embedded": "Embedded engine"}[engine])
            report.table(*_table(found))
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_options(parser)
    add("--engines", default="torchserve,embedded", help="which engines, in this order")
    add("--seconds", type=float, default=5.0, help="for each cell")
    add("--rounds", type=int, default=5)
    add("--wrk", default=shutil.which("wrk") or "", help="the client; without it, one in Python")
    add("--quick", action="store_true", help="one short round: does it run at all?")
    return parser.parse_args()


def _measure(
    options: argparse.Namespace, engine: str, versions: Sequence[Path], folder: Path, rounds: int, seconds: float
) -> dict[tuple[str, int], list[Cell]]:
    found: dict[tuple[str, int], list[Cell]] = {}
    with _served(engine, versions, folder / engine) as (running, state):
        ask(options.wrk, running, 16, min(seconds, 2.0), folder)
        for turn in range(rounds):
            for mode in list(MODES)[:: 1 if turn % 2 == 0 else -1]:
                say(f"{engine}, round {turn + 1} of {rounds}: {mode}")
                with _canary(mode, state):
                    for connections in CONNECTIONS:
                        cell = ask(options.wrk, running, connections, seconds, folder)
                        found.setdefault((mode, connections), []).append(cell)
    return found


@contextmanager
def _served(engine: str, versions: Sequence[Path], state: Path) -> Iterator[tuple[Running, Path]]:
    began = time.perf_counter()
    server = serve([versions[0]], engine=engine, workers="cpu:1", port=0, state_dir=state)
    try:
        deploy(versions[1], state_dir=state)
        process = psutil.Process(server.supervisor)
        yield (
            answering(process, address_of(server.inference_url), f"/predictions/{MODEL}", server.token(), began),
            state,
        )
    finally:
        stop(state)


@contextmanager
def _canary(mode: str, state: Path) -> Iterator[None]:
    """Context manager: a canary runs that no verdict ends."""
    options = MODES[mode]
    if options is None:
        yield
        return
    command = [sys.executable, "-m", "lexport", "canary", MODEL, "2.0", "--share", "10%", "--state-dir", str(state)]
    command += [*options, "--requests", "1000000000", "--max-latency", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        if "of the requests" not in said:
            raise SystemExit(f"lexport canary ended: {said}{child.stdout.read()}")
        try:
            yield
        finally:
            child.terminate()
            child.wait(60)


def _table(found: dict[tuple[str, int], list[Cell]]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for mode in MODES:
        cells = [found[mode, one] for one in CONNECTIONS]
        row = [mode]
        for one, without in zip(cells, [found["none", one] for one in CONNECTIONS], strict=True):
            row.append(f"{statistics.median(cell.rate for cell in one):,.0f}")
            row.append(f"{statistics.median(a.rate / b.rate for a, b in zip(one, without, strict=True)):.2f}")
        row += [
            f"{statistics.median(cell.median for cell in cells[0]):.2f}",
            f"{statistics.median(cell.p99 for cell in cells[-1]):.1f}",
        ]
        rows.append(row)
    heads = [head for one in CONNECTIONS for head in (f"requests/s with {one}", f"÷ none with {one}")]
    return ["canary", *heads, f"p50 with {CONNECTIONS[0]}, ms", f"p99 with {CONNECTIONS[-1]}, ms"], rows


if __name__ == "__main__":
    sys.exit(main())
