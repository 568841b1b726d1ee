"""What clients see when a server is stopped, loses a process or its files, or is filled with idle connections.

    python benchmarks/faults.py [--engines torchserve,embedded] [--run RUN] [--variant auto] [--rows stop,worker]
                                [--out FAULTS.json] [--quick]

Each row starts a server of its own. 32 connections ask as fast as they are answered, about the archive's goldens; two
seconds later the fault begins, and the load goes on until the rate has been at 80 % of the rate before for three
seconds, until the server is gone, or until a minute has passed. Every request ends as exactly one of answered, named
error (a status of 400 or more with JSON), lost (the connection broke after it was sent, or the answer is unreadable),
timed out (10 s) and not sent (no connection). Answers are compared with those before the fault. Exits with 1 if a row
does not reach what is asked of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lexport import serving
from lexport.benchmarks import fault_causes as causes
from lexport.benchmarks.closed_loop import Load
from lexport.benchmarks.fault_causes import MODEL, Served, Settings
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report, Verdict
from lexport.benchmarks.small import add_options, run_of
from lexport.errors import SystemProblem
from lexport.export.archive.pack import archive
from lexport.serving.engines import TITLES
from lexport.storage.atomic import json_bytes, write_file

CONNECTIONS, SHARE = 32, 0.8
_DISK = "192m"  # of a server whose disk is filled: its archives, extracted, and some logs


@dataclass(frozen=True)
class Row:
    """A fault, and what is asked of a server that meets with it."""

    title: str
    fault: Callable[[Served], str]
    """Causes the fault, returns when it is over; what is worth knowing about it, in words."""
    workers: int = 1
    foreground: bool = False
    ends: bool = False
    """Whether the server is meant to end."""
    per_connection: int = 0
    answers_all: bool = True
    """Asked: every request that was sent is answered or gets a named error."""
    recovers: bool = True
    """Asked: the rate comes back."""
    cuts: bool = False
    """Whether the fault ends processes; the embedded engine's have the clients' connections, which it cuts then."""
    graceful: bool = False
    """Asked: every request is answered, with no error at all."""
    small_disk: bool = False
    """Whether the server's state folder lies in a small file system of its own."""
    engines: Sequence[str] = ("torchserve", "embedded")


@dataclass(frozen=True)
class Found:
    """What one row measured; seconds count from the end of the fault."""

    row: str
    engine: str
    title: str
    remark: str
    counts: Mapping[str, int]
    kinds: Sequence[tuple[str, str, int]]
    longest: float
    rate_before: float
    fault_seconds: float
    first_answer: float | None
    steady_again: float | None
    held: bool


def main() -> int:
    """Measure, print Markdown tables, and return 0 if every row reaches what is asked of it."""
    options = _options()
    names = options.rows.split(",")
    settings = Settings(0.5, 0.5, 2, 1.0, 0.5, 20.0) if options.quick else Settings()
    report = Report(options)
    found = []
    with tempfile.TemporaryDirectory(prefix="lexport-faults-") as scratch:
        folder = Path(scratch)
        run = run_of(options, folder)
        path, following = (
            archive(run, version=version, name=MODEL, variant=options.variant, out=folder)
            for version in ("1.0", "2.0")
        )
        with zipfile.ZipFile(path) as packed:
            texts = [json.loads(line)["text"] for line in packed.read("golden.jsonl").splitlines()]
        for engine in options.engines.split(","):
            for name in names:
                if engine not in ROWS[name].engines or (ROWS[name].small_disk and os.geteuid()):
                    continue
                state = folder / f"{name}-{engine}" / "s"
                found.append(_measure(name, engine, (path, following), texts, state, settings))
    for engine in options.engines.split(","):
        own = [one for one in found if one.engine == engine]
        report.part(f"32 connections under load, {TITLES[engine]}")
        report.table(*_table(own))
        report.text("\n".join(f"- `{one.row}`: {_details(one)}" for one in own))
    if options.out:
        write_file(options.out, json_bytes({"rows": [asdict(one) for one in found]}))
    return report.close([_verdict(one) for one in found])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_options(parser)
    add("--engines", default="torchserve,embedded", help="which engines, in this order")
    add("--variant", default="auto")
    add("--rows", default=",".join(ROWS), help="which faults, in this order")
    add("--out", type=Path, help="a JSON file of everything that was found")
    add("--quick", action="store_true", help="short loads, no verdict: does it run at all?")
    options = parser.parse_args()
    unknown = [name for name in options.rows.split(",") if name not in ROWS]
    if unknown:
        parser.error(f"--rows has {', '.join(unknown)}. Expected some of {', '.join(ROWS)}.")
    return options


