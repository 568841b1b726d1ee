"""`lexport evaluate` with its options, as people and machines call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Place, Result

Command = Callable[..., Result]


def test_an_evaluation_without_data_in_full(place: Place, lexport: Command, run_folder: Path) -> None:
    result = lexport("evaluate", str(run_folder), "--unknown-rate", "0.2", "--report", "page.html", "--mistakes", "2")
    assert (result.code, result.err) == (0, "")
    for words in ("part test: accuracy", "Calibration", "20%", "report: page.html"):
        assert words in result.out
    assert (place.cwd / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    values = json.loads(lexport("evaluate", str(run_folder), "--unknown-rate", "0.2", "--json").out)
    assert {"calibration", "robustness", "mistakes", "confusion", "macro_f1_interval"} <= values.keys()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--unknown-rate 2", "--unknown-rate '2' is not valid"),
        ("--mistakes -1", "mistakes"),
        ("--report data.csv", "expected one that ends in .html"),
        ("--part train", "--part train needs DATA"),
        ("--label-column stars", "Columns are given without DATA"),
        ("--predictions answers.txt", "--predictions answers.txt does not say its format"),
        ("--min accuracy", "--min accuracy is not understood"),
        ("--min f1=0.5 --predictions answers.csv", "its metrics are: accuracy, macro_f1"),
    ],
)
def test_options_that_cannot_be_followed(
    place: Place, lexport: Command, run_folder: Path, options: str, words: str
) -> None:
    result = lexport("evaluate", str(run_folder), *options.split())
    assert result.code == 2
    assert words in result.err
    assert place.files() == []


def test_answers_are_written_and_a_minimum_that_is_missed_exits_with_1(
    place: Place, lexport: Command, run_folder: Path
) -> None:
    (place.cwd / "new.csv").write_text("text,label\nsoup and bread,sport\na goal,sport\n")
    command = ["evaluate", str(run_folder), "new.csv", "--predictions", "answers.csv", "--min", "macro_f1=0.1"]
    passed = lexport(*command)
    assert (passed.code, passed.err) == (0, "")
    assert passed.out.endswith("predictions: answers.csv\n")
    assert (place.cwd / "answers.csv").read_text().startswith("text,label,prediction,confidence,score_kitchen,")
    missed = lexport(*command, "--min", "accuracy=1", "--json")
    assert missed.code == 1
    found = json.loads(missed.out)
    assert (found["accuracy"], found["minimum"]) == (0.5, {"macro_f1": 0.1, "accuracy": 1.0})
    code, message = missed.error
    assert code == "LX-EXPORT-084"
    assert message.startswith("accuracy is 0.5, and --min asks for 1 (2 texts of new.csv)")
