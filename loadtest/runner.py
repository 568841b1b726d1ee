"""Run a load test: every archive × worker set × load, served by a real server, or one that runs, loaded by Locust."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import MissingExtra
from ..export.archive.trust.keys import PublicKey
from ..export.archive.trust.rule import Trust
from ..export.archive.verify import verify
from ..messages.extras import is_installed
from ..serving.process import sigterm_raises
from ..serving.temporary import temporary_folder
from ..storage.atomic import check_file, sha256_file, write_file
from ..storage.progress import Say, silent
from . import environment
from .bounds import check_load, check_need, check_processes, check_question, check_repeats, check_servers
from .cells import Loads, loads_of
from .driver.arrivals import plan
from .judging import baseline as earlier_tests
from .judging.conditions import warnings
from .judging.junit import junit as junit_xml
from .judging.summary import append_summary
from .locust_process import Load, Target, free_port
from .measuring.hdr import LatencyLog
from .measuring.repeats import Run, ordered, pooled
from .measuring.settings import settings_of
from .objectives import judge, parse
from .planning.capacity import capacities
from .programs.drivers import driver as driver_of
from .programs.program import check_driver
from .report import check_out, write
from .results import LoadReport, NotRun
from .servers import CannotRun, Setup, runs_of
from .targets import Endpoint, Subject, subjects, texts_file, texts_in_words
from .watching import Watch

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
    repeat: int = 1,
    slo: Sequence[str] = (),
    baseline: Path | None = None,
    max_regression: float = earlier_tests.LEAST,
    judge_anyway: bool = False,
    junit: Path | None = None,
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
    driver: str = "locust",
    ui: bool = False,
    watch: Watch | None = None,
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
    With `ui` Locust shows its own web page on 127.0.0.1 while a run goes on; `watch` is called about each second of a
    run, from another thread.

    `driver` is what sends: `locust`, or a program that is installed, `wrk` (closed loops) or `k6` (closed loops, and
    `constant`), to confirm a figure of which Locust was the limit; of their figures nothing is judged. `processes`
    are then its threads.

    Each load is run `repeat` times, in as many rounds over all servers and loads, each in another order that `seed`
    draws; every round starts the servers anew. `baseline` is the results.json of an earlier test, which the report is
    compared with: a figure counts as worse if it is so by more than noise, and by more than the share
    `max_regression`. With `judge_anyway` other work on the machine, and another machine of the baseline, keep nothing
    from being judged.

    GPU sets are reported as not run if there is no CUDA device. With `out`, report.html, results.csv, results.json
    and latency.hlog are written there together at the end, or not at all if the test is interrupted; and with `junit`
    that file. In GitHub Actions a summary is added to that of the job. The report has a verdict on each objective;
    `objectives.check_slo` raises RefusedError for a missed one.

    `trusted` and `trust_code` are those of `serving.serve`. Raises InputError for bad options or archives,
    RefusedError for archives that are not trusted and for a run that was ended in Locust's page, MissingExtra without
    Locust, SystemProblem if a server or Locust fails, or without the program that `driver` names.
    """
    if not is_installed("locust"):
        raise MissingExtra.of("locust", "A load test")
    objectives = parse(slo)
    program = driver_of(driver)
    judged = {"repeat": repeat > 1, "slo": slo, "baseline": baseline, "need": need is not None}
    check_driver(program, arrivals, endpoint.url if endpoint else "", **judged, mix=mix, ui=ui)
    if endpoint is None:
        check_servers(archives, worker_sets, engines)
    load = Load(0, 0.0, duration, None, unknown_share, seed, arrivals=arrivals, mix=mix)
    if ui:
        load = replace(load, page=free_port())
        say(f"Locust's page: http://127.0.0.1:{load.page}, while a run goes on")
    check_load(load, users, rates, warmup, 1 if endpoint else len(archives) * len(worker_sets) * len(engines))
    if arrivals.startswith("replay:"):
        load = replace(load, arrivals=f"replay:{Path(arrivals.removeprefix('replay:')).resolve()}")
        load = replace(load, duration=plan(load.arrivals, 0.0, duration, seed).seconds)
    check_processes(processes)
    check_repeats(repeat)
    check_need(need, objectives)
    asked = Target("", "", "", expect or "status", headers=tuple(headers), body=body)
    check_question(asked, mix)
    earlier = earlier_tests.read_baseline(baseline) if baseline else None
    trust = Trust.of(trusted, trust_code)
    if trust.keys:
        # The servers verify their archives too; this check protects the report and comes before any server starts.
        for path in archives:
            verify(path, trust.keys)
    tested = [endpoint.subject()] if endpoint else subjects(archives)
    if out:
        check_out(out)
    if junit:
        check_file(junit, replace=True)
    notes = _foreign_warning(tested) if expect is None and endpoint is None else ()
    for line in notes:
        say(line)
    machine = environment.machine()
    started = datetime.now(UTC)
    log = LatencyLog(started.timestamp())
    runs: dict[tuple[str, str, Load], list[Run]] = defaultdict(list)
    missing: dict[tuple[str, str], NotRun] = {}
    with sigterm_raises(), temporary_folder() as scratch:
        setups: list[Setup] = []
        for subject in tested:
            folder = scratch / str(len(setups))
            folder.mkdir()
            file = texts_file(texts, subject, folder, text_column)
            loads = loads_of(replace(load, texts=file), users, rates)
            target = replace(asked, expect=expect or subject.expect)
            sets = list(product(engines, worker_sets)) if endpoint is None else [("", _address(endpoint.url))]
            setups += [
                Setup(subject, engine, workers, target, Loads(loads, warmup, processes, watch=watch, program=program))
                for engine, workers in sets
            ]
        settings = settings_of(
            archives=None if endpoint else [path.name for path in archives],
            host=endpoint.url if endpoint else None,
            workers=list(worker_sets),
            engines=list(engines),
            arrivals=arrivals,
            users=list(users),
            rates=list(rates),
            duration=load.duration,
            warmup=warmup,
            repeats=repeat,
            unknown_share=unknown_share,
            mix=mix,
            body=body,
            text_column=text_column,
            headers=headers,
            expect=setups[-1].asked.expect,
            texts=texts_in_words(texts, endpoint is not None),
            texts_sha256=sha256_file(file) if texts is not None and file is not None else None,
            processes=processes,
            seed=seed,
            slo=list(slo),
            baseline=None if baseline is None else str(baseline),
            max_regression=max_regression,
            judge_anyway=judge_anyway,
            need=need,
            driver=driver,
        )
        models = {subject.label: subject.tested for subject in tested}
        if earlier is not None:
            keys = [
                earlier_tests.key_of(one.subject.label, one.name, load.users, load.arrivals, load.rate, models)
                for one in setups
                for load in one.loads.each
            ]
            earlier_tests.check_same_load(earlier, settings, keys)
            if lack := earlier_tests.what_is_missing(earlier, machine, repeat, anyway=judge_anyway):
                say(lack)
        for number in range(1, repeat + 1):
            if repeat > 1:
                say(f"round {number} of {repeat}")
            for setup in ordered(setups, repeat, seed, number):
                if setup.place in missing:
                    continue
                each = ordered(setup.loads.each, repeat, seed, number, setup.place)
                now = replace(setup, loads=replace(setup.loads, each=tuple(each)))
                try:
                    for one, run in runs_of(now, endpoint, trust, scratch, say, number):
                        runs[(*setup.place, one)].append(run)
                        slots = run.row.series
                        length = slots[0].seconds if slots else run.row.seconds
                        log.add(run.row.label, run.row.repeats[0].began, length, run.due, run.times)
                except CannotRun as reason:
                    say(f"{setup.name} not run: {reason}")
                    missing[setup.place] = NotRun(setup.subject.label, setup.name, str(reason))
        rows = [pooled(runs[key]) for one in setups for load in one.loads.each if (key := (*one.place, load)) in runs]
    compared = None
    if earlier is not None:
        compared = earlier_tests.compare(earlier, rows, models, machine, least=max_regression, anyway=judge_anyway)
    report = LoadReport(
        started=started.isoformat(timespec="seconds"),
        rows=tuple(rows),
        not_run=tuple(missing.values()),
        objectives=tuple(map(str, objectives)),
        verdicts=judge(objectives, rows, anyway=judge_anyway),
        warnings=(*notes, *warnings(rows)),
        settings=settings,
        machine=machine,
        versions=environment.versions(),
        evidence={subject.label: subject.evidence for subject in tested},
        tested=models,
        comparison=compared,
        capacities=capacities(rows, objectives, need),
        out=out,
    )
    if out:
        write(report, out, log.text())
    if junit:
        write_file(junit, junit_xml(report))
    append_summary(report)
    return report


def _address(url: str) -> str:
    """Return the host and port of a server."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _foreign_warning(tested: Sequence[Subject]) -> tuple[str, ...]:
    """Return a warning about the archives that lexport did not make, if there are any."""
    others = [subject.label for subject in tested if subject.expect == "status"]
    if not others:
        return ()
    return (
        f"Not made by lexport: {', '.join(others)}. Every answer with a status of 2xx was counted, with any content; "
        "--expect names what an answer must have.",
    )