def _measure(
    name: str, engine: str, versions: tuple[Path, Path], texts: Sequence[str], state: Path, settings: Settings
) -> Found:
    row = ROWS[name]
    say(f"{engine}, {name}: {row.title}")
    with _disk_of(row, state.parent), _served(row, engine, versions, state, settings) as served:
        found = asyncio.run(_loaded(name, engine, row, served, texts))
    say(f"{engine}, {name}: {found.remark}; {dict(found.counts)}")
    return found


@contextmanager
def _disk_of(row: Row, folder: Path) -> Iterator[None]:
    """Context manager: a folder, in a small file system of its own if the row wants it."""
    folder.mkdir()
    if not row.small_disk:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _served(row: Row, engine: str, versions: tuple[Path, Path], state: Path, settings: Settings) -> Iterator[Served]:
    """A server with the archive, removed at the end, whatever has become of it."""
    path, following = versions
    with ExitStack() as stack:
        stack.callback(_cleared, state)
        if not row.foreground:
            server = serving.serve([path], engine=engine, workers=f"cpu:{row.workers}", state_dir=state, port=0)
            yield Served(server, settings, None, following)
            return
        command = [sys.executable, "-m", "lexport", "serve", str(path), "--workers", f"cpu:{row.workers}"]
        command += ["--state-dir", str(state), "--port", "0", "--foreground", "--engine", engine]
        child = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        stack.callback(_ended, child)
        said: list[str] = []
        while not (said and said[-1].startswith("Next:")):
            said.append(child.stdout.readline() if child.stdout else "")
            if not said[-1]:
                raise SystemProblem(f"lexport serve ended: {''.join(said)}")
        yield Served(serving.running(state), settings, child, following)


