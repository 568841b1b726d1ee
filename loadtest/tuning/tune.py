"""Search the settings with which a model serves most requests/s within objectives, and prove them in a final."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...errors import InputError, MissingExtra
from ...export.archive.trust.keys import PublicKey
from ...export.archive.trust.rule import Trust
from ...export.archive.verify import verify
from ...export.evidence.load_results import load_in_words
from ...messages.extras import is_installed
from ...serving.engines import ENGINES, engine_of
from ...serving.process import sigterm_raises
from ...serving.stores.contents import digest_of
from ...serving.temporary import temporary_folder
from ...storage.atomic import sha256_file
from ...storage.cores import cores
from ...storage.progress import Say, silent
from .. import environment
from ..bounds import check_need, check_question
from ..locust_process import Load, Target
from ..objectives import Objective
from ..targets import subjects, texts_file, texts_in_words
from . import report as files
from .checks import check_default, check_met, check_options, check_winner, objectives_of
from .explain import capacity_of, effects, why_it_won
from .final import Outcome, play
from .journal import Journal, open_journal
from .ladder import USERS
from .measuring import Measuring
from .results import TuneReport, front, points
from .search import Budget, Found, search
from .settings import Tunable, commands, parse_start, tunable_of, tuned_file
from .space import candidates
from .trials import Task, Trial

BUDGET = 300.0
WARMUP = 1.5  # runs of the first stage that a new server is loaded for


def tune(
    archives: Sequence[Path],
    *,
    slo: Sequence[str],
    budget: float = BUDGET,
    engines: Sequence[str] = ENGINES,
    users: Sequence[int] = (),
    rates: Sequence[float] = (),
    start: str = "",
    need: float | None = None,
    texts: Path | Sequence[str] | None = None,
    text_column: str | None = None,
    headers: Sequence[str] = (),
    body: str = "",
    expect: str | None = None,
    seed: int = 0,
    run: Path | None = None,
    out: Path = Path("tune"),
    force: bool = False,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    say: Say = silent,
) -> TuneReport:
    """Find the engine, batches, workers and threads with which a model serves most requests/s within `slo`.

    `archives` is one archive, or variants of one `run`, of which the first is the default. `budget` is in seconds.
    Loads are closed loops of `users`, rising, or open ones of `rates`, in requests/s. `start` are settings to begin
    with, such as `engine=torchserve,workers=4,batch=1,delay=100`. The defaults and the start always play the final,
    so what is found is never below them. `out` keeps every run as it ends; a search that was interrupted goes on from
    there, with `force` it begins anew. The rest is as in `loadtest`.

    Raises InputError for bad options and for an `out` with another search, RefusedError if nothing meets the
    objectives, or for archives that are not trusted, MissingExtra without Locust or an engine, SystemProblem if the
    default cannot be served or Locust fails.
    """
    if not is_installed("locust"):
        raise MissingExtra.of("locust", "A search")
    objectives = objectives_of(slo)
    levels = sorted(float(level) for level in (rates or users or USERS))
    load = Load(1, 0.0, 1.0, None, 0.0, seed, arrivals="open" if rates else "closed")
    check_options(archives, engines, load, users, rates, budget)
    check_need(need, objectives)
    asked = Target("", "", "", expect or "", headers=tuple(headers), body=body)
    check_question(replace(asked, expect=expect or "status"), "")
    trust = Trust.of(trusted, trust_code)
    if trust.keys:
        for path in archives:
            verify(path, trust.keys)
    tested = {one.served.label: one for one in (tunable_of(subject, engines) for subject in subjects(archives))}
    served = [one.served for one in tested.values()]
    used = [engine for engine in engines if any(engine in one.engines for one in served)]
    if not used:
        raise InputError(
            f"--engines {', '.join(engines)} serves none of {', '.join(tested)}: the embedded engine answers with "
            "lexport's own code alone. Give --engines torchserve.",
            code="LX-LOAD-140",
        )
    for engine in used:
        engine_of(engine)  # which says what is not installed
    tried = candidates(served, used, cores())
    begin = parse_start(start, tried[0], tested) if start else None
    files.check_out(out)
    settings: dict[str, Any] = {
        "archives": {label: digest_of(one.path) for label, one in tested.items()},
        "objectives": [str(one) for one in objectives],
        "engines": used,
        "arrivals": load.arrivals,
        "levels": levels,
        "texts": texts_in_words(texts, served=False),
        "expect": expect,
        "headers": [header.partition(":")[0] for header in headers],  # their values may be secret
        "body": body,
        "seed": seed,
    }
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with sigterm_raises(), temporary_folder() as scratch:
        asked_texts = texts_file(texts, next(iter(tested.values())).subject, scratch, text_column)
        load = replace(load, texts=asked_texts)
        facts = {
            **settings,
            "texts_digest": None if asked_texts is None else sha256_file(asked_texts),
            "machine": environment.machine(),
            "versions": environment.versions(),
        }
        measuring = Measuring(tested, trust, asked, load, objectives, scratch)
        plan = Budget(budget)
        warmup = min(10.0, max(1.0, WARMUP * plan.short))

        def announced(task: Task) -> Trial:
            trial = measuring(task)
            say(_told(trial, load.arrivals, budget - journal.spent - trial.took))
            return trial

        with open_journal(out, facts, announced, anew=force) as journal, _kept(out, journal, say):
            with measuring.serving(1, scaled=True, warmup=warmup):
                found = search(tried, levels, journal, plan, begin, say)
            check_default(found)
            check_met(found, objectives)
            with measuring.serving(len(found.finalists), scaled=False, warmup=warmup):
                outcome = play(found.finalists, journal, plan, say)
            check_winner(outcome, objectives)
    report = _report(
        started, objectives, load, journal, found, outcome, tested, run, need, settings, out, trust_code=trust_code
    )
    files.write(report, tested[report.winner.archive])
    return report


@contextmanager
def _kept(out: Path, journal: Journal, say: Say) -> Iterator[None]:
    """Say where what was measured is kept, if the search is interrupted."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # SIGTERM is the latter
        if journal.trials:
            say(f"{len(journal.trials)} runs are kept in {out}; the same command goes on from there.")
        raise


