"""An open loop against a server whose latencies are planned: what is reported is what was planned."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.benchmarks.planned_server import Planned
from lexport.loadtest.cells import LAG_LIMIT
from lexport.loadtest.driver.arrivals import plan
from lexport.loadtest.locust_process import Load, Target, run

from ..conftest import Stub, locust


def asked(server: Planned, folder: Path, **load: Any) -> dict[str, Any]:
    """What a run measured; another one where the machine was so busy that the plan was not kept.

    That is, requests were not sent when they were due, or the server itself answered later than planned.
    """
    settings = {"users": 1, "warmup": 0.5, "duration": 4.0, "texts": None, "unknown_share": 0.0, "seed": 1}
    for _ in range(5):
        server.late.clear()
        found = run(Target(server.url, "", ""), Load(**(settings | load)), folder)
        if max(found["lag_p99_ms"], 1000 * np.percentile(server.late, 99)) < LAG_LIMIT:
            break
    return found


def percentile(found: dict[str, Any], percent: float) -> float:
    return float(dict(map(tuple, found["curve"]))[percent])


def test_the_open_loop_reports_the_planned_percentiles_and_the_closed_one_does_not(tmp_path: Path) -> None:
    with Planned(delay=0.3, stall=1.0, every=4.0).running() as server:
        assert [server.percentile_ms(percent) for percent in (50, 90, 95, 99)] == pytest.approx(
            [300, 900, 1100, 1260]
        )
        found = asked(server, tmp_path, arrivals="constant", rate=100.0)
        for percent in (50, 70, 80, 90, 95, 97, 99):
            assert percentile(found, percent) == pytest.approx(server.percentile_ms(percent), rel=0.05)
        assert found["failures"] == 0
        assert found["due_per_second"] == pytest.approx(100, rel=0.01)

        closed = asked(server, tmp_path, users=10)
        # Each user waits out the stall once and asks nothing meanwhile: a tenth of the requests that should have
        # waited did.
        assert percentile(closed, 90) < 0.5 * server.percentile_ms(90)


@pytest.mark.long
def test_random_arrivals_are_all_sent_and_report_the_planned_delay(tmp_path: Path) -> None:
    with Planned(delay=0.3).running() as server:
        found = asked(server, tmp_path, arrivals="open", rate=100.0, duration=2.0, seed=7)
        assert found["answered"] == len(plan("open", 100.0, 2.0, 7).times)
        assert percentile(found, 50) == pytest.approx(300, rel=0.05)


@pytest.mark.long
def test_requests_are_sent_when_they_are_due_by_all_processes_together(tmp_path: Path) -> None:
    with Planned(delay=0.5).running() as server:
        found = asked(server, tmp_path, arrivals="open", rate=50.0, duration=2.0, warmup=0.0, processes=2, seed=3)
        assert found["processes"] == 2
        planned = plan("open", 50.0, 2.0, 3).times
        assert found["answered"] == len(planned)
        came = server.asked[-len(planned) :]
        between = [second - first for first, second in itertools.pairwise(came)]
        wanted = [second - first for first, second in itertools.pairwise(planned)]
        # Each gap, not only their mean: the two processes begin within a few ms.
        assert sorted(between) == pytest.approx(sorted(wanted), abs=0.1)


def test_a_recorded_schedule_is_sent_again(tmp_path: Path) -> None:
    schedule = tmp_path / "recorded.txt"
    schedule.write_text("\n".join(f"2026-01-01T00:00:0{second}.500+00:00" for second in (0, 1, 1, 1, 2)))
    arrivals = f"replay:{schedule}"
    with Planned(delay=0.01).running() as server:
        found = asked(server, tmp_path, arrivals=arrivals, warmup=0.0, duration=plan(arrivals, 0, 0, 0).seconds)
        assert found["answered"] == 5
        begun = server.asked[-5:]
        assert [time - begun[0] for time in begun] == pytest.approx([0, 1, 1, 1, 2], abs=0.1)


def test_what_cannot_be_sent_is_a_named_failure(tmp_path: Path) -> None:
    with Planned(delay=2.0).running() as server:
        result = tmp_path / "result.json"
        options = ("--arrivals", "constant", "--rate", "100", "--measure", "1", "--most-unanswered", "20")
        done = locust("-H", server.url, "-u", "1", "--result", str(result), *options, cwd=tmp_path)
        assert result.exists(), done.stderr
        assert '"not sent: 20 requests were unanswered": 80' in result.read_text()
        assert '"answered": 20' in result.read_text()
        assert len(server.asked) == 20


def test_plain_locust_sends_a_pattern_and_ends(stub: Stub, tmp_path: Path) -> None:
    options = ("--arrivals", "constant", "--rate", "20", "--measure", "2", "--model", "m")
    done = locust("-H", stub.url, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(stub.bodies) == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arrivals", "wave", "--rate", "1"), "--arrivals 'wave' is not known; expected closed, open, constant"),
        (("--arrivals", "open"), "--arrivals open needs --rate"),
        (("--arrivals", "replay:absent.txt"), "The schedule absent.txt cannot be read"),
        (("--header", "no colon"), "--header 'no colon' is not a header"),
        (("--expect", "label2"), "--expect 'label2' is not understood"),
        (("--mix", "long=5%,odd=1%"), "--mix 'odd=1%' is not a share"),
        (("--body", "no place"), "--body 'no place' has no {text}"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_a_line(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = locust("-H", "http://127.0.0.1:9/ask", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