def _ended(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(60)
    except subprocess.TimeoutExpired:
        child.kill()


def _cleared(state: Path) -> None:
    with suppress(SystemProblem):  # none is left after a row that ends the server
        serving.stop(state)


async def _loaded(name: str, engine: str, row: Row, served: Served, texts: Sequence[str]) -> Found:
    settings, url, token = served.settings, served.server.inference_url, served.server.token()

    def load() -> Load:
        return Load(url, MODEL, token, texts, connections=CONNECTIONS, per_connection=row.per_connection)

    await _for(load(), settings.warmup)
    measured, over, failed = load(), asyncio.Event(), False
    await measured.learn()
    began = time.monotonic()
    running = asyncio.create_task(measured.run(over))
    try:
        await asyncio.sleep(settings.before)
        fault = time.monotonic()
        wanted = SHARE * measured.rate(began + settings.before / 4, fault)
        try:
            remark = await asyncio.to_thread(row.fault, served)
        except SystemProblem as error:
            remark, failed = f"failed: {error}", True
        ended = time.monotonic()
        if row.ends:
            await asyncio.sleep(settings.after)
        else:
            while measured.steady_again(ended, wanted) is None and time.monotonic() - ended < settings.recover:
                await asyncio.sleep(0.2)
    finally:
        over.set()
        await running
    counts = measured.counts()
    again = measured.steady_again(ended, wanted)
    return Found(
        row=name,
        engine=engine,
        title=row.title,
        remark=remark,
        counts=counts,
        kinds=measured.kinds(),
        longest=measured.longest(),
        rate_before=wanted / SHARE,
        fault_seconds=ended - fault,
        first_answer=measured.first_answer(ended),
        steady_again=again,
        held=not failed
        and counts["wrong"] == 0
        and (not row.answers_all or counts["timed out"] == 0)
        and (not row.answers_all or _may_cut(row, engine) or counts["lost"] == 0)
        and (not row.recovers or again is not None)
        and (not row.graceful or counts["named error"] == counts["lost"] == counts["timed out"] == 0),
    )


async def _for(load: Load, seconds: float) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await load.run(over)


def _table(found: Sequence[Found]) -> tuple[list[str], list[list[str]]]:
    counted = ("sent", "answered", "named error", "lost", "timed out", "not sent", "wrong")

    def seconds(one: Found, value: float | None) -> str:
        if ROWS[one.row].ends:
            return "—"
        return "never" if value is None else f"{value:.1f}"

    rows = [
        [
            one.title,
            *(f"{one.counts[name]:,}" for name in counted),
            f"{one.longest:.1f}",
            seconds(one, one.first_answer),
            seconds(one, one.steady_again),
        ]
        for one in found
    ]
    return ["fault", *counted, "longest, s", "first answer, s", "80 % of the rate, s"], rows


def _verdict(found: Found) -> Verdict:
    row = ROWS[found.row]
    asked = ["no wrong answer"]
    if row.answers_all:
        cut = " or a connection cut" if _may_cut(row, found.engine) else ""
        asked.append(f"every request answered{',' if cut else ' or'} a named error{cut}")
    if row.graceful:
        asked.append("no error")
    if row.recovers:
        asked.append("the rate comes back")
    counts = found.counts
    told = f"{counts['wrong']:,} wrong, {counts['lost']:,} lost, {counts['timed out']:,} timed out"
    if row.graceful:
        told += f", {counts['named error']:,} errors"
    return Verdict(f"{found.engine}, {found.title}: {', '.join(asked)}", told, found.held)


def _may_cut(row: Row, engine: str) -> bool:
    return row.cuts and engine == "embedded"


def _details(one: Found) -> str:
    kinds: list[str] = [f"{count:,} × {end}, {kind}" for end, kind, count in one.kinds]
    return "; ".join(
        [f"{one.remark} after {one.fault_seconds:.1f} s", f"{one.rate_before:,.0f} answers/s before", *kinds]
    )


ROWS: dict[str, Row] = {
    "stop": Row("`lexport stop`", causes.stop, ends=True, recovers=False),
    "sigterm": Row("SIGTERM to the supervisor", causes.terminate, ends=True, recovers=False),
    "foreground": Row(
        "SIGTERM to `lexport serve --foreground`", causes.terminate, foreground=True, ends=True, recovers=False
    ),
    "frontend": Row("`kill -9` of the frontend", causes.once("frontend"), answers_all=False, engines=("torchserve",)),
    "worker": Row("`kill -9` of one of 2 workers", causes.once("worker"), workers=2, cuts=True),
    "worker-20": Row("`kill -9` of the worker each second for 20 s", causes.kill_each_second, cuts=True),
    "workers-20": Row(
        "`kill -9` of one of 2 workers each second for 20 s", causes.kill_each_second, workers=2, cuts=True
    ),
    "models": Row(
        "extracted models removed, then `kill -9` of the worker",
        causes.remove_models,
        cuts=True,
        engines=("embedded",),
    ),
    # TorchServe goes on starting workers in the folder that is gone.
    "models-torchserve": Row(
        "extracted models removed, then `kill -9` of the worker",
        causes.remove_models,
        answers_all=False,
        recovers=False,
        engines=("torchserve",),
    ),
    "deploy": Row("a version deployed", causes.deploy, graceful=True),
    "promote": Row("a version deployed, promoted, rolled back", causes.change_default, graceful=True),
    "canary": Row("a canary with half of the requests", causes.try_out, per_connection=50, graceful=True),
    "undeploy": Row("a version in place of another", causes.take_out, graceful=True),
    "scale": Row("1, 4, 1 workers", causes.scale, graceful=True),
    "corrupt": Row("a corrupt archive deployed", causes.deploy_corrupt, graceful=True),
    "store": Row(
        "the archives' copies removed, then `kill -9` of one of 2 workers", causes.remove_store, workers=2, cuts=True
    ),
    "disk": Row("the disk of the logs full for 20 s", causes.fill_disk, graceful=True, small_disk=True),
    "idle": Row("1,000 idle connections", causes.fill, per_connection=50, recovers=False),
    "idle-1024": Row(
        "1,000 idle connections, 1,024 open files",
        causes.fill_few_files,
        per_connection=50,
        answers_all=False,
        engines=("torchserve",),
    ),
}


if __name__ == "__main__":
    raise SystemExit(main())
