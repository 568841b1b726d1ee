"""`diff` and `inspect`: what changed between two archives, and what one says of itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError
from lexport.export.archive.diff import compare
from lexport.export.archive.inspect import inspect
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.models.run import open_run
from lexport.training.train import train

from ...refusals import refused

ArchiveOf = Callable[[str], Path]
MEASURED = {"MAR-INF/EVIDENCE.json", "MAR-INF/SBOM.cdx.json"}  # the bill lists the evidence's digest


@pytest.fixture(scope="module")
def other(tiny_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of the same data, but with fewer words and hardly trained."""
    recipe = recipes.load("bag").changed("text", buckets=4096, min_count=150).changed("embedding", dim=16)
    folder = tmp_path_factory.mktemp("other") / "topics"
    run = train(str(tiny_csv), folder, recipe=recipe.changed("training", epochs=1, learning_rate=1e-6), seed=3)
    export(run, choose("onnx-int8"))
    return archive(folder, version="1.1", variant="onnx-int8", out=folder.parent)


def test_an_archive_is_the_same_as_itself(archive_of: ArchiveOf) -> None:
    found = compare(archive_of("onnx-int8"), archive_of("onnx-int8"))
    assert found.same
    assert (found.words_added, found.words_gone, found.flips, found.largest_difference) == ([], [], [], 0.0)
    assert found.asked >= 16


def test_what_changed_is_named(archive_of: ArchiveOf, other: Path) -> None:
    found = compare(archive_of("onnx-int8"), other)
    assert (found.before.version, found.after.version) == ("1.0", "1.1")
    assert found.before.data == found.after.data
    assert found.after.value < found.before.value
    assert found.words_added == []
    assert found.words_gone
    assert found.flips
    assert all(flip.before != flip.after for flip in found.flips)
    assert found.largest_difference >= max(flip.difference for flip in found.flips)
    assert {"model.onnx.data", "vocabulary.txt"} <= found.members.keys()
    assert "handler.py" not in found.members


def test_the_other_way_round_words_are_added(archive_of: ArchiveOf, other: Path) -> None:
    found = compare(other, archive_of("onnx-int8"))
    assert found.words_gone == []
    assert found.words_added == compare(archive_of("onnx-int8"), other).words_gone


def test_a_re_export_differs_in_the_measured_members_alone(
    run_folder: Path, archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    archives = []
    for place in ("here", "elsewhere"):
        folder = tmp_path / place / "topics"
        shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
        export(open_run(folder), choose("onnx-int8"))
        archives.append(archive(folder, version="1.0", out=folder.parent))
    found = compare(*archives)
    assert found.members.keys() == MEASURED
    assert set(found.members.values()) == {"differs"}
    assert (found.flips, found.largest_difference) == ([], 0.0)


def test_two_variants_of_one_run_answer_nearly_alike(archive_of: ArchiveOf) -> None:
    found = compare(archive_of("onnx-fp32"), archive_of("torchscript-int8"))
    assert found.flips == []
    assert 0 < found.largest_difference < 2e-2
    assert found.members["model.onnx"] == "only before"
    assert found.members["model.pt"] == "only after"


def test_vectors_are_compared_by_their_direction(task_archive: ArchiveOf) -> None:
    found = compare(task_archive("vector"), task_archive("vector"))
    assert found.asked >= 16
    assert found.flips == []
    assert found.largest_difference < 1e-6


def test_languages_are_asked_in_their_own(task_archive: ArchiveOf) -> None:
    assert compare(task_archive("languages"), task_archive("languages")).asked >= 16
    mixed = compare(task_archive("languages"), task_archive("multilabel"))
    assert mixed.answers == "their tasks differ, classify and multilabel"
    assert (mixed.asked, mixed.flips) == (0, [])


def test_an_archive_without_digests_is_refused(archive_of: ArchiveOf, tmp_path: Path) -> None:
    path = tmp_path / "foreign.mar"
    with zipfile.ZipFile(path, "w") as mar:
        mar.writestr("MAR-INF/MANIFEST.json", "{}")
    with refused(RefusedError, "LX-ARCHIVE-077", "was not packed by lexport"):
        compare(archive_of("onnx-int8"), path)


def test_inspect_shows_what_was_proven(archive_of: ArchiveOf, run_folder: Path) -> None:
    found = inspect(archive_of("onnx-int8"))
    assert (found.name, found.version, found.variant) == ("topics", "1.0", "onnx-int8")
    assert found.evidence["run"]["recipe"] == "bag"
    assert (
        found.members["model.onnx.data"] == (run_folder / "export" / "onnx-int8" / "model.onnx.data").stat().st_size
    )
    assert set(found.needs) == {"mmh3", "numpy", "onnxruntime", "regex"}
    assert found.goldens == (run_folder / "export" / "onnx-int8" / "golden.jsonl").read_text("utf-8").count("\n")
    assert found.card == (run_folder / "README.md").read_text("utf-8")


def test_inspect_shows_nothing_of_an_archive_that_does_not_hold(archive_of: ArchiveOf, tmp_path: Path) -> None:
    content = archive_of("onnx-int8").read_bytes()
    bad = tmp_path / "bad.mar"
    bad.write_bytes(
        content.replace(b'"accuracy": 1', b'"accuracy": 2', 1).replace(b"A text class", b"A best class", 1)
    )
    with pytest.raises((InputError, RefusedError)):
        inspect(bad)


def test_the_commands_print_screens_and_json(archive_of: ArchiveOf, other: Path) -> None:
    def lexport(*words: str) -> str:
        command = [sys.executable, "-m", "lexport", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    one = str(archive_of("onnx-int8"))
    screen = lexport("inspect", one)
    for shown in ("topics 1.0, variant onnx-int8", "trained model", "model.onnx.data", "A text classifier"):
        assert shown in screen
    assert json.loads(lexport("inspect", one, "--json"))["variant"] == "onnx-int8"
    screen = lexport("diff", one, str(other))
    for shown in ("test accuracy", "golden requests are answered differently", "vocabulary.txt", "gone"):
        assert shown in screen
    assert json.loads(lexport("diff", one, str(other), "--json"))["members"]["vocabulary.txt"] == "differs"
