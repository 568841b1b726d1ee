"""How much one load test may ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..serving.engines import check_engine
from ..serving.plan import parse_workers
from .driver.answers import Expectation
from .driver.arrivals import CHOICES, PATTERNS, plan
from .driver.bodies import Template, parse_mix
from .locust_process import Load, Target
from .objectives import Objective

MAX_RUNS = 60  # of a round
MAX_REPEATS = 50
MAX_USERS = 1_000
MAX_SECONDS = 3_600.0
MAX_RATE = 100_000
MAX_PROCESSES = 64
MAX_NEED = 10**9


def check_servers(archives: Sequence[Path], worker_sets: Sequence[str], engines: Sequence[str]) -> None:
    """Raise InputError for no or repeated archives, workers or engines, and for those that do not exist."""
    for name, values in {"archive": archives, "--workers": worker_sets, "--engines": engines}.items():
        _check_list(name, values)
    for workers in worker_sets:
        parse_workers(workers)
    for engine in engines:
        check_engine(engine)


def check_load(load: Load, users: Sequence[int], rates: Sequence[float], warmup: float, servers: int) -> None:
    """Raise InputError for numbers out of range, and for arrivals and shares that are not understood.

    `rates` in requests/s, `warmup` in seconds; `servers` is how many will be started, each for every load.
    """
    closed, replay = load.arrivals == "closed", load.arrivals.startswith("replay:")
    if closed:
        _check_list("--users", users)
    elif not replay:
        _check_list("--rate", rates)
    if closed or replay:
        if rates:
            raise InputError(
                f"--rate {_listed(rates)} was given with --arrivals {load.arrivals}, which has no rate of its own; "
                f"leave it out, or give --arrivals with one of {', '.join(PATTERNS)}.",
                code="LX-LOAD-064",
            )
    elif load.arrivals not in PATTERNS:
        raise InputError(f"--arrivals {load.arrivals!r} is not known; expected {CHOICES}.", code="LX-LOAD-065")
    for level in users:
        if not 1 <= level <= MAX_USERS:
            raise InputError(f"--users {level} is out of range; expected 1 to {MAX_USERS}.", code="LX-LOAD-023")
    for rate in rates:
        if not (math.isfinite(rate) and 0 < rate <= MAX_RATE):
            raise InputError(
                f"--rate {rate:g} is out of range; expected more than 0 and at most {MAX_RATE:,} requests/s.",
                code="LX-LOAD-066",
            )
    if not 0.5 <= load.duration <= MAX_SECONDS:
        raise InputError(
            f"--duration {load.duration:g} s is out of range; expected 0.5 to {MAX_SECONDS:g} s.", code="LX-LOAD-024"
        )
    if not 0 <= warmup <= MAX_SECONDS:
        raise InputError(
            f"The warm-up of {warmup:g} s is out of range; expected 0 to {MAX_SECONDS:g} s.", code="LX-LOAD-025"
        )
    if not 0 <= load.unknown_share <= 1:
        raise InputError(
            f"--unknown-share {load.unknown_share:g} is not a share; expected 0 to 1, such as 0.1.",
            code="LX-LOAD-026",
        )
    levels = len(users) if closed else max(1, len(rates))
    if servers * levels > MAX_RUNS:
        raise InputError(
            f"{servers} servers (archives × engines × worker sets) × {levels} loads are {servers * levels} runs; at "
            f"most {MAX_RUNS} are allowed. Give fewer.",
            code="LX-LOAD-027",
        )
    for rate in rates or ([0.0] if replay else []):
        _check_plan(load, rate)


def _check_plan(load: Load, rate: float) -> None:
    try:
        plan(load.arrivals, rate, load.duration, load.seed)
    except ValueError as error:
        reason = str(error).removesuffix(".")
        raise InputError(
            f"The arrivals cannot be planned: {reason}. Change --arrivals, --rate or --duration.", code="LX-LOAD-067"
        ) from None


def check_processes(processes: int | None) -> None:
    """Raise InputError for a number of processes that is not possible."""
    if processes is not None and not 1 <= processes <= MAX_PROCESSES:
        raise InputError(
            f"--processes {processes} is out of range; expected 1 to {MAX_PROCESSES}.", code="LX-LOAD-068"
        )


def check_repeats(repeats: int) -> None:
    """Raise InputError for a number of repeats that is not possible."""
    if not 1 <= repeats <= MAX_REPEATS:
        raise InputError(f"--repeat {repeats} is out of range; expected 1 to {MAX_REPEATS}.", code="LX-LOAD-088")


def check_need(need: float | None, objectives: Sequence[Objective]) -> None:
    """Raise InputError for a number of requests/s that no machines can be counted for."""
    if need is None:
        return
    if not (math.isfinite(need) and 0 < need <= MAX_NEED):
        raise InputError(
            f"--need {need:g} is out of range; expected more than 0 and at most {MAX_NEED:,} requests/s.",
            code="LX-LOAD-132",
        )
    if not objectives:
        raise InputError(
            f"--need {need:g} was given without an objective, so nothing says when a machine serves well. Give one, "
            "for example --slo p99=50ms.",
            code="LX-LOAD-133",
        )


def check_question(target: Target, mix: str) -> None:
    """Raise InputError for headers, a body, an expectation or a mix that is not understood."""
    try:
        parse_mix(mix)
        Expectation(target.expect)
        if target.body:
            Template(target.body)
    except ValueError as error:
        reason = str(error).removesuffix(".")
        raise InputError(
            f"What is to be sent, or to come back, is not understood: {reason}. Change --body, --expect or --mix.",
            code="LX-LOAD-069",
        ) from None
    for header in target.headers:
        name, colon, _ = header.partition(":")
        if not colon or not name.strip() or not header.isprintable():
            raise InputError(
                f"--header {header!r} is not a header; expected such as 'X-Key: abc'.", code="LX-LOAD-070"
            )


def _check_list(name: str, values: Sequence[object]) -> None:
    if not values:
        raise InputError(f"No {name} was given; a load test needs at least one.", code="LX-LOAD-021")
    if len(set(values)) < len(values):
        raise InputError(f"{name} {_listed(values)} names one twice; give each once.", code="LX-LOAD-022")


def _listed(values: Sequence[object]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
