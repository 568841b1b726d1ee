"""Run a load test: every archive × worker set × load, served by a real server, or one that runs, loaded by Locust."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .. import serving
from ..errors import MissingExtra, SystemProblem
from ..export.archive.trust.keys import PublicKey
from ..export.archive.trust.rule import Trust
from ..export.archive.verify import verify
from ..messages.extras import is_installed
from ..serving.plan import find_gpus, parse_workers
from ..serving.process import sigterm_raises
from ..serving.start import TITLES
from ..serving.temporary import STATE, temporary_folder
from ..storage.progress import Say, silent
from . import cells, environment
from .bounds import check_load, check_need, check_processes, check_question, check_servers
from .cells import Loads, loads_of, measured_rows
from .driver.arrivals import plan
from .locust_process import Load, Target
from .objectives import judge, parse
from .planning.capacity import capacities
from .report import check_out, write
from .results import LoadReport, NotRun, Row
from .targets import Endpoint, Subject, subjects, texts_file, texts_in_words

CLOSED_USERS = (1, 16, 64)


def loadtest(
    archives: Sequence[Path] = (),
    *,
    endpoint: Endpoint | None = None,
    worker_sets: Sequence[str] = ("cpu:1", "cpu:2", "gpu:1"),
    engines: Sequence[str] = ("torchserve",),
    users: Sequence[int] = CLOSED_USERS,
    arrivals: str = "closed",
    rates: Sequence[float] = (),
    duration: float = 10.0,
    warmup: float = 5.0,
    slo: Sequence[str] = (),
    unknown_share: float = 0.0,
    mix: str = "",
    texts: Path | Sequence[str] | None = None,
    text_column: str | None = None,
    headers: Sequence[str] = (),
    body: str = "",
    expect: str | None = None,
    processes: int | None = None,
    seed: int = 0,
    need: float | None = None,
    out: Path | None = None,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    say: Say = silent,
) -> LoadReport:
    """Load every archive on every engine and worker set, or a server that runs, with every load; judge the result.

    The loads are `users` in a closed loop, or with other `arrivals` (`open`, `constant`, `step`, `ramp`, `spike`,
    `soak`) one at each of `rates`, in requests/s, or a recorded schedule (`replay:FILE`). Each server is warmed up
    for `warmup` seconds; each run measures `duration` seconds. `texts` is a file (JSON lines with "text", any data
    file with a column `text_column`, or a text a line) or a list; without it the archive's golden texts are sent.
    They are sent as they are, but for the `unknown_share` of their words and the shares of `mix`
    (`long=5%,bad=1%,list=10%`), in the template `body` (with `{text}`) and with `headers` (`Name: value`). `expect`
    is what counts as an answer: `label`, `status` or a JSONPath; None: `label` of lexport's own archives, else
    `status`. `processes` of Locust; None: one, and more where it is the limit and the machine has the cores. With
    objectives the report has the capacity of each worker set, and of how many such machines `need` requests/s need.

    GPU sets are reported as not run if there is no CUDA device. With `out`, report.html, results.csv
    and results.json are written there together at the end, or not at all if the test is interrupted. The report has a
    verdict on each objective; `objectives.check_slo` raises RefusedError for a missed one.

    `trusted` and `trust_code` are those of `serving.serve`. Raises InputError for bad options or archives,
    RefusedError for archives that are not trusted, MissingExtra without Locust, SystemProblem if a server or
    Locust fails.
    """
    if not is_installed("locust"):
        raise MissingExtra.of("locust", "A load test")
    objectives = parse(slo)
    if endpoint is None:
        check_servers(archives, worker_sets, engines)
    load = Load(0, 0.0, duration, None, unknown_share, seed, arrivals=arrivals, mix=mix)
    check_load(load, users, rates, warmup, 1 if endpoint else len(archives) * len(worker_sets) * len(engines))
    if arrivals.startswith("replay:"):
        load = replace(load, arrivals=f"replay:{Path(arrivals.removeprefix('replay:')).resolve()}")
        load = replace(load, duration=plan(load.arrivals, 0.0, duration, seed).seconds)
    check_processes(processes)
    check_need(need, objectives)
    asked = Target("", "", "", expect or "status", headers=tuple(headers), body=body)
    check_question(asked, mix)
    trust = Trust.of(trusted, trust_code)
    if trust.keys:
        # The servers verify their archives too; this check protects the report and comes before any server starts.
        for path in archives:
            verify(path, trust.keys)
    tested = [endpoint.subject()] if endpoint else subjects(archives)
    if out:
        check_out(out)
    notes = _foreign_warning(tested) if expect is None and endpoint is None else ()
    for line in notes:
        say(line)
    started = datetime.now(UTC)
    rows: list[Row] = []
    missing: list[NotRun] = []
    with sigterm_raises(), temporary_folder() as scratch:
        for subject in tested:
            asked = replace(asked, expect=expect or subject.expect)
            load = replace(load, texts=texts_file(texts, subject, scratch, text_column))
            loads = Loads(loads_of(load, users, rates), warmup, processes)
            if endpoint:
                target = replace(
                    asked, url=endpoint.url, model=endpoint.model, token=endpoint.token, remote=endpoint.remote
                )
                rows += measured_rows(target, subject.label, _address(endpoint.url), loads, scratch, say)
                continue
            for engine, workers in product(engines, worker_sets):
                setting = _named(engine, workers)
                try:
                    rows += _run_set(subject, engine, workers, trust, asked, loads, scratch, say)
                except _CannotRun as reason:
                    say(f"{setting} not run: {reason}")
                    missing.append(NotRun(subject.label, setting, str(reason)))
    settings = {
        **({"host": endpoint.url} if endpoint else {"archives": [path.name for path in archives]}),
        **({} if endpoint else {"workers": list(worker_sets), "engines": list(engines)}),
        "arrivals": arrivals,
        **({"users": list(users)} if arrivals == "closed" else {"rates": list(rates)}),
        "duration_seconds": load.duration,
        "warmup_seconds": warmup,
        "unknown_share": unknown_share,
        **{name: value for name, value in (("mix", mix), ("body", body), ("text_column", text_column)) if value},
        "headers": [header.partition(":")[0] for header in headers],  # their values may be secret
        "expect": asked.expect,
        "texts": texts_in_words(texts, endpoint is not None),
        "seed": seed,
        "slo": list(slo),
        **({"need": need} if need is not None else {}),
    }
    report = LoadReport(
        started=started.isoformat(timespec="seconds"),
        rows=tuple(rows),
        not_run=tuple(missing),
        objectives=tuple(map(str, objectives)),
        verdicts=judge(objectives, rows),
        warnings=(*notes, *cells.warnings(rows)),
        settings=settings | {"command": _command(settings)},
        machine=environment.machine(),
        versions=environment.versions(),
        evidence={subject.label: subject.evidence for subject in tested},
        capacities=capacities(rows, objectives, need),
        out=out,
    )
    if out:
        write(report, out)
    return report


@contextmanager
def open_server(subject: Subject, engine: str, workers: str, trust: Trust, say: Say) -> Iterator[Target]:
    """Start a server with one archive, on free ports and with a private state folder; stop it at the end."""
    assert subject.path is not None
    say(f"{subject.label} {workers}: starting {TITLES[engine]}")
    with started(subject.path, engine, workers, trust) as server:
        yield Target(server.inference_url, subject.model, server.token(), subject.expect, server.id)


@contextmanager
def started(
    archive: Path, engine: str, workers: str, trust: Trust, *, config: Path | None = None
) -> Iterator[serving.Server]:
    """Start a server for a test, on free ports and with a private state folder; stop it at the end.

    It ends with this process even if this process is killed; the next start then removes its folder.
    """
    with temporary_folder() as folder:
        state_dir = folder / STATE
        server = serving.serve(
            [archive],
            engine=engine,
            workers=workers,
            state_dir=state_dir,
            port=0,
            config=config,
            trusted=trust.keys,
            trust_code=trust.insist,
            bound=True,
        )
        try:
            yield server
        finally:
            serving.stop(state_dir)


class _CannotRun(Exception):
    """A GPU worker set that this machine or this archive does not allow."""


def _named(engine: str, workers: str) -> str:
    """Return a worker set as results name it."""
    return workers if engine == "torchserve" else f"{engine} {workers}"


def _address(url: str) -> str:
    """Return the host and port of a server."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _run_set(
    subject: Subject,
    engine: str,
    workers: str,
    trust: Trust,
    asked: Target,
    loads: Loads,
    scratch: Path,
    say: Say,
) -> list[Row]:
    on_gpu = parse_workers(workers)[0] == "gpu"
    if on_gpu:
        if subject.cpu_alone is not None:
            raise _CannotRun(subject.cpu_alone)
        try:
            find_gpus()
        except SystemProblem:
            raise _CannotRun("no CUDA device") from None
    rows: list[Row] = []
    try:
        with open_server(subject, engine, workers, trust, say) as served:
            target = replace(served, expect=asked.expect, headers=asked.headers, body=asked.body)
            for row in measured_rows(target, subject.label, _named(engine, workers), loads, scratch, say):
                rows.append(row)
    except SystemProblem as problem:
        if on_gpu and not rows:
            raise _CannotRun(str(problem).splitlines()[0]) from None
        raise
    return rows


