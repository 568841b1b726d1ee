"""Benchmarks of an archive behind servers, in parts that can be run alone, each in several rounds."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from lexport.benchmarks.report import Report, Verdict, add_options

Measure = Callable[[argparse.Namespace, Report, int, float, Path], list[Verdict]]
"""Measures a part: options, report, rounds, seconds for each cell, a folder to work in."""


def run(description: str | None, measures: Mapping[str, Measure], *, rounds: int, quick: float) -> int:
    """Measure the parts that the command line names, print Markdown tables, and return 0 if every limit is kept.

    `rounds`: unless the command line says how many; `quick`: seconds for each cell of a quick run.
    """
    options = _options(description, ",".join(measures), rounds)
    report = Report(options)
    rounds, seconds = (1, quick) if options.quick else (options.rounds, options.seconds)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="lexport-bench-", dir="/tmp") as scratch:
        for part in options.parts.split(","):
            verdicts += measures[part](options, report, rounds, seconds, Path(scratch))
    return report.close([] if options.quick else verdicts)


def _options(description: str | None, parts: str, rounds: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("archive", type=Path, help="an archive of an ONNX variant")
    add_options(parser)
    add("--parts", default=parts)
    add("--seconds", type=float, default=6.0, help="for each cell")
    add("--rounds", type=int, default=rounds)
    add("--wrk", default=shutil.which("wrk") or "", help="the client; without it, one in Python")
    add("--quick", action="store_true", help="one short round: does it run at all?")
    return parser.parse_args()
