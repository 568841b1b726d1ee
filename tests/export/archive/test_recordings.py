"""Recordings: what `record` keeps, which answers have a label that is read, and what `diff` makes of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.__main__ import run
from lexport.errors import InputError
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.recorded import compare_recording
from lexport.export.archive.recordings import label_of, read_recording, read_texts, scores_of
from lexport.loadtest.record import record

from ...refusals import refused

ArchiveOf = Callable[[str], Path]
TEXTS = ["the goal and the referee", "butter and salt", "rain, wind, fog", "qqqq zzzz"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join([*TEXTS, "", TEXTS[0]]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recorded(archive_of: ArchiveOf, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "ours.jsonl"
    record(str(archive_of("onnx-int8")), texts, out)
    return out


def recording(path: Path, answers: dict[str, Any]) -> Path:
    """A recording of these answers by text, as somebody else's model gives them."""
    head = {"kind": "lexport recording", "schema": 1, "source": "old.mar", "way": "http", "created": "2026-01-01"}
    rows = [head, *({"text": text, "answer": answer, "latency_ms": 9.0} for text, answer in answers.items())]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("answer", "label", "score"),
    [
        ({"label": "sport", "score": 0.5, "scores": {"sport": 0.5, "kitchen": 0.4}}, "sport", 0.5),
        ({"prediction": "sport"}, "sport", None),
        ({"class": 3, "probability": 0.25}, "3", 0.25),
        (" sport\n", "sport", None),
        ({"sport": 0.25, "kitchen": 0.75}, "kitchen", 0.75),
        ([{"label": "sport", "score": 0.5}], "sport", 0.5),
        ([{"label": "sport", "score": 0.25}, {"label": "kitchen", "score": 0.5}], "kitchen", 0.5),
        (["sport"], "sport", None),
        ({"labels": [{"label": "b", "score": 0.5}, {"label": "a", "score": 0.5}], "scores": {}}, "a, b", None),
        ({"labels": []}, "no label", None),
    ],
)
def test_a_label_is_found_in_the_usual_shapes_of_answers(answer: Any, label: str, score: float | None) -> None:
    assert label_of(answer) == (label, score)


@pytest.mark.parametrize(
    "answer", [None, 3, True, "", " ", [], {}, [1, 2], {"rows": [1]}, {"label": None}, {"label": True}, {"a": "b"}]
)
def test_no_label_is_made_up_for_other_answers(answer: Any) -> None:
    assert label_of(answer) is None


def test_scores_are_those_of_all_labels_where_there_are_such() -> None:
    assert scores_of({"label": "a", "score": 0.5, "scores": {"a": 0.5, "b": 0.25}}) == {"a": 0.5, "b": 0.25}
    assert scores_of([{"label": "a", "score": 0.5}, {"label": "b", "score": 0.25}]) == {"a": 0.5, "b": 0.25}
    assert scores_of({"prediction": "a", "confidence": 0.5}) == {"a": 0.5}
    assert scores_of("a") == {}


def test_an_archive_of_ours_is_recorded_in_this_process(recorded: Path, archive_of: ArchiveOf) -> None:
    found = read_recording(recorded)
    with load_archive(archive_of("onnx-int8")) as archived:
        expected = archived.predict(TEXTS)
    assert [(line.text, line.answer) for line in found.lines] == list(zip(TEXTS, expected, strict=True))
    assert all(line.latency_ms > 0 for line in found.lines)
    head = found.head
    assert (head["source"], head["made_by_lexport"], head["way"]) == ("topics-1.0.mar", True, "in this process")
    assert len(head["sha256"]) == 64
    assert head["machine"]["cores"] >= 1


def test_a_recording_holds_against_its_own_archive(recorded: Path, archive_of: ArchiveOf) -> None:
    found = compare_recording(recorded, archive_of("onnx-int8"))
    assert (found.asked, found.flips, found.failed, found.unread) == (4, [], 0, 0)
    assert found.largest_difference == 0.0
    assert found.before.median > 0
    assert found.after.p95 >= found.after.median > 0


def test_several_labels_of_a_text_are_compared_as_a_whole(
    task_archive: Callable[[str], Path], tmp_path: Path
) -> None:
    mar = task_archive("multilabel")
    record(str(mar), TEXTS, tmp_path / "ours.jsonl")
    assert compare_recording(tmp_path / "ours.jsonl", mar).flips == []
    with refused(InputError, "LX-ARCHIVE-025"):
        compare_recording(tmp_path / "ours.jsonl", task_archive("vector"))