def _command(settings: Mapping[str, Any]) -> str:
    """Return the command line that runs a test with these settings again; the values of headers are left out."""
    words = ["lexport", "loadtest", *settings.get("archives", ())]
    options = {
        "--host": settings.get("host"),
        "--workers": ",".join(settings.get("workers", ())),
        "--engines": ",".join(settings.get("engines", ())),
        "--arrivals": settings["arrivals"] if settings["arrivals"] != "closed" else None,
        "--users": ",".join(map(str, settings.get("users", ()))),
        "--rate": ",".join(f"{rate:g}" for rate in settings.get("rates", ())),
        "--duration": f"{settings['duration_seconds']:g}s",
        "--unknown-share": f"{settings['unknown_share']:g}",
        "--mix": settings.get("mix"),
        "--body": settings.get("body"),
        "--expect": settings["expect"],
        "--seed": settings["seed"] or None,
    }
    words += [word for name, value in options.items() if value for word in (name, str(value))]
    words += [word for name in settings["headers"] for word in ("--header", f"{name}: …")]
    words += [word for term in settings["slo"] for word in ("--slo", term)]
    words += ["--need", f"{settings['need']:g}"] if "need" in settings else []
    return shlex.join(words)


def _foreign_warning(tested: Sequence[Subject]) -> tuple[str, ...]:
    """Return a warning about the archives that lexport did not make, if there are any."""
    others = [subject.label for subject in tested if subject.expect == "status"]
    if not others:
        return ()
    return (
        f"Not made by lexport: {', '.join(others)}. Every answer with a status of 2xx was counted, with any content; "
        "--expect names what an answer must have.",
    )
