"""Two runs, archives or load tests beside each other: what differs, and the texts that one alone has right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.export.answered import Answered, pair
from lexport.loadtest.report import write
from lexport.ui.site import Site

from ..browser.samples import report, rows
from ..refusals import refused
from ..reports.reader import Section, read
from .conftest import HOST, Visitor


@pytest.fixture
def visitor(folder: Path, short_run: Path) -> Iterator[Visitor]:
    shutil.copytree(short_run, folder / "runs" / "short")
    for name, archive in (("one", "topics-1.0"), ("two", "topics-1.1")):
        write(report(rows((archive,), users=(1, 16))), folder / "loads" / name, "")
    site = Site(folder, HOST)
    yield Visitor(site)
    site.close()


def key(visitor: Visitor, name: str) -> str:
    return visitor.links()[name].partition("/")[2]


def compared(visitor: Visitor, one: str, other: str) -> dict[str, Section]:
    return read(visitor.page(f"compare?a={key(visitor, one)}&b={key(visitor, other)}"))


def test_settings_scores_labels_and_costs_of_two_runs_stand_side_by_side(visitor: Visitor, folder: Path) -> None:
    found = compared(visitor, "runs/topics", "runs/short")
    [made] = found["Data and recipe that differ"].tables
    differ = {row[0]: row[1:] for row in made.rows}
    assert differ["recipe.text.ngrams"] == ["2", "1"]
    assert differ["recipe.training.epochs"][1] == "1"
    assert not [name for name in differ if name.startswith("data.") and name != "data.unknown_share"]
    tests = [
        json.loads((folder / "runs" / name / "metrics.json").read_text())["test"] for name in ("topics", "short")
    ]
    [scores] = found["Scores"].tables
    one, other = (f"{test['accuracy']:.4f} [{test['accuracy_interval'][0]:.4f}" for test in tests)
    assert scores.rows[0][0] == "accuracy"
    assert scores.rows[0][1].startswith(one)
    assert scores.rows[0][2].startswith(other)
    assert scores.rows[0][3] == f"{tests[1]['accuracy'] - tests[0]['accuracy']:+.4f}"
    [labels] = found["By label"].tables
    changes = [float(row[-2]) for row in labels.rows]
    assert changes == sorted(changes)
    assert {row[0] for row in labels.rows} == {"kitchen", "sport", "weather"}
    [costs] = found["What variants cost"].tables
    own = {row[0]: row[1:3] for row in costs.rows}
    assert "–" not in own["onnx-int8"]
    assert own["onnx-fp32"][1] == "–"


def test_texts_that_one_alone_has_right_are_listed(visitor: Visitor, folder: Path) -> None:
    one, other = key(visitor, "runs/topics"), key(visitor, "runs/short")
    page = visitor.page(f"compare?a={one}&b={other}")
    address = f"differing?a={one}&b={other}"
    assert address.replace("&", "&amp;") in page
    found = read(visitor.page(address))
    facts = found["Texts that one has right and the other wrong"].facts
    told = dict(zip(facts[::2], facts[1::2], strict=True))
    counts = {name.partition(" ")[0]: int(name.rpartition(" ")[2]) for name in found if " alone is right: " in name}
    tests = [
        json.loads((folder / "runs" / name / "metrics.json").read_text())["test"] for name in ("topics", "short")
    ]
    both, neither = int(told["both right"]), int(told["both wrong"])
    assert both + counts.get("A", 0) == round(tests[0]["accuracy"] * tests[0]["count"])
    assert both + counts.get("B", 0) == round(tests[1]["accuracy"] * tests[1]["count"])
    assert both + neither + sum(counts.values()) == tests[0]["count"]
    for name, section in found.items():
        if " alone is right: " in name:
            [table] = section.tables
            assert len(table.rows) == int(name.rpartition(" ")[2])
            right = 1 if name.startswith("A") else 2
            assert all(row[right] == row[0] != row[3 - right] for row in table.rows)


def test_two_archives_show_what_lexport_diff_finds_and_their_load_tests(visitor: Visitor, folder: Path) -> None:
    shutil.copy(folder / "model_store" / "topics-1.0.mar", folder / "model_store" / "topics-1.1.mar")
    found = compared(visitor, "model_store/topics-1.0.mar", "model_store/topics-1.1.mar")
    assert found["Data and recipe that differ"].texts == ["Data and settings are the same, as far as both tell them."]
    assert "0 of" in found["Answers to golden requests"].texts[0]
    one, other = (key(visitor, f"loads/{name}") for name in ("one", "two"))
    page = visitor.page(
        f"compare?a={key(visitor, 'model_store/topics-1.0.mar')}&b={key(visitor, 'model_store/topics-1.1.mar')}"
    )
    assert f"compare?a={one}&amp;b={other}" in page
    assert "lexport diff model_store/topics-1.0.mar model_store/topics-1.1.mar" in page


def test_a_run_and_an_archive_are_compared_by_what_both_tell(visitor: Visitor) -> None:
    found = compared(visitor, "runs/short", "model_store/topics-1.0.mar")
    rows = [row for made in found["Data and recipe that differ"].tables for row in made.rows]
    assert {row[0].partition(".")[0] for row in rows} <= {"data", "seed"}
    assert "Scores" in found


def test_two_load_tests_have_the_page_of_lexport_diff(visitor: Visitor) -> None:
    found = compared(visitor, "loads/one", "loads/two")
    assert "Runs with the same workers and load" in found
    page = visitor.page()
    assert "Compare two load tests" in page


def test_a_load_test_is_not_compared_with_a_run(visitor: Visitor) -> None:
    reply = visitor.ask(f"compare?a={key(visitor, 'loads/one')}&b={key(visitor, 'runs/topics')}")
    assert reply.status == 422
    assert "loads/one" in reply.content.decode()


@pytest.mark.parametrize("name", ["multilabel", "vector"])
def test_other_tasks_are_compared_without_single_answers(
    visitor: Visitor, folder: Path, task_run: Callable[[str], Path], name: str
) -> None:
    for copy in ("a", "b"):
        shutil.copytree(task_run(name), folder / "others" / copy)
    found = compared(visitor, "others/a", "others/b")
    assert len(found["Scores"].tables[0].rows) == 2
    assert "More of both" not in found


def test_runs_without_a_common_text_are_refused() -> None:
    def answered(text: str) -> Answered:
        return Answered({}, ({"text": text, "label": "a", "prediction": "a", "confidence": 0.5},))

    with refused(InputError, "LX-UI-010", "1 test texts"):
        pair(answered("one"), answered("two"))
    found = pair(answered("one"), answered("one"))
    assert (found.shared, found.both, found.difference, found.interval) == (1, 1, 0.0, (0.0, 0.0))
