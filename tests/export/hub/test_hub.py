"""Runs and archives as folders for the Hub, and back: what the Hub's own library reads, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

import lexport
from lexport.api.functions import read_keys
from lexport.api.run import of_folder
from lexport.errors import InputError, RefusedError
from lexport.export.archive.inspect import inspect
from lexport.export.hub.layout import with_front, without_front
from lexport.export.hub.pull import pull
from lexport.export.hub.push import push

from ...refusals import refused
from ...trust_cases import key_pair

Pack = Callable[[str], Path]


@pytest.fixture
def pushed(archive_of: Pack, tmp_path: Path) -> Path:
    """A folder with an archive."""
    return push(archive_of("onnx-int8"), tmp_path / "pushed").folder


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_comes_back_as_it_was(run_folder: Path, tmp_path: Path) -> None:
    made = push(run_folder, tmp_path / "pushed", license_id="apache-2.0", languages=["en"])
    metrics = json.loads((run_folder / "metrics.json").read_text())
    held_out = sum(metrics[part]["count"] for part in ("validation", "test"))
    assert (made.record.kind, made.record.name, made.record.version) == ("run", "topics", None)
    assert made.texts == held_out
    target, record = pull(tmp_path / "pushed", tmp_path / "back")
    assert (target, record) == (tmp_path / "back", made.record)
    assert contents(target) == contents(run_folder)


def test_an_archive_comes_back_byte_by_byte(archive_of: Pack, pushed: Path, tmp_path: Path) -> None:
    (tmp_path / "model_store").mkdir()
    for out in (tmp_path / "any.mar", tmp_path / "model_store"):
        target, record = pull(pushed, out)
        assert target.read_bytes() == archive_of("onnx-int8").read_bytes()
        assert (record.kind, record.name, record.version) == ("archive", "topics", "1.0")
    assert target == tmp_path / "model_store" / "topics-1.0.mar"


def test_the_hub_reads_the_card_with_its_metrics(run_folder: Path, pushed: Path, tmp_path: Path) -> None:
    push(run_folder, tmp_path / "run", license_id="mit", languages=["en", "de"])
    metrics = json.loads((run_folder / "metrics.json").read_text())["test"]
    evidence = json.loads((run_folder / "export" / "evidence.json").read_text())
    [variant] = [one for one in evidence["variants"] if one["name"] == "onnx-int8"]
    for folder, expected in ((tmp_path / "run", metrics), (pushed, variant["test"])):
        card = ModelCard.load(folder / "README.md")
        assert (card.data.library_name, card.data.pipeline_tag) == ("lexport", "text-classification")
        found = {one.metric_type: one.metric_value for one in card.data.eval_results}
        assert found == {name: round(expected[name], 4) for name in ("accuracy", "macro_f1")}
        assert {one.dataset_name for one in card.data.eval_results} == {"topics.csv"}
        assert card.text.strip().startswith("# topics")
    run = ModelCard.load(tmp_path / "run" / "README.md")
    assert (run.data.license, run.data.language) == ("mit", ["en", "de"])


def test_models_of_vectors_have_a_card_too(task_archive: Pack, tmp_path: Path) -> None:
    push(task_archive("vector"), tmp_path / "pushed")
    card = ModelCard.load(tmp_path / "pushed" / "README.md")
    assert card.data.pipeline_tag == "feature-extraction"
    assert next(one.metric_type for one in card.data.eval_results) == "recall_at_1"


def test_a_card_that_was_edited_becomes_the_runs(run_folder: Path, tmp_path: Path) -> None:
    push(run_folder, tmp_path / "pushed")
    card = tmp_path / "pushed" / "README.md"
    card.write_text(card.read_text() + "\nIt is used for headlines.\n")
    pull(tmp_path / "pushed", tmp_path / "back")
    assert (tmp_path / "back" / "README.md").read_text() == (
        (run_folder / "README.md").read_text() + "\nIt is used for headlines.\n"
    )


@pytest.mark.parametrize("card", ["", "# topics\n", "no heading\n---\na line\n", "---\nno: end\n"])
def test_the_text_of_a_card_is_kept_whatever_it_is(card: str) -> None:
    assert without_front(with_front(card, {"license": "mit", "model-index": [{"name": "a---b"}]})) == card


def test_a_cache_of_links_is_read_and_other_files_stay_behind(run_folder: Path, tmp_path: Path) -> None:
    """Downloads of the Hub are folders of links into a cache."""
    push(run_folder, tmp_path / "pushed")
    for path in [one for one in (tmp_path / "pushed").rglob("*") if one.is_file()]:
        blob = tmp_path / f"blob-{path.name}-{path.parent.name}"
        path.rename(blob)
        path.symlink_to(blob)
    (tmp_path / "pushed" / ".cache").mkdir()
    (tmp_path / "pushed" / "notes.txt").write_text("mine")
    pull(tmp_path / "pushed", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(run_folder)
    assert not any(path.is_symlink() for path in (tmp_path / "back").rglob("*"))


def test_what_was_changed_is_refused_and_leaves_nothing(run_folder: Path, pushed: Path, tmp_path: Path) -> None:
    push(run_folder, tmp_path / "run")
    (tmp_path / "run" / "labels.json").write_text('["a", "b", "c"]')
    with (pushed / "topics-1.0.mar").open("ab") as handle:
        handle.write(b"x")
    for folder, name in ((tmp_path / "run", "labels.json"), (pushed, "topics-1.0.mar")):
        with refused(RefusedError, "LX-HUB-008", folder / name):
            pull(folder, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pushed", "run"]


def test_pointers_and_missing_files_are_named(pushed: Path, tmp_path: Path) -> None:
    archive = pushed / "topics-1.0.mar"
    archive.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    with refused(InputError, "LX-HUB-006", archive):
        pull(pushed, tmp_path / "back.mar")
    archive.unlink()
    with refused(InputError, "LX-HUB-007", archive, "No such file"):
        pull(pushed, tmp_path / "back.mar")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_file_is_not_read(make: Callable[[Path], None], pushed: Path, tmp_path: Path) -> None:
    archive = pushed / "topics-1.0.mar"
    archive.unlink()
    make(archive)
    with refused(InputError, "LX-HUB-900", archive):
        pull(pushed, tmp_path / "back.mar")
    assert not (tmp_path / "back.mar").exists()


def test_an_archive_whose_evidence_says_no_task_is_refused(
    archive_of: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = inspect(archive_of("onnx-int8"))
    runs: list[Any] = [{}, {"task": "other", "recipe": "", "data": {"name": ""}}, []]
    for run in runs:
        spoiled = replace(found, evidence={**found.evidence, "run": run})
        monkeypatch.setattr("lexport.export.hub.push.inspect", lambda *_, spoiled=spoiled: spoiled)
        with refused(InputError, "LX-HUB-901", "topics-1.0.mar"):
            push(archive_of("onnx-int8"), tmp_path / "pushed")
    assert not (tmp_path / "pushed").exists()


def test_a_card_that_is_no_text_is_refused_on_both_ways(run_folder: Path, tmp_path: Path) -> None:
    push(run_folder, tmp_path / "pushed")
    (tmp_path / "pushed" / "README.md").write_bytes(b"caf\xe9")
    with refused(InputError, "LX-HUB-400", tmp_path / "pushed" / "README.md"):
        pull(tmp_path / "pushed", tmp_path / "back")
    own = tmp_path / "own"
    shutil.copytree(run_folder, own)
    (own / "README.md").write_bytes(b"caf\xe9")
    with refused(InputError, "LX-HUB-400", own / "README.md"):
        push(own, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "pushed"]


def test_a_run_with_a_file_that_the_folder_itself_has_is_refused(run_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(run_folder, own)
    (own / "lexport.json").write_text("{}")
    with refused(InputError, "LX-HUB-401", own, "lexport.json"):
        push(own, tmp_path / "pushed")
    assert not (tmp_path / "pushed").exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "LX-HUB-001"),
        ("[" * 100_000, "LX-HUB-002"),
        ("{", "LX-HUB-002"),
        ("[1]", "LX-HUB-002"),
        ('{"schema": 2}', "LX-HUB-003"),
        ('{"schema": 1}', "LX-HUB-004"),
    ],
)
def test_a_folder_without_a_record_is_refused(pushed: Path, tmp_path: Path, content: str | None, code: str) -> None:
    (pushed / "lexport.json").unlink()
    if content is not None:
        (pushed / "lexport.json").write_text(content)
    with refused(InputError, code, pushed):
        pull(pushed, tmp_path / "back")


@pytest.mark.parametrize(
    "path",
    [
        *("../out", "/etc/passwd", "a/../../b", "a\\b", "", ".", "a//b", "lexport.json", "README.md"),
        *(".git/config", "export/.git/hooks/post-checkout", ".gitattributes", ".bashrc"),
        *("a\u200b", "a\n", "a" * 256, "/".join(["aa"] * 400)),
    ],
)
def test_a_path_out_of_the_folder_is_refused(pushed: Path, tmp_path: Path, path: str) -> None:
    change(pushed / "lexport.json", files={path: "0" * 64})
    with refused(InputError, "LX-HUB-004", repr(path)):
        pull(pushed, tmp_path / "back")


@pytest.mark.parametrize(
    "values",
    [
        {"name": "../topics"},
        {"name": "/topics"},
        {"version": None},
        {"kind": "dataset"},
        {"files": {"a.mar": "0"}},
        {"files": {"a": "0" * 64, "b": "0" * 64}},
        {"files": 1},
        {"kind": "run", "files": {"a": "0" * 64, "a/b": "0" * 64}},
        {"kind": "run", "files": {"a\ud800": "0" * 64}},
    ],
)
def test_a_record_that_cannot_be_is_refused(pushed: Path, tmp_path: Path, values: dict[str, object]) -> None:
    change(pushed / "lexport.json", **values)
    with refused(InputError, "LX-HUB-004"):
        pull(pushed, tmp_path / "back")


def test_what_is_there_is_replaced_only_where_asked(run_folder: Path, pushed: Path, tmp_path: Path) -> None:
    with refused(InputError, "LX-FILE-001", pushed):
        push(run_folder, pushed)
    push(run_folder, pushed, replace=True)
    assert json.loads((pushed / "lexport.json").read_text())["kind"] == "run"
    pull(pushed, tmp_path / "back")
    with refused(InputError, "LX-FILE-001", tmp_path / "back"):
        pull(pushed, tmp_path / "back")
    pull(pushed, tmp_path / "back", replace=True)


def test_signatures_are_asked_for_on_both_ways(pushed: Path, archive_of: Pack, tmp_path: Path) -> None:
    _, public = key_pair(tmp_path, "ours", 1)
    with refused(RefusedError, "LX-TRUST-010"):
        lexport.from_hub(pushed, out=tmp_path / "back.mar", keys=[public])
    assert not (tmp_path / "back.mar").exists()
    with refused(RefusedError, "LX-TRUST-010"):
        lexport.Archive(archive_of("onnx-int8"), trusted=read_keys([public])).to_hub(tmp_path / "again")


def test_a_folder_that_is_no_run_is_refused(archive_of: Pack, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with refused(InputError, "LX-MODEL-003", tmp_path / "empty"):
        push(tmp_path / "empty", tmp_path / "out")
    shutil.unpack_archive(archive_of("onnx-int8"), tmp_path / "unpacked", "zip")
    with refused(InputError, "LX-HUB-005", tmp_path / "unpacked"):
        push(tmp_path / "unpacked", tmp_path / "out")


def test_from_python_both_answer_as_before(run_folder: Path, archive_of: Pack, tmp_path: Path) -> None:
    run, archive = of_folder(run_folder), lexport.Archive(archive_of("onnx-int8"))
    run.to_hub(tmp_path / "run")
    archive.to_hub(str(tmp_path / "archive"))
    for before, name in ((run, "run"), (archive, "archive")):
        after = lexport.from_hub(tmp_path / name, out=tmp_path / f"{name}-back")
        assert type(after) is type(before)
        assert after.predict("goal rain") == before.predict("goal rain")
