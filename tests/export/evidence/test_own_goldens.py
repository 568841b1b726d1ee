"""Golden requests of one's own, and archives that hold no text of the data."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.export.archive.format.reader import EVIDENCE, read_json
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import VARIANTS, choose
from lexport.handlers.model.goldens import read_goldens
from lexport.models.run import Run, open_run

from ...refusals import refused
from .test_gates import Swapped


def copied(run_folder: Path, tmp_path: Path) -> Run:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    return open_run(folder)


def texts_of(run: Run) -> set[str]:
    """Every held-out text of the data that is more than a single word."""
    return {text for part in ("validation", "test") for text in run.held_out(part).texts if " " in text}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.csv", "text\nmy own goal\na butter match\n"),
        ("own.jsonl", '{"text": "my own goal"}\n{"text": "a butter match"}\n'),
    ],
)
def test_own_goldens_stand_beside_the_usual_ones(run_folder: Path, tmp_path: Path, name: str, content: str) -> None:
    run = copied(run_folder, tmp_path)
    (tmp_path / name).write_text(content)
    export(run, choose("onnx-int8"), goldens=tmp_path / name)
    usual = read_goldens(run_folder / "export" / "onnx-int8" / "golden.jsonl")
    found = read_goldens(run.folder / "export" / "onnx-int8" / "golden.jsonl")
    assert [golden.text for golden in found] == [*(golden.text for golden in usual), "my own goal", "a butter match"]
    mar = archive(run.folder, version="1.0", out=tmp_path)
    with zipfile.ZipFile(mar) as members:
        assert b"a butter match" in members.read("golden.jsonl")
    with load_archive(mar) as served:
        assert served.predict(["my own goal"])[0]["label"] == found[-2].variant["label"]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("own.csv", "phrase\nmy own goal\n", ("LX-DATA-019", "own.csv", "'text'", "phrase", "--text-column")),
        ("own.csv", "text\n", ("LX-DATA-014", "own.csv")),
        ("own.jsonl", "{\n", ("LX-DATA-024", "own.jsonl", "line 1", "column 2")),
    ],
)
def test_goldens_that_cannot_be_read_are_refused_before_anything_is_written(
    run_folder: Path, tmp_path: Path, name: str, content: str, error: tuple[str, ...]
) -> None:
    run = copied(run_folder, tmp_path)
    (tmp_path / name).write_text(content)
    with refused(InputError, *error):
        export(run, choose("onnx-int8"), goldens=tmp_path / name)
    assert not (run.folder / "export").exists()


def test_goldens_name_a_language_that_the_model_knows(task_run: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"text": "goal", "lang": "xx"}\n')
    shutil.copytree(task_run("languages"), tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    with refused(InputError, "LX-MODEL-008", "xx"):
        export(open_run(tmp_path / "run"), choose("onnx-fp32"), goldens=tmp_path / "own.jsonl")


def test_an_archive_without_texts_holds_none_and_its_worker_still_proves_itself(
    run_folder: Path, tmp_path: Path
) -> None:
    run = open_run(run_folder)
    mar = archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path, no_texts=True)
    with zipfile.ZipFile(mar) as members:
        everything = b"\n".join(members.read(name) for name in members.namelist()).decode("utf-8", "replace")
        goldens = [json.loads(line) for line in members.read("golden.jsonl").splitlines()]
    assert [text for text in texts_of(run) if text in everything] == []
    assert len(goldens) >= 16
    texts = [golden["text"] for golden in goldens]
    assert "" in texts
    assert any(not text.isascii() for text in texts)
    assert any(golden["variant"]["truncated"] for golden in goldens)
    assert any(golden["variant"]["tokens"] == golden["variant"]["unknown"] > 0 for golden in goldens)
    assert {golden["variant"]["label"] for golden in goldens} == set(run.labels)
    with load_archive(mar) as served:  # which answers the goldens first
        assert served.predict(["goal coach"])[0]["label"] == "sport"
    usual = archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path / "usual")
    with zipfile.ZipFile(usual) as members:
        everything = members.read("golden.jsonl").decode()
    assert any(text in everything for text in texts_of(run))


@pytest.mark.parametrize("task", ["multilabel", "vector", "joint", "languages"])
def test_every_task_has_goldens_without_texts(task: str, task_run: Callable[[str], Path], tmp_path: Path) -> None:
    folder = task_run(task)
    mar = archive(folder, version="1.0", out=tmp_path, no_texts=True)
    with zipfile.ZipFile(mar) as members:
        everything = members.read("golden.jsonl").decode()
    assert everything.count("\n") >= 16
    assert [text for text in texts_of(open_run(folder)) if text in everything] == []
    with load_archive(mar):
        pass


def test_the_worst_texts_of_a_refused_variant_leave_their_digests_alone(run_folder: Path, tmp_path: Path) -> None:
    run = copied(run_folder, tmp_path)
    export(run, [Swapped("onnx", "fp32", VARIANTS["onnx-fp32"].table), VARIANTS["torchscript-fp32"]])
    mar = archive(run.folder, version="1.0", out=tmp_path, no_texts=True)
    [refused] = [one for one in read_json(mar, EVIDENCE)["variants"] if one["refused"]]
    digests = {f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in run.held_out("validation").texts}
    assert len(refused["worst"]) == 10
    assert all(one["text"] in digests for one in refused["worst"])
