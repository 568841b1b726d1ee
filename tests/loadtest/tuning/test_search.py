"""The search on simulated servers: near the best, never below the defaults or the start, and within its time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.loadtest.tuning.final import play
from lexport.loadtest.tuning.ladder import USERS, best_of, climb, working_level
from lexport.loadtest.tuning.search import Budget, Found, search
from lexport.loadtest.tuning.space import Candidate, candidates
from lexport.loadtest.tuning.trials import Task, Trial

from .surface import DEEP, REVIEWS, Surface

BOTH = ("torchserve", "embedded")
SPACE = candidates([REVIEWS], BOTH, cores=2)
POOR = Candidate("torchserve", "reviews-1.0", 4, None, 1, 100)
FACTORS = {
    ("engine", "embedded"): 2.5,
    ("batch_size", 1): 0.3,
    ("batch_size", 8): 0.8,
    ("batch_delay", 5): 0.9,
    ("workers", 1): 0.7,
    ("workers", 4): 0.8,
}


def tuned(surface: Surface, seconds: float, start: Candidate | None = None) -> tuple[Found, Candidate]:
    budget = Budget(seconds)
    found = search(SPACE, USERS, surface, budget, start)
    outcome = play(found.finalists, surface, budget)
    assert outcome.winner is not None
    return found, outcome.winner.candidate


def surfaces() -> st.SearchStrategy[Surface]:
    factor = st.floats(0.3, 3.0)
    names = [("engine", "embedded"), ("batch_size", 1), ("batch_size", 8), ("batch_delay", 5), ("workers", 1)]
    return st.builds(
        lambda values, base, slo: Surface(dict(zip(names, values, strict=True)), base=base, slo=slo),
        st.tuples(*[factor] * len(names)),
        st.floats(300, 5_000),
        st.floats(15, 100),
    )


@given(surfaces())
def test_with_time_for_all_it_finds_the_best_of_the_grid(surface: Surface) -> None:
    found, winner = tuned(surface, 1200)
    assert found.untried == ()
    best = max(surface.best(one, USERS) for one in SPACE)
    # It may keep the defaults where nothing is better, and works with the fewest users within 3 % of the best.
    assert surface.best(winner, USERS) >= 0.9 * best


@given(surfaces(), st.integers(0, 99), st.sampled_from([60.0, 120.0, 300.0]))
def test_with_noise_and_little_time_it_is_never_clearly_below_the_defaults(
    surface: Surface, seed: int, seconds: float
) -> None:
    surface.noise, surface.seed = 0.1, seed
    budget = Budget(seconds)
    found = search(SPACE, USERS, surface, budget, POOR)
    assert [one.candidate for one in found.finalists[:2]] == [SPACE[0], POOR]
    outcome = play(found.finalists, surface, budget)
    if outcome.winner is not None and outcome.winner is not outcome.default and outcome.default.met:
        winner, default = outcome.winner, outcome.default
        assert winner.ratio is not None
        assert winner.ratio.low > 1
        true = (
            surface.figures(winner.candidate, winner.level)[0] / surface.figures(default.candidate, default.level)[0]
        )
        assert true > 0.95


@pytest.mark.parametrize("seconds", [120, 300, 900])
def test_from_a_poor_start_it_ends_far_above_it_and_within_the_budget(seconds: float) -> None:
    surface = Surface(FACTORS, noise=0.05)
    found, winner = tuned(surface, seconds, POOR)
    assert winner.engine == "embedded"
    assert surface.best(winner, USERS) > 5 * surface.best(POOR, USERS)
    assert seconds == 120 or (winner.batch_size, winner.workers) == (64, 2)
    assert surface.spent <= 1.3 * seconds
    if seconds == 120:
        assert found.untried  # and it is said


def test_servers_are_started_again_only_where_a_setting_needs_it() -> None:
    surface = Surface(FACTORS)
    search(SPACE, USERS, surface, Budget(3600))
    first = [task for task in surface.tasks if task.stage == "search 1"]
    servers = [(task.candidate.engine, task.candidate.batch_size, task.candidate.batch_delay) for task in first]
    starts = 1 + sum(one != other for one, other in pairwise(servers))
    assert starts == len(set(servers)) == 8  # of 16 candidates


def test_survivors_have_longer_runs() -> None:
    surface = Surface(FACTORS)
    search(SPACE, USERS, surface, Budget(3600))
    lengths = {task.stage: task.seconds for task in surface.tasks}
    tried = {stage: {task.candidate for task in surface.tasks if task.stage == stage} for stage in lengths}
    assert lengths == {"search 1": 5.0, "search 2": 10.0, "search 3": 20.0}
    assert [len(found) for found in tried.values()] == [16, 6, 3]


def test_candidates_that_the_client_limits_are_ordered_by_processor_time() -> None:
    surface = Surface(FACTORS | {("workers", 1): 1.5}, client=900.0)
    found, winner = tuned(surface, 900)
    best = max(SPACE, key=surface.most)
    assert found.finalists[1].candidate == best == winner


def test_what_no_load_meets_ends_with_the_nearest() -> None:
    surface = Surface({}, slo=1.0)
    found = search(SPACE, USERS, surface, Budget(300))
    assert all(standing.score == 0 for standing in found.standings)
    assert play(found.finalists, surface, Budget(300)).winner is None


def steps(most: int, met: int, rates: list[float] | None = None) -> Iterator[tuple[float, list[float]]]:
    """Every first level, with the levels that a climb tries if the first `met` levels meet the objectives."""

    def trial(level: float) -> Trial:
        place = USERS.index(level)
        rate = rates[place] if rates else 100.0 * 2**place
        task = Task(SPACE[0], "search 1", 0, level, 1.0)
        return Trial(task, rate, 1.0, 1.0, 0.0, place < met, (), None, None, None, 1.0)

    for first in USERS:
        yield first, [one.task.level for one in climb(USERS, first, trial, most=most)]


@pytest.mark.parametrize("met", range(len(USERS) + 1))
def test_a_climb_finds_the_highest_load_that_meets_the_objectives_in_few_runs(met: int) -> None:
    for _, tried in steps(9, met):
        assert len(tried) == len(set(tried)) <= 6
        assert max((level for level in tried if USERS.index(level) < met), default=None) == (
            USERS[met - 1] if met else None
        )


def test_a_climb_ends_where_more_users_bring_nothing() -> None:
    flat = [100.0, 200.0, 400.0, 400.0, 400.0, 400.0, 400.0, 400.0, 400.0]
    tried = dict(steps(9, 9, flat))
    assert tried[8.0] == [8.0, 16.0]


def test_the_final_has_the_fewest_users_that_come_near_the_best() -> None:
    surface = Surface({})
    trials = [surface(Task(SPACE[0], "search 1", 0, level, 1.0)) for level in USERS]
    best = best_of(trials)
    assert best is not None
    assert (best.requests_per_second, working_level(trials)) == (1000.0, 2.0)


def test_variants_and_threads_of_a_run_are_candidates_too() -> None:
    space = candidates([REVIEWS, DEEP], BOTH, cores=4)
    surface = Surface({("archive", "deep-1.0"): 3.0, ("threads", 1): 1.4})
    found = search(space, USERS, surface, Budget(3600))
    best = found.finalists[1].candidate
    assert (best.archive, best.threads) == ("deep-1.0", 1)
