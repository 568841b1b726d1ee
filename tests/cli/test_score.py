"""`lexport score`, as people and machines call it: a file in, the same rows with answers out, or nothing."""

from __future__ import annotations

import io
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lexport as package

from ..hostile import EVIL, check
from .conftest import Place, Result, as_text, split_error, wait_for
from .test_interrupt import assert_clean, end

Command = Callable[..., Result]

ROWS = "id;body\n1;the goal of the match\n2;\n3;soup and bread\n"


@pytest.fixture
def here(place: Place) -> Place:
    (place.cwd / "new.csv").write_text(ROWS)
    (place.cwd / "bad.jsonl").write_text('{"text": "a goal"}\n{"text": 3}\nno json\n')
    (place.cwd / "old.csv").write_text("text,prediction\na goal,sport\n")
    return place


def test_a_file_is_scored_and_what_was_found_and_written_is_said(
    here: Place, lexport: Command, run_folder: Path
) -> None:
    result = lexport("score", str(run_folder), "new.csv", "--text-column", "body", "--out", "scored.csv")
    assert (result.code, result.err) == (0, "")
    found, done = result.out.splitlines()
    assert found == 'new.csv: UTF-8, semicolons between cells, cells quoted with ", with a header'
    assert done == "scored.csv: 3 rows with prediction, confidence"
    header, *rows = (here.cwd / "scored.csv").read_text().splitlines()
    assert header == "id,body,prediction,confidence"
    answers = package.load(run_folder).predict(["the goal of the match", "", "soup and bread"])
    labels = [answer.label for answer in answers]  # type: ignore[union-attr]
    assert [row.split(",")[:3] for row in rows] == [
        ["1", "the goal of the match", labels[0]],
        ["2", "", labels[1]],
        ["3", "soup and bread", labels[2]],
    ]
    assert (labels[0], labels[2]) == ("sport", "kitchen")


def test_with_json_a_machine_reads_what_was_written(
    here: Place, lexport: Command, archive_of: Callable[[str], Path]
) -> None:
    command = ["score", str(archive_of("onnx-int8")), "bad.jsonl", "--out", "scored.jsonl", "--skip-bad-rows", "2"]
    result = lexport(*command, "--scores", "--prefix", "topic_", "--json")
    assert result.code == 0
    columns = ["prediction", "confidence", "score_kitchen", "score_sport", "score_weather"]
    assert json.loads(result.out) == {
        "out": "scored.jsonl",
        "rows": 1,
        "refused": 0,
        "columns": [f"topic_{name}" for name in columns],
        "dropped": {"bad": 2},
    }
    assert list(json.loads((here.cwd / "scored.jsonl").read_text())) == ["text", *(f"topic_{one}" for one in columns)]
    assert lexport(*command[:-2], "--force", "--skip-bad-rows", "2").out.endswith(
        "scored.jsonl: 1 rows with prediction, confidence; 2 bad left out\n"
    )


def test_from_standard_input_to_standard_output(
    here: Place, lexport: Command, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f'{{"text": {json.dumps(EVIL)}}}\n'.encode())))
    result = lexport("score", str(run_folder), "-", "--out", "-")
    assert result.code == 0
    check(result.out)
    row = json.loads(result.out)
    assert (row["text"], list(row)) == (EVIL, ["text", "prediction", "confidence"])
    assert result.err.splitlines()[-1] == "-: 1 rows with prediction, confidence"
    assert here.files() == sorted(str(here.cwd / name) for name in ("new.csv", "bad.jsonl", "old.csv"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("new.csv --out scored.csv", "LX-DATA-019", "new.csv has no column 'text'. Its columns are: id, body"),
        ("old.csv --out old.csv", "LX-FILE-001", "old.csv exists already. Choose another --out, or replace it with"),
        ("old.csv --out new/scored.csv", "LX-API-018", "already has the columns that would be added: prediction."),
        ("old.csv --out scored.xlsx", "LX-DATA-090", "--out scored.xlsx does not say its format"),
        ("old.csv --out scored.csv --delimiter ab", "LX-DATA-060", "delimiter 'ab'"),
        ("old.csv --out - --json", "LX-CLI-014", "--json and --out - would both print on stdout"),
        ("absent.csv --out scored.csv", "LX-DATA-012", "There is no file absent.csv"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_leaves_nothing(
    here: Place, lexport: Command, run_folder: Path, arguments: str, code: str, words: str
) -> None:
    before = here.files()
    result = lexport("score", str(run_folder), *arguments.split())
    found, message = split_error(as_text(result.err.splitlines()[-1]))
    assert (result.code, found) == (2, code)
    assert words in message
    assert here.files() == before


def test_all_rows_that_cannot_be_read_are_listed(here: Place, lexport: Command, run_folder: Path) -> None:
    result = lexport("score", str(run_folder), "bad.jsonl", "--out", "scored.csv")
    assert result.code == 2
    first, *below = result.err.splitlines()
    assert first.startswith("error[LX-DATA-066]: bad.jsonl: 2 of 3 rows cannot be read")
    assert [line.strip().partition(": ")[0] for line in below] == [
        "bad.jsonl, line 2",
        "bad.jsonl, line 3 is not valid JSON",
    ]
    assert not (here.cwd / "scored.csv").exists()


@pytest.mark.parametrize("model", ["absent", "absent.mar", "new.csv"])
def test_what_is_no_model_is_refused(here: Place, lexport: Command, model: str) -> None:
    assert lexport("score", model, "old.csv", "--out", "scored.csv", "--prefix", "p_").code == 2
    assert not (here.cwd / "scored.csv").exists()


def test_rows_that_the_model_refused_are_written_and_the_exit_code_says_so(
    here: Place, lexport: Command, task_archive: Callable[[str], Path]
) -> None:
    (here.cwd / "a.csv").write_text("text,lang\nsoup,en\nmots,fr\n")
    command = ["score", str(task_archive("languages")), "a.csv", "--language-column", "lang", "--out", "scored.jsonl"]
    result = lexport(*command)
    assert result.code == 1
    code, message = result.error
    assert code == "LX-CLI-015"
    assert message.startswith("1 of 2 rows were refused by ")
    assert "column error of scored.jsonl" in message
    answered, refused = map(json.loads, (here.cwd / "scored.jsonl").read_text().splitlines())
    assert list(answered) == ["text", "lang", "prediction", "confidence"]
    assert list(refused) == ["text", "lang", "error"]


def test_ctrl_c_leaves_the_old_file_and_nothing_new(here: Place, run_folder: Path) -> None:
    with (here.cwd / "many.csv").open("w") as file:
        file.write("text\n" + "the goal of the match and some soup with bread in the rain\n" * 400_000)
    (here.cwd / "scored.jsonl").write_text("old")
    before = here.files()
    command = ["score", str(run_folder), "many.csv", "--out", "scored.jsonl", "--force"]
    with here.start(*command) as child:
        wait_for(lambda: writes(child.pid, here.cwd), child)
        time.sleep(0.2)
        assert_clean(end(child, signal.SIGINT), here, kept=before)
    assert (here.cwd / "scored.jsonl").read_text() == "old"


def writes(process: int, folder: Path) -> bool:
    """Whether a process has a file without a name open in a folder, with something in it."""
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            nameless = str(link.readlink()).startswith(f"{folder}/") and link.stat().st_nlink == 0
            if nameless and link.stat().st_size > 100_000:
                return True
        except OSError:
            continue
    return False