def _told(trial: Trial, arrivals: str, left: float) -> str:
    """Return a line on a run, with the time that is left of the budget."""
    task = trial.task
    round_ = f", round {task.turn + 1}" if task.stage == "final" else ""
    clock = f"{int(left) // 60}:{int(left) % 60:02d} left" if left > 0 else "the budget is used up"
    if trial.problem:
        what = f"cannot be served: {trial.problem}"
    else:
        p99 = "no answer" if trial.p99_ms is None else f"p99 {trial.p99_ms:.1f} ms"
        what = f"{trial.bounded} requests/s, {p99}{'' if trial.met else ', missed'}"
    return f"{clock} · {task.stage}{round_} · {task.candidate}, {load_in_words(arrivals, task.level)}: {what}"


def _report(
    started: str,
    objectives: Sequence[Objective],
    load: Load,
    journal: Journal,
    found: Found,
    outcome: Outcome,
    tested: dict[str, Tunable],
    run: Path | None,
    need: float | None,
    settings: dict[str, Any],
    out: Path,
    *,
    trust_code: bool,
) -> TuneReport:
    winner = outcome.winner
    assert winner is not None
    its = tested[winner.candidate.archive]
    capacity, machines = capacity_of(winner, load.arrivals, objectives, need)
    return TuneReport(
        started=started,
        objectives=tuple(map(str, objectives)),
        arrivals=load.arrivals,
        trials=tuple(journal.trials),
        untried=found.untried,
        front=front(points(journal.trials)),
        outcome=outcome,
        why=why_it_won(outcome),
        effects=effects(winner.candidate, journal.trials, outcome.default.candidate),
        capacity=capacity,
        need=need,
        machines=machines,
        commands=tuple(commands(winner.candidate, its, run, out, trust_code=trust_code)),
        file=tuned_file(winner.candidate, its, run),
        warnings=_warnings(found, outcome, load.arrivals),
        seconds=journal.spent,
        settings=settings,
        machine=environment.machine(),
        versions=environment.versions(),
        out=out,
    )


def _warnings(found: Found, outcome: Outcome, arrivals: str) -> tuple[str, ...]:
    lines = []
    if found.untried:
        lines.append(
            f"{len(found.untried)} of {len(found.untried) + len(found.standings)} candidates were not tried for lack "
            "of time; a longer --budget has time for more."
        )
    failed = [one.candidate for one in found.standings if any(trial.problem for trial in one.trials)]
    if failed:
        lines.append(f"{len(failed)} candidates could not be served, among them {failed[0]}.")
    if any(trial.client_limit for one in outcome.finalists for trial in one.trials):
        lines.append(
            "≥: the client may have been the limit, so the requests/s are lower bounds; such candidates are "
            "compared by the server's processor time for a request."
        )
    if arrivals == "closed":
        lines.append(
            "Users of a closed loop wait for their answer before they ask again. Of independent users, who do not "
            "wait, a server takes less: try the winner with lexport loadtest --arrivals open."
        )
    return tuple(lines)
