"""Run a load test: every archive × worker set × number of users, served by a real server, loaded by Locust."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

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
from ..serving.usage import Usage, usage_of
from ..storage.cores import cores
from ..storage.progress import Say, silent
from . import environment
from . import locust_process as client
from .bounds import check_bounds
from .locust_process import Load, Target
from .objectives import judge, parse
from .report import check_out, write
from .results import LoadReport, NotRun, Row
from .targets import Subject, subjects, texts_file, texts_in_words

SETTLE = 1.0  # seconds at the start of each run that are not measured; the server was warmed up before
CLIENT_LIMIT = 0.85  # of a core: beyond it Locust, which has only one, slows the test down


def loadtest(
    archives: Sequence[Path],
    *,
    worker_sets: Sequence[str] = ("cpu:1", "cpu:2", "gpu:1"),
    engines: Sequence[str] = ("torchserve",),
    users: Sequence[int] = (1, 16, 64),
    duration: float = 10.0,
    warmup: float = 5.0,
    slo: Sequence[str] = (),
    unknown_share: float = 0.1,
    texts: Path | Sequence[str] | None = None,
    seed: int = 0,
    out: Path | None = None,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    say: Say = silent,
) -> LoadReport:
    """Load every archive on every engine and worker set with every number of users, and judge the result.

    Each server is warmed up for `warmup` seconds with the most users; each run measures `duration` seconds.
    `texts` is a file (JSON lines with "text", or a text a line) or a list; without it the archive's golden
    texts are sent. GPU sets are reported as not run if there is no CUDA device. With `out`, report.html, results.csv
    and results.json are written there together at the end, or not at all if the test is interrupted. The report has a
    verdict on each objective; `objectives.check_slo` raises RefusedError for a missed one.

    `trusted` and `trust_code` are those of `serving.serve`. Raises InputError for bad options or archives,
    RefusedError for archives that are not trusted, MissingExtra without Locust, SystemProblem if a server or
    Locust fails.
    """
    if not is_installed("locust"):
        raise MissingExtra.of("locust", "A load test")
    objectives = parse(slo)
    check_bounds(archives, worker_sets, engines, users, duration, warmup, unknown_share)
    trust = Trust.of(trusted, trust_code)
    if trust.keys:
        # The servers verify their archives too; this check protects the report and comes before any server starts.
        for path in archives:
            verify(path, trust.keys)
    tested = subjects(archives)
    if out:
        check_out(out)
    for line in _foreign_warning(tested):
        say(line)
    started = datetime.now(UTC)
    rows: list[Row] = []
    missing: list[NotRun] = []
    with sigterm_raises(), temporary_folder() as scratch:
        for subject in tested:
            load = Load(max(users), 0.0, duration, texts_file(texts, subject, scratch), unknown_share, seed)
            for engine, workers in product(engines, worker_sets):
                setting = _named(engine, workers)
                try:
                    rows += _run_set(subject, engine, workers, trust, users, warmup, load, scratch, say)
                except _CannotRun as reason:
                    say(f"{setting} not run: {reason}")
                    missing.append(NotRun(subject.label, setting, str(reason)))
    report = LoadReport(
        started=started.isoformat(timespec="seconds"),
        rows=tuple(rows),
        not_run=tuple(missing),
        objectives=tuple(map(str, objectives)),
        verdicts=judge(objectives, rows),
        warnings=(*_foreign_warning(tested), *_warnings(rows)),
        settings={
            "archives": [subject.path.name for subject in tested],
            "workers": list(worker_sets),
            "engines": list(engines),
            "users": list(users),
            "duration_seconds": duration,
            "warmup_seconds": warmup,
            "unknown_share": unknown_share,
            "texts": texts_in_words(texts),
            "seed": seed,
            "slo": list(slo),
            "command": _command(tested, worker_sets, engines, users, duration, unknown_share, texts, slo),
        },
        machine=environment.machine(),
        versions=environment.versions(),
        evidence={subject.label: subject.evidence for subject in tested},
        out=out,
    )
    if out:
        write(report, out)
    return report


@contextmanager
def open_server(subject: Subject, engine: str, workers: str, trust: Trust, say: Say) -> Iterator[Target]:
    """Start a server with one archive, on free ports and with a private state folder; stop it at the end.

    It ends with this process even if this process is killed; the next start then removes its folder.
    """
    with temporary_folder() as folder:
        state_dir = folder / STATE
        say(f"{subject.label} {workers}: starting {TITLES[engine]}")
        server = serving.serve(
            [subject.path],
            engine=engine,
            workers=workers,
            state_dir=state_dir,
            port=0,
            trusted=trust.keys,
            trust_code=trust.insist,
            bound=True,
        )
        try:
            yield Target(server.inference_url, subject.model, server.token(), subject.any_answer, server.id)
        finally:
            serving.stop(state_dir)


class _CannotRun(Exception):
    """A GPU worker set that this machine or this archive does not allow."""


def _named(engine: str, workers: str) -> str:
    """Return a worker set as results name it."""
    return workers if engine == "torchserve" else f"{engine} {workers}"


def _run_set(
    subject: Subject,
    engine: str,
    workers: str,
    trust: Trust,
    users: Sequence[int],
    warmup: float,
    load: Load,
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
    rows = []
    try:
        with open_server(subject, engine, workers, trust, say) as target:
            if warmup:
                client.run(target, replace(load, duration=warmup), scratch)
            for level in users:
                before = usage_of(target.server)
                measured = client.run(target, replace(load, users=level, warmup=SETTLE), scratch)
                usage = usage_of(target.server).since(before, SETTLE + measured["seconds"])
                rows.append(_row(subject, _named(engine, workers), level, measured, usage))
                say(_in_words(rows[-1]))
    except SystemProblem as problem:
        if on_gpu and not rows:
            raise _CannotRun(str(problem).splitlines()[0]) from None
        raise
    return rows


def _in_words(row: Row) -> str:
    times = (
        "no answers" if row.p50_ms is None or row.p99_ms is None else f"p50 {row.p50_ms:.1f}, p99 {row.p99_ms:.1f} ms"
    )
    failed = f", {row.failures} FAILED ({next(iter(row.reasons))})" if row.failures else ""
    return f"{row.label}: {row.requests_per_second:,.0f} requests/s, {times}{failed}"


def _row(subject: Subject, workers: str, users: int, measured: dict[str, Any], usage: Usage) -> Row:
    client_cpu = measured["client_seconds"] / measured["seconds"]
    return Row(
        archive=subject.label,
        workers=workers,
        users=users,
        seconds=measured["seconds"],
        answered=measured["answered"],
        failures=measured["failures"],
        reasons=measured["reasons"],
        requests_per_second=measured["requests_per_second"],
        p50_ms=measured["p50_ms"],
        p95_ms=measured["p95_ms"],
        p99_ms=measured["p99_ms"],
        max_ms=measured["max_ms"],
        curve=tuple((percent, milliseconds) for percent, milliseconds in measured["curve"]),
        client_cpu=client_cpu,
        client_cpu_machine=client_cpu / cores(),
        machine_cpu=measured["machine_share"],
        unknown_share=measured["unknown_tokens"] / max(1, measured["tokens"]),
        server_cpu=usage.cpu,
        server_memory=usage.memory,
    )


def _command(
    tested: Sequence[Subject],
    worker_sets: Sequence[str],
    engines: Sequence[str],
    users: Sequence[int],
    duration: float,
    unknown_share: float,
    texts: Path | Sequence[str] | None,
    slo: Sequence[str],
) -> str:
    """Return the command line that runs this test again."""
    words = ["lexport", "loadtest", *(subject.path.name for subject in tested)]
    words += [
        "--workers",
        ",".join(worker_sets),
        "--engines",
        ",".join(engines),
        "--users",
        ",".join(map(str, users)),
        "--duration",
        f"{duration:g}s",
    ]
    words += ["--unknown-share", f"{unknown_share:g}"]
    words += ["--texts", texts.name] if isinstance(texts, Path) else []
    words += [word for term in slo for word in ("--slo", term)]
    return shlex.join(words)


def _foreign_warning(tested: Sequence[Subject]) -> tuple[str, ...]:
    """Return a warning about the archives that lexport did not make, if there are any."""
    others = [subject.label for subject in tested if subject.any_answer]
    if not others:
        return ()
    return (
        f"Not made by lexport: {', '.join(others)}. Every answer with a status of 2xx was counted, with any content.",
    )


def _warnings(rows: Sequence[Row]) -> tuple[str, ...]:
    warnings = []
    busy = [row for row in rows if row.client_cpu > CLIENT_LIMIT]
    if busy:
        worst = max(busy, key=lambda row: row.client_cpu)
        warnings.append(
            f"The client, not the server, was the bottleneck in {len(busy)} of {len(rows)} runs: Locust took up to "
            f"{worst.client_cpu:.0%} of its one core ({worst.label}). The server can do more than the figures say."
        )
    failed = [row for row in rows if row.failures]
    if failed:
        worst = max(failed, key=lambda row: row.failures)
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in worst.reasons.items())
        warnings.append(f"Requests failed in {len(failed)} of {len(rows)} runs; {worst.label}: {reasons}.")
    return tuple(warnings)
