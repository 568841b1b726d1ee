"""What a search refuses: options that cannot be, and results in which nothing met the objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError, RefusedError, SystemProblem
from ..bounds import check_load, check_servers
from ..locust_process import Load
from ..objectives import Objective, parse
from .final import Outcome
from .ladder import nearest_of
from .search import Found

LEAST_BUDGET, MOST_BUDGET = 10.0, 86_400.0


def objectives_of(slo: Sequence[str]) -> tuple[Objective, ...]:
    """Return the objectives. Raises InputError without one on a latency: requests/s alone would know no limit."""
    objectives = parse(slo)
    if not any(one.metric not in ("rps", "failures") for one in objectives):
        raise InputError(
            f"No latency is among the objectives ({', '.join(slo) or 'none were given'}), so more load would always "
            "be better. Expected one at least, for example --slo p99=20ms.",
            code="LX-LOAD-141",
        )
    return objectives


def check_options(
    archives: Sequence[Path],
    engines: Sequence[str],
    load: Load,
    users: Sequence[int],
    rates: Sequence[float],
    budget: float,
) -> None:
    """Raise InputError for options that are not understood or out of range."""
    check_servers(archives, ["cpu"], engines)
    if users and rates:
        raise InputError(
            "--users and --rate were both given: loads are closed loops of users, or open ones of requests/s. Give "
            "one of them.",
            code="LX-LOAD-142",
        )
    check_load(load, users or [1], rates, 0.0, 1)
    if not (math.isfinite(budget) and LEAST_BUDGET <= budget <= MOST_BUDGET):
        raise InputError(
            f"--budget {budget:g} s is out of range; expected {LEAST_BUDGET:g} s to {MOST_BUDGET / 3600:g} h, for "
            "example 5m.",
            code="LX-LOAD-143",
        )


def check_default(found: Found) -> None:
    """Raise SystemProblem if the default cannot be served: then nothing of the machine can be believed."""
    default = found.finalists[0]
    problem = next((trial.problem for trial in default.trials if trial.problem), "")
    if problem:
        raise SystemProblem(
            f"The defaults cannot be served ({default.candidate}): {problem.rstrip('.')}. Try lexport serve with the "
            "same archive and engine, or leave that engine out of --engines.",
            code="LX-LOAD-144",
        )


def check_met(found: Found, objectives: Sequence[Objective]) -> None:
    """Raise RefusedError with the nearest candidate if none met the objectives."""
    trials = [trial for standing in found.standings for trial in standing.trials]
    if any(trial.met for trial in trials):
        return
    nearest = nearest_of(trials)
    assert nearest is not None
    raise RefusedError(
        f"None of {len(found.standings)} candidates met {', '.join(map(str, objectives))} with any load that was "
        f"tried. The nearest is {nearest.task.candidate} with a load of {nearest.task.level:g}: "
        f"{'; '.join(nearest.missed) or 'no answer'}. Allow more (--slo), try lower loads (--users, --rate), a "
        "faster variant (tune the RUN), or a larger machine.",
        code="LX-LOAD-145",
    )


def check_winner(outcome: Outcome, objectives: Sequence[Objective]) -> None:
    """Raise RefusedError if what met the objectives in the search met them no more in the final."""
    if outcome.winner is not None:
        return
    nearest = nearest_of([trial for one in outcome.finalists for trial in one.trials])
    assert nearest is not None
    raise RefusedError(
        f"No candidate met {', '.join(map(str, objectives))} in most rounds of the final. The nearest was "
        f"{nearest.task.candidate} with a load of {nearest.task.level:g}: {'; '.join(nearest.missed) or 'met once'}. "
        "Allow more (--slo), or search on a machine with nothing else to do.",
        code="LX-LOAD-146",
    )
