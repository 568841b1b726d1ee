"""`lexport diagnose` and `lexport report` with their options, as people and machines call them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Place, Result

Command = Callable[..., Result]


def test_a_run_is_diagnosed_on_the_data_it_was_trained_on(
    place: Place, lexport: Command, run_folder: Path, tiny_csv: Path
) -> None:
    command = ["diagnose", str(run_folder), str(tiny_csv), "--judge", "bayes"]
    result = lexport(*command, "--out", "page.html", "--relabel", "review.csv")
    assert (result.code, result.err) == (0, "")
    for words in ("the data of the training", "padding adds nothing", "page: page.html", "labels: review.csv"):
        assert words in result.out
    assert (place.cwd / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (place.cwd / "review.csv").read_text(encoding="utf-8").startswith("text,label,part,suggested,score\n")
    values = json.loads(lexport(*command, "--json").out)
    assert {"findings", "counts", "label_errors", "words", "shared"} <= values.keys()


def test_a_severity_that_is_reached_exits_with_1(
    place: Place, lexport: Command, run_folder: Path, tiny_csv: Path
) -> None:
    (place.cwd / "new.csv").write_text("text\n" + "\n".join(f"zz qq zz{number}" for number in range(150)))
    command = ["diagnose", str(run_folder), "new.csv", "--skip", "labels"]
    assert lexport(*command).code == 0
    failed = lexport(*command, "--fail-on", "serious")
    assert failed.code == 1
    assert failed.error[0] == "LX-EVAL-050"
    assert "unknown words" in failed.error[1]
    assert lexport(*command, "--skip", "unknown", "--fail-on", "serious").code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--fail-on ok", "--fail-on ok is not known"),
        ("--skip spelling", "--skip spelling is not a check"),
        ("--out page.pdf", "expected one that ends in .html"),
        ("--relabel review.csv", "no DATA is named"),
        ("--label-column stars", "Columns are given without DATA"),
    ],
)
def test_options_that_cannot_be_followed(
    place: Place, lexport: Command, run_folder: Path, options: str, words: str
) -> None:
    result = lexport("diagnose", str(run_folder), *options.split())
    assert result.code == 2
    assert words in result.err
    assert place.files() == []


def test_a_report_is_written_and_says_what_it_lacks(
    place: Place, lexport: Command, run_folder: Path, archive_of: Callable[[str], Path]
) -> None:
    result = lexport("report", str(run_folder), "--out", "page.html", "--text", "a goal")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("report: page.html\n")
    assert "without load test: " in result.out
    values = json.loads(lexport("report", str(archive_of("onnx-int8")), "--out", "page.html", "--json").out)
    assert (values["kind"], values["variant"]) == ("archive", "onnx-int8")
    assert "<h1>topics 1.0</h1>" in (place.cwd / "page.html").read_text(encoding="utf-8")


def test_a_report_of_what_is_no_model_is_refused(place: Place, lexport: Command) -> None:
    result = lexport("report", "nothing", "--out", "page.html")
    assert result.code == 2
    assert place.files() == []
