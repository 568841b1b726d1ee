"""A load test compared with an earlier one."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lexport.errors import InputError, RefusedError
from lexport.loadtest.judging.baseline import (
    LEAST,
    Earlier,
    check_same_load,
    compare,
    key_of,
    read_baseline,
    what_is_missing,
)
from lexport.loadtest.judging.comparison import Comparison
from lexport.loadtest.judging.verdict import verdict
from lexport.loadtest.objectives import check_slo
from lexport.loadtest.pages.report import html
from lexport.loadtest.report import comparison_table
from lexport.loadtest.results import LoadedModel, LoadReport, Row

from ...refusals import refused
from ..samples import REPORT, ROW, repeated

MACHINE = {"system": "Linux 6.1", "processor": "a processor", "cores": 2, "memory_gib": 7.7}
SETTINGS: dict[str, Any] = {**REPORT.settings, "arrivals": "closed", "seed": 0, "command": "lexport loadtest films"}
TESTED = {"films-1.0": LoadedModel("films", "1.0", "onnx-int8", "aa")}
NEXT = {"films-1.1": LoadedModel("films", "1.1", "onnx-int8", "bb")}
RATES = [1000.0, 1010.0, 990.0, 1005.0, 995.0]
TIMES = [20.0, 20.5, 19.5, 20.2, 19.8]
BASE = repeated(ROW, RATES, TIMES)

Kept = Callable[..., Earlier]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Write rows as an earlier test, and read it again."""

    def write(*rows: Row, **changes: Any) -> Earlier:
        report = replace(REPORT, rows=rows, settings=SETTINGS, machine=MACHINE, tested=TESTED)
        path = tmp_path / "results.json"
        path.write_text(json.dumps(report.as_dict() | changes), encoding="utf-8")
        return read_baseline(path)

    return write


def outcomes(found: Comparison) -> dict[str, str]:
    return {change.metric: change.outcome for change in found.changes}


def test_the_same_figures_are_not_worse(kept: Kept) -> None:
    found = compare(kept(BASE), [BASE], TESTED, MACHINE)
    assert set(outcomes(found).values()) == {"same"}
    assert (found.judged, found.passed, found.left_out, found.note) == (4, True, (), "")


def test_what_is_worse_by_more_than_noise_and_enough_to_count_is_a_regression(kept: Kept) -> None:
    slower = repeated(replace(ROW, archive="films-1.1"), [0.8 * rate for rate in RATES], [1.5 * one for one in TIMES])
    found = compare(kept(BASE), [slower], NEXT, MACHINE)
    assert outcomes(found) == {
        "requests_per_second": "worse",
        "p50_ms": "same",
        "p99_ms": "worse",
        "failures": "same",
    }
    report = replace(REPORT, rows=(slower,), comparison=found)
    assert not report.passed
    with refused(
        RefusedError,
        *("LX-LOAD-080", "results.json", "2 of 4", "films-1.1 cpu:1 at 16 users"),
        *("1,000 requests/s → 800 requests/s (-20.0%", "20 ms → 30 ms (+50.0%"),
    ) as caught:
        check_slo(report)
    assert caught.value.exit_code == 1


def test_an_improvement_is_named_and_passes(kept: Kept) -> None:
    faster = repeated(ROW, [1.3 * rate for rate in RATES], [0.5 * one for one in TIMES])
    found = compare(kept(BASE), [faster], TESTED, MACHINE)
    assert (outcomes(found)["requests_per_second"], outcomes(found)["p99_ms"]) == ("better", "better")
    check_slo(replace(REPORT, rows=(faster,), comparison=found))


def test_a_small_change_does_not_count_however_sure_it_is(kept: Kept) -> None:
    slightly = repeated(ROW, [0.96 * rate for rate in RATES], TIMES)
    earlier = kept(BASE)
    assert outcomes(compare(earlier, [slightly], TESTED, MACHINE))["requests_per_second"] == "same"
    found = compare(earlier, [slightly], TESTED, MACHINE, least=0.02)
    assert outcomes(found)["requests_per_second"] == "worse"
    assert found.least == 0.02 != LEAST


def test_a_large_change_within_the_noise_does_not_count(kept: Kept) -> None:
    noisy = [500.0, 1500.0, 1000.0, 700.0, 1400.0]
    slower = [900.0, 600.0, 1300.0, 450.0, 850.0]
    found = compare(kept(repeated(ROW, noisy)), [repeated(ROW, slower)], TESTED, MACHINE)
    [change] = [one for one in found.changes if one.metric == "requests_per_second"]
    assert change.change == pytest.approx(-0.15)
    assert change.outcome == "same"
    assert change.chance is not None
    assert change.chance > 0.01


