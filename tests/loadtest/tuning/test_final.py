"""Who wins a final: surely better than the defaults, or the defaults."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from lexport.errors import RefusedError, SystemProblem
from lexport.loadtest.objectives import parse
from lexport.loadtest.tuning.checks import check_default, check_winner
from lexport.loadtest.tuning.explain import capacity_of, effects, why_it_won
from lexport.loadtest.tuning.final import Outcome, outcome, play
from lexport.loadtest.tuning.search import Budget, Found, Standing
from lexport.loadtest.tuning.space import Candidate
from lexport.loadtest.tuning.trials import Task, Trial, unable

from ...refusals import refused
from .surface import Surface

DEFAULT = Candidate("torchserve", "reviews-1.0", 2, None, 64, 1)
OTHER = replace(DEFAULT, engine="embedded", batch_delay=0)
THIRD = replace(DEFAULT, workers=1)


def trials(
    candidate: Candidate,
    rates: list[float],
    *,
    met: bool = True,
    limit: str | None = None,
    cpu: float = 1.0,
) -> tuple[Candidate, list[Trial]]:
    return candidate, [
        Trial(
            Task(candidate, "final", turn, 16.0, 4.0),
            *(rate, 5.0, 15.0 if met else 30.0, 0.0, met),
            () if met else ("p99 <= 20 ms, was 30 ms",),
            *(limit, cpu, 1, 7.0),
        )
        for turn, rate in enumerate(rates)
    ]


RATES = [1000.0, 1100.0, 900.0, 1000.0, 1050.0, 950.0]


def won(*played: tuple[Candidate, list[Trial]]) -> Outcome:
    return outcome(played)


def test_what_is_better_in_every_round_wins() -> None:
    found = won(trials(DEFAULT, RATES), trials(OTHER, [1.5 * rate for rate in RATES]))
    assert found.winner is found.finalists[1]
    assert why_it_won(found) == (
        "1.50 times the requests/s of the defaults in 6 rounds (96.9% interval 1.50 to 1.50). The interval is that "
        "of the median of the rounds' ratios, by the sign test."
    )


def test_what_was_once_below_the_defaults_does_not_win_six_rounds() -> None:
    found = won(trials(DEFAULT, RATES), trials(OTHER, [1.5 * rate for rate in RATES[:5]] + [900.0]))
    assert found.winner is found.default
    assert "no other candidate was surely better" in why_it_won(found)


def test_of_several_the_one_with_the_highest_ratio_wins() -> None:
    better = [1.2 * rate for rate in RATES]
    best = [1.3 * rate for rate in RATES]
    found = won(trials(DEFAULT, RATES), trials(THIRD, better), trials(OTHER, best))
    assert found.winner is found.finalists[2]


def test_what_misses_the_objectives_does_not_win() -> None:
    found = won(trials(DEFAULT, RATES), trials(OTHER, [2 * rate for rate in RATES], met=False))
    assert found.winner is found.default
    missing = won(trials(DEFAULT, RATES, met=False), trials(OTHER, [0.5 * rate for rate in RATES]))
    assert missing.winner is missing.finalists[1]
    assert "The defaults missed the objectives in most of 6 rounds (p99 <= 20 ms, was 30 ms)" in why_it_won(missing)
    assert won(trials(DEFAULT, RATES, met=False), trials(OTHER, RATES, met=False)).winner is None


@pytest.mark.parametrize(("cpu", "wins"), [(0.6, True), (1.4, False)])
def test_where_the_client_limits_both_processor_time_decides(cpu: float, wins: bool) -> None:
    limit = "Locust took 95% of a core"
    found = won(trials(DEFAULT, RATES, limit=limit), trials(OTHER, RATES, limit=limit, cpu=cpu))
    assert (found.winner is found.finalists[1]) == wins
    if wins:
        assert "A request takes 0.60 times the processor time that it takes with the defaults" in why_it_won(found)


def test_a_lower_bound_above_the_defaults_is_enough() -> None:
    found = won(trials(DEFAULT, RATES), trials(OTHER, [2 * rate for rate in RATES], limit="late"))
    assert found.winner is found.finalists[1]
    assert why_it_won(found).startswith("At least 2.00 times the requests/s of the defaults in 6 rounds")


def test_the_capacity_is_that_of_the_rounds_that_met_the_objectives_and_says_how_many_did_not() -> None:
    candidate, played = trials(OTHER, [1.5 * rate for rate in RATES])
    played[1] = replace(played[1], met=False)
    winner = won(trials(DEFAULT, RATES), (candidate, played)).winner
    assert winner is not None
    words, machines = capacity_of(winner, "closed", parse(["p99=20ms"]), 10_000)
    assert machines == 8
    assert words.startswith(
        "2 CPU workers of the embedded engine here serve 1,500 requests/s within p99 20 ms (16 users, median of 5 "
        "runs, 93.8% interval 1,350 to 1,575). For 10,000 you need 8 such machines"
    )
    assert words.endswith("Rounds that missed the objectives are not in these figures: 1 of 6.")


def test_no_capacity_is_stated_where_the_client_was_the_limit() -> None:
    doubled = [2 * rate for rate in RATES]
    winner = won(trials(DEFAULT, RATES, limit="late"), trials(OTHER, doubled, limit="late")).winner
    assert winner is not None
    words, machines = capacity_of(winner, "closed", parse(["p99=20ms"]), 10_000)
    assert machines is None
    assert "so 2,000 requests/s are a lower bound" in words


def test_where_no_candidate_met_the_objectives_in_most_rounds_the_nearest_is_named() -> None:
    objectives = parse(["p99=20ms"])
    check_winner(won(trials(DEFAULT, RATES)), objectives)
    with refused(RefusedError, "LX-LOAD-146", "p99 <= 20 ms", DEFAULT, "load of 16", "was 30 ms"):
        check_winner(won(trials(DEFAULT, RATES, met=False)), objectives)


def test_defaults_that_cannot_be_served_are_the_environments_problem() -> None:
    standing = Standing(DEFAULT, [unable(Task(DEFAULT, "search 1", 0, 16.0, 1.0), "No worker started.", 3.0)])
    with refused(SystemProblem, "LX-LOAD-144", DEFAULT, "No worker started", "--engines"):
        check_default(Found((standing,), (standing,), ()))


def test_rounds_alternate_and_no_one_always_follows_the_same_neighbour() -> None:
    surface = Surface({})
    standings = [Standing(one, [surface(Task(one, "search 1", 0, 16.0, 1.0))]) for one in (DEFAULT, OTHER, THIRD)]
    surface.tasks.clear()
    play(standings, surface, Budget(200))
    rounds = [surface.tasks[place : place + 3] for place in range(0, len(surface.tasks), 3)]
    assert len(rounds) >= 6
    assert all({task.candidate for task in one} == {DEFAULT, OTHER, THIRD} for one in rounds)
    followed = {(before.candidate, after.candidate) for one in rounds for before, after in pairwise(one)}
    assert len(followed) == 6


def test_a_used_up_budget_still_has_three_rounds_and_says_how_little_they_are_worth() -> None:
    surface = Surface({("engine", "embedded"): 2.0}, slo=40.0, spent=1000.0)
    standings = [Standing(one, [surface(Task(one, "search 1", 0, 16.0, 1.0))]) for one in (DEFAULT, OTHER)]
    found = play(standings, surface, Budget(20))
    assert [len(one.trials) for one in found.finalists] == [3, 3]
    assert found.winner is found.finalists[1]
    assert "(75% interval" in why_it_won(found)
    assert "6 rounds are the fewest for 95 %" in why_it_won(found)


def test_effects_compare_runs_that_differ_in_one_setting_alone() -> None:
    surface = Surface(
        {("engine", "embedded"): 2.0, ("batch_size", 8): 0.8, ("workers", 1): 0.5, ("batch_delay", 5): 1.0}
    )
    tried = [
        OTHER,
        DEFAULT,  # another engine, for which a delay means something
        replace(OTHER, workers=1),
        replace(OTHER, batch_size=8),
        replace(DEFAULT, workers=1, batch_size=8),  # differs in more than one setting
    ]
    runs = [surface(Task(one, "search 1", 0, 32.0, 2.0)) for one in tried]
    found = {effect.setting: effect for effect in effects(OTHER, runs, DEFAULT)}
    assert set(found) == {"engine", "workers", "batch size"}
    assert found["engine"].ratio == pytest.approx(2.0)
    assert found["workers"].words == (
        "workers 2 instead of 1: 2.00 times the requests/s (2,000 to 1,000 requests/s, p99 32 ms to 64 ms, with a "
        "load of 32, 1 run of 2 s)"
    )
    assert found["batch size"].instead_of == "8"


def test_a_small_difference_is_called_none() -> None:
    surface = Surface({("workers", 1): 0.98})
    runs = [surface(Task(one, "search 1", 0, 32.0, 2.0)) for one in (DEFAULT, THIRD)]
    [effect] = effects(DEFAULT, runs, DEFAULT)
    assert "no difference that runs of this length show" in effect.words
