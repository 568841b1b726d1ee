"""The journal: what was measured is not measured again, and other circumstances are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lexport.errors import InputError, SystemProblem
from lexport.loadtest.tuning.final import play
from lexport.loadtest.tuning.journal import NAME, open_journal
from lexport.loadtest.tuning.ladder import USERS
from lexport.loadtest.tuning.search import Budget, search
from lexport.loadtest.tuning.trials import Measure, Task, Trial

from ...refusals import refused
from .surface import Surface
from .test_search import FACTORS, POOR, SPACE

FACTS = {"archives": {"reviews-1.0": "ab"}, "machine": {"cores": 2}, "objectives": ["p99 <= 20 ms"]}


def whole(measure: Measure) -> object:
    budget = Budget(120)
    found = search(SPACE, USERS, measure, budget, POOR)
    return play(found.finalists, measure, budget)


class Pressed(Surface):
    """Ctrl-C after so many runs."""

    left = 0

    def __call__(self, task: Task) -> Trial:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().__call__(task)


@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_an_interrupted_search_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path, after: int) -> None:
    # Without the time of a start, which a new process spends once more.
    untouched = Surface(FACTORS, noise=0.1, start=0.0)
    with open_journal(tmp_path / "whole", FACTS, untouched) as journal:
        expected = whole(journal)
    pressed = Pressed(FACTORS, noise=0.1, start=0.0)
    pressed.left = after
    with pytest.raises(KeyboardInterrupt), open_journal(tmp_path / "cut", FACTS, pressed) as journal:
        whole(journal)
    rest = Surface(FACTORS, noise=0.1, start=0.0)
    with open_journal(tmp_path / "cut", FACTS, rest) as journal:
        assert whole(journal) == expected
        assert len(rest.tasks) == len(untouched.tasks) - after
    again = Surface(FACTORS)
    with open_journal(tmp_path / "cut", FACTS, again) as journal:
        assert whole(journal) == expected
    assert again.tasks == []


def test_a_line_that_was_cut_off_by_a_kill_is_measured_again(tmp_path: Path) -> None:
    task = Task(POOR, "search 1", 0, 16.0, 2.0)
    with open_journal(tmp_path, FACTS, Surface({})) as journal:
        journal(task)
        journal(Task(POOR, "search 1", 0, 32.0, 2.0))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-20])
    again = Surface({})
    with open_journal(tmp_path, FACTS, again) as journal:
        journal(task)
        journal(Task(POOR, "search 1", 0, 32.0, 2.0))
    assert [one.level for one in again.tasks] == [32.0]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3


@pytest.mark.parametrize(
    ("changed", "values"),
    [
        ({"archives": {"reviews-1.0": "cd"}}, ("archives", '"ab"', '"cd"')),
        ({"machine": {"cores": 4}}, ("machine", "2", "4")),
        ({"objectives": ["p99 <= 50 ms"]}, ("objectives", "20 ms", "50 ms")),
    ],
)
def test_another_archive_machine_or_question_is_refused_unless_it_begins_anew(
    tmp_path: Path, changed: dict[str, object], values: tuple[str, ...]
) -> None:
    task = Task(POOR, "search 1", 0, 16.0, 2.0)
    with open_journal(tmp_path, FACTS, Surface({})) as journal:
        journal(task)
    before = (tmp_path / NAME).read_bytes()
    with refused(InputError, "LX-LOAD-136", *values, "--force"), open_journal(tmp_path, FACTS | changed, Surface({})):
        pass
    assert (tmp_path / NAME).read_bytes() == before
    anew = Surface({})
    with open_journal(tmp_path, FACTS | changed, anew, anew=True) as journal:
        journal(task)
    assert anew.tasks == [task]


@pytest.mark.parametrize("content", [b"no json\n", b'{"schema": 1}\n{"task": 3}\n', b"[]\n", b"\xff\n", b"x\ny"])
def test_a_file_that_is_no_journal_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    with refused(InputError, "LX-LOAD-135", NAME), open_journal(tmp_path, FACTS, Surface({})):
        pass
    assert path.read_bytes() == content


@pytest.mark.parametrize(("name", "value"), [("took", "long"), ("met", 1), ("missed", "p99"), ("task", None)])
def test_a_run_with_a_value_of_another_kind_is_refused(tmp_path: Path, name: str, value: object) -> None:
    with open_journal(tmp_path, FACTS, Surface({})) as journal:
        trial = journal(Task(POOR, "search 1", 0, 16.0, 2.0))
    with (tmp_path / NAME).open("a") as file:
        file.write(json.dumps(trial.as_dict() | {name: value}) + "\n")
    with refused(InputError, "LX-LOAD-135", f"{name} is {value!r}"), open_journal(tmp_path, FACTS, Surface({})):
        pass


def test_two_searches_do_not_share_a_journal(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path, FACTS, Surface({})),
        refused(SystemProblem, "LX-LOAD-134", tmp_path),
        open_journal(tmp_path, FACTS, Surface({})),
    ):
        pass