def test_a_test_of_the_same_server_is_called_worse_at_most_once_in_a_hundred(tmp_path: Path, kept: Kept) -> None:
    draw = random.Random(1)
    wrong = 0
    for _ in range(300):
        there, here = ([draw.gauss(1000, 80) for _ in range(5)] for _ in range(2))
        found = compare(kept(repeated(ROW, there)), [repeated(ROW, here)], TESTED, MACHINE)
        wrong += outcomes(found)["requests_per_second"] == "worse"
    assert wrong <= 7


@pytest.mark.parametrize(("there", "here"), [(1, 1), (5, 1), (1, 5), (3, 3), (4, 4)])
def test_too_few_runs_are_not_judged_and_that_is_no_success(there: int, here: int, kept: Kept) -> None:
    earlier = kept(repeated(ROW, RATES[:there]))
    found = compare(earlier, [repeated(ROW, [one / 2 for one in RATES[:here]])], TESTED, MACHINE)
    assert set(outcomes(found).values()) == {"not judged"}
    assert "--repeat 5" in found.changes[0].reason
    assert "--repeat 5" in what_is_missing(earlier, MACHINE, here, anyway=False)
    with refused(RefusedError, "LX-LOAD-083", "results.json", f"{there} run", f"{here} here", "--repeat 5") as caught:
        check_slo(replace(REPORT, comparison=found))
    assert caught.value.exit_code == 1


def test_more_failures_than_before_are_worse(kept: Kept) -> None:
    failing = repeated(replace(ROW, answered=9_900, failures=100, reasons={"HTTP 503": 100}), RATES, TIMES)
    found = compare(kept(BASE), [failing], TESTED, MACHINE)
    assert outcomes(found)["failures"] == "worse"
    assert "failures 0.000% → 1.000%" in str(found.worse[0])


def test_where_the_client_or_other_work_was_the_limit_only_failures_are_compared(kept: Kept) -> None:
    limited = replace(BASE, client_limit="Locust took 97% of a core")
    for before, now in ((limited, BASE), (BASE, limited), (BASE, replace(BASE, other_work="the machine was busy"))):
        found = compare(kept(before), [now], TESTED, MACHINE)
        assert outcomes(found) == {
            **dict.fromkeys(("requests_per_second", "p50_ms", "p99_ms"), "not judged"),
            "failures": "same",
        }
    disturbed = replace(BASE, other_work="the machine was busy")
    for earlier, now in ((BASE, disturbed), (disturbed, BASE)):
        assert set(outcomes(compare(kept(earlier), [now], TESTED, MACHINE, anyway=True)).values()) == {"same"}


def test_another_machine_is_not_judged_unless_that_is_asked_for(kept: Kept) -> None:
    earlier = kept(BASE)
    slower = repeated(ROW, [rate / 2 for rate in RATES])
    there = {**MACHINE, "cores": 64}
    assert "cores 2 there and 64 here" in what_is_missing(earlier, there, 5, anyway=False)
    found = compare(earlier, [slower], TESTED, there)
    assert set(outcomes(found).values()) == {"not judged"}
    with refused(RefusedError, "LX-LOAD-083", "another machine", "cores 2 there and 64 here"):
        check_slo(replace(REPORT, comparison=found))
    found = compare(earlier, [slower], TESTED, there, anyway=True)
    assert outcomes(found)["requests_per_second"] == "worse"
    assert "another machine" in found.note
    assert what_is_missing(earlier, {**MACHINE, "memory_gib": 7.72, "system": "Linux 6.2"}, 5, anyway=False) == ""


def test_versions_of_a_model_are_compared_with_each_other_and_two_of_a_name_by_their_archives(kept: Kept) -> None:
    assert key_of("films-1.0", "cpu:1", 1, "closed", 0.0, TESTED) == key_of(
        "films-1.1", "cpu:1", 1, "closed", 0.0, NEXT
    )
    both = TESTED | NEXT
    assert key_of("films-1.0", "cpu:1", 1, "closed", 0.0, both)[0] == "films-1.0"
    found = compare(
        kept(BASE), [replace(BASE, archive="films-1.0"), replace(BASE, archive="films-1.1")], both, MACHINE
    )
    assert found.left_out == (
        "films-1.0 cpu:1 16 users (only here)",
        "films-1.1 cpu:1 16 users (only here)",
        "films-1.0 cpu:1 16 users (only there)",
    )