def test_flips_scores_and_labels_that_only_one_knows_are_told(tmp_path: Path, archive_of: ArchiveOf) -> None:
    path = recording(
        tmp_path / "old.jsonl",
        {
            TEXTS[0]: {"sport": 0.75, "kitchen": 0.25},
            TEXTS[1]: {"sport": 0.9, "kitchen": 0.1},
            TEXTS[2]: "climate",
            TEXTS[3]: {"rows": [1]},
        },
    )
    found = compare_recording(path, archive_of("onnx-int8"))
    assert (found.asked, found.unread, found.example) == (3, 1, "{'rows': [1]}")
    assert [(flip.text, flip.before, flip.after) for flip in found.flips] == [
        (TEXTS[1], "sport", "kitchen"),
        (TEXTS[2], "climate", "weather"),
    ]
    assert found.flips[0].before_score == 0.9
    assert found.largest_difference == found.flips[0].difference
    assert found.flips[1].difference is None
    assert found.labels_before == ["climate"]
    assert found.before.median == 9.0
    assert found.flip_share == pytest.approx(2 / 3)


def test_the_command_shows_it_and_is_refused_above_max_flips(
    tmp_path: Path, archive_of: ArchiveOf, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(recording(tmp_path / "old.jsonl", {TEXTS[0]: "sport", TEXTS[1]: "sport", TEXTS[2]: [1, 2]}))
    mar = str(archive_of("onnx-int8"))
    assert run(["diff", path, mar]) == 0
    out = capfd.readouterr().out
    for words in ("1 of 2 texts have another label (50.0%)", "1 answers have no label that can be read", "Read are:"):
        assert words in out
    assert run(["diff", path, mar, "--max-flips", "0.5"]) == 0
    assert run(["diff", path, mar, "--max-flips", "0.49", "--json"]) == 1
    captured = capfd.readouterr()
    assert "1 of 2 texts have another answer (50.0%); --max-flips allows 49.0%" in captured.err
    assert run(["diff", mar, mar, "--max-flips", "0"]) == 0
    capfd.readouterr()
    assert run(["diff", path, mar, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["flips"][0]["after"] == "kitchen"
    assert run(["diff", mar, mar, "--texts", path]) == 2


def test_without_texts_their_digests_are_kept_and_the_file_is_asked_for(
    tmp_path: Path, archive_of: ArchiveOf, texts: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mar, out = str(archive_of("onnx-int8")), tmp_path / "digests.jsonl"
    assert run(["record", mar, str(texts), "--out", str(out), "--no-texts"]) == 0
    assert "butter" not in out.read_text(encoding="utf-8")
    assert run(["diff", str(out), mar]) == 2
    assert "Give the file of them with --texts FILE" in capfd.readouterr().err
    assert run(["diff", str(out), mar, "--texts", str(texts), "--max-flips", "0"]) == 0
    other = tmp_path / "other.txt"
    other.write_text(f"{TEXTS[0]}\n")
    with refused(InputError, "LX-ARCHIVE-027", "other.txt", "3", "4"):
        compare_recording(out, Path(mar), texts=other)


def test_what_no_label_can_be_read_of_is_refused_with_the_shapes(tmp_path: Path, archive_of: ArchiveOf) -> None:
    path = recording(tmp_path / "old.jsonl", {TEXTS[0]: {"rows": [1]}})
    with refused(InputError, "LX-ARCHIVE-024", "{'rows'", "[1]}", "an object with"):
        compare_recording(path, archive_of("onnx-int8"))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{}\n", ("LX-ARCHIVE-032", "line 1")),
        ('{"kind": "lexport recording", "schema": 2}\n', ("LX-ARCHIVE-030", "schema 2", "1")),
        ('{"kind": "lexport recording", "schema": 1}\n', ("LX-ARCHIVE-033", "lexport record")),
        ('{"kind": "lexport recording", "schema": 1}\n{"text": 3}\n', ("LX-ARCHIVE-032", "line 2")),
        (
            '{"kind": "lexport recording", "schema": 1}\n{"text": "a", "latency_ms": 1}\n',
            ("LX-ARCHIVE-032", "line 2"),
        ),
    ],
)
def test_damaged_recordings_are_refused_with_their_line(tmp_path: Path, content: str, error: tuple[str, ...]) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text(content)
    with refused(InputError, *error):
        read_recording(path)


def test_texts_come_from_data_files_and_from_lines(tiny_csv: Path, texts: Path, tmp_path: Path) -> None:
    assert read_texts(texts) == TEXTS
    assert len(read_texts(tiny_csv)) > 500
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n")
    with refused(InputError, "LX-ARCHIVE-029"):
        read_texts(empty)


def test_nothing_is_written_where_nothing_can_be_asked(
    tmp_path: Path, archive_of: ArchiveOf, capfd: pytest.CaptureFixture[str]
) -> None:
    out, mar = tmp_path / "out.jsonl", shutil.copy(archive_of("onnx-int8"), tmp_path)
    for arguments, code, words in (
        ([mar, str(tmp_path / "absent.txt")], 2, "absent.txt cannot be read"),
        (["absent.mar", str(tmp_path)], 2, ""),
        (["http://127.0.0.1:1/models/x", str(mar)], 2, ""),
    ):
        assert run(["record", *map(str, arguments), "--out", str(out)]) == code
        assert words in capfd.readouterr().err
        assert not out.exists()
    with refused(InputError, "LX-LOAD-019", "http://HOST:PORT/predictions/NAME"):
        record("http://127.0.0.1:1/models/x", ["a"], out)
