"""How much one load test may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..serving.plan import parse_workers
from ..serving.start import check_engine

MAX_RUNS = 60
MAX_USERS = 1_000
MAX_SECONDS = 3_600.0


def check_bounds(
    archives: Sequence[Path],
    worker_sets: Sequence[str],
    engines: Sequence[str],
    users: Sequence[int],
    duration: float,
    warmup: float,
    unknown_share: float,
) -> None:
    """Raise InputError for no or repeated archives, workers, engines or users, and for numbers out of range.

    `duration` and `warmup` in seconds; `unknown_share` is a share of the tokens, 0 to 1.
    """
    lists = {"archive": archives, "--workers": worker_sets, "--engines": engines, "--users": users}
    for name, values in lists.items():
        if not values:
            raise InputError(f"No {name} was given; a load test needs at least one.", code="LX-LOAD-021")
        if len(set(values)) < len(values):
            raise InputError(
                f"{name} {', '.join(map(str, values))} names one twice; give each once.", code="LX-LOAD-022"
            )
    for workers in worker_sets:
        parse_workers(workers)
    for engine in engines:
        check_engine(engine)
    for level in users:
        if not 1 <= level <= MAX_USERS:
            raise InputError(f"--users {level} is out of range; expected 1 to {MAX_USERS}.", code="LX-LOAD-023")
    if not 0.5 <= duration <= MAX_SECONDS:
        raise InputError(
            f"--duration {duration:g} s is out of range; expected 0.5 to {MAX_SECONDS:g} s.", code="LX-LOAD-024"
        )
    if not 0 <= warmup <= MAX_SECONDS:
        raise InputError(
            f"The warm-up of {warmup:g} s is out of range; expected 0 to {MAX_SECONDS:g} s.", code="LX-LOAD-025"
        )
    if not 0 <= unknown_share <= 1:
        raise InputError(
            f"--unknown-share {unknown_share:g} is not a share; expected 0 to 1, such as 0.1.", code="LX-LOAD-026"
        )
    runs = len(archives) * len(engines) * len(worker_sets) * len(users)
    if runs > MAX_RUNS:
        raise InputError(
            f"{len(archives)} archives × {len(engines)} engines × {len(worker_sets)} worker sets × {len(users)} "
            f"numbers of users are {runs} runs; at most {MAX_RUNS} are allowed. Give fewer.",
            code="LX-LOAD-027",
        )