def test_another_load_is_refused_before_anything_runs(kept: Kept) -> None:
    earlier = kept(BASE)
    keys = [key_of("films-1.1", "cpu:1", 16, "closed", 0.0, NEXT)]
    check_same_load(earlier, {**SETTINGS, "workers": ["cpu:1"], "repeats": 5}, keys)
    with refused(InputError, "LX-LOAD-086", "duration_seconds 10.0 there and 20.0 here", "lexport loadtest films"):
        check_same_load(earlier, {**SETTINGS, "duration_seconds": 20.0}, keys)
    with refused(InputError, "LX-LOAD-087", "films-1.0 cpu:1 16 users"):
        check_same_load(earlier, SETTINGS, [key_of("films-1.1", "cpu:1", 64, "closed", 0.0, NEXT)])


def test_a_file_of_texts_may_have_another_name(kept: Kept, tmp_path: Path) -> None:
    keys = [key_of("films-1.1", "cpu:1", 16, "closed", 0.0, NEXT)]
    texts = {"texts": "a.csv", "texts_sha256": "00"}
    earlier = kept(BASE, settings={**SETTINGS, **texts})
    check_same_load(earlier, {**SETTINGS, **texts, "texts": "b.csv"}, keys)
    for other in ({"texts": "a.csv", "texts_sha256": "11"}, {"texts": "the archive's golden requests"}):
        with refused(InputError, "LX-LOAD-086", "texts"):
            check_same_load(earlier, {**SETTINGS, **other}, keys)


def test_results_of_an_earlier_version_are_refused(kept: Kept) -> None:
    with refused(InputError, "LX-LOAD-085", "schema 2", "schema 3"):
        kept(BASE, schema=2)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "3", '{"schema": 3}', '{"schema": 3, "rows": 1}', '{"schema": 3, "rows": [{}], "tested": {}}'],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with refused(InputError, "LX-LOAD-084", path):
        read_baseline(path)
    with refused(InputError, "LX-LOAD-084", "absent.json"):
        read_baseline(tmp_path / "absent.json")


@pytest.mark.parametrize("rate", ["1e999", '"1000"', "true", "null"])
def test_a_figure_that_is_no_number_is_refused(kept: Kept, tmp_path: Path, rate: str) -> None:
    kept(BASE)
    path = tmp_path / "results.json"
    path.write_text(path.read_text().replace('"requests_per_second": 1010.0', f'"requests_per_second": {rate}'))
    with refused(InputError, "LX-LOAD-084", path):
        read_baseline(path)


def test_an_earlier_test_has_the_rows_that_were_measured(kept: Kept) -> None:
    opened = replace(BASE, users=0, arrivals="open", rate=20.0, client_limit="Locust took 97% of a core")
    earlier = kept(BASE, opened)
    assert list(earlier.cells.values()) == [BASE, opened]
    [change, *_] = compare(earlier, [replace(opened, client_limit=None)], TESTED, MACHINE).changes
    assert change.reason == "then Locust took 97% of a core"
    assert change.cell == "films-1.0 cpu:1 at 20 requests/s (open)"


def test_a_cell_in_which_nothing_was_answered_is_not_compared(kept: Kept) -> None:
    silent = replace(BASE, repeats=tuple(replace(one, p50_ms=None, p99_ms=None) for one in BASE.repeats))
    found = compare(kept(BASE), [silent], TESTED, MACHINE)
    assert outcomes(found)["p99_ms"] == "not judged"
    assert next(one for one in found.changes if one.metric == "p99_ms").after is None


def test_the_comparison_is_on_the_page_in_the_terminal_and_in_the_verdict(kept: Kept) -> None:
    slower = repeated(ROW, [0.8 * rate for rate in RATES], TIMES)
    report: LoadReport = replace(REPORT, rows=(slower,), comparison=compare(kept(BASE), [slower], TESTED, MACHINE))
    page = html(report)
    assert "Compared with results.json" in page
    assert 'bad">worse</td>' in page
    assert "Worse than the test of" in page
    console = Console(width=120, record=True, file=io.StringIO())
    assert report.comparison is not None
    console.print(comparison_table(report.comparison))
    assert "worse" in console.export_text()
    same = replace(report, rows=(BASE,), comparison=compare(kept(BASE), [BASE], TESTED, MACHINE))
    assert "Not worse than the test of" in verdict(same)
    assert "Not worse" in html(same)
