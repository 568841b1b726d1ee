"""An archive that lies unpacked in a folder is read like the file; what else torch-model-archiver makes is named."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError
from lexport.export.archive.archiver_inputs import write_archiver_inputs
from lexport.export.archive.diff import compare
from lexport.export.archive.format.reader import open_archive
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.inspect import inspect
from lexport.export.archive.trust.code import accept
from lexport.export.archive.trust.rule import Trust
from lexport.export.archive.verify import verify
from lexport.export.targets import open_target
from lexport.serving.store import newest, place, read

from ....refusals import refused

ArchiveOf = Callable[[str], Path]
VARIANT = "onnx-int8"


@pytest.fixture
def folder(archive_of: ArchiveOf, tmp_path: Path) -> Path:
    """An archive of lexport's, unzipped."""
    shutil.unpack_archive(archive_of(VARIANT), tmp_path / "topics", "zip")
    return tmp_path / "topics"


@pytest.fixture(scope="module")
def made(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What torch-model-archiver makes of a run with one --archive-format."""
    place = tmp_path_factory.mktemp("stock")
    command = shlex.join(write_archiver_inputs(run_folder, version="1.0", variant=VARIANT, out=place / "parts"))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def make(form: str) -> Path:
        store = place / form
        stage = place / f"{form}-stage"
        store.mkdir()
        stage.mkdir()
        line = f"{command} --archive-format {form} --export-path {store}"
        subprocess.run(line, shell=True, env=environment | {"TMPDIR": str(stage)}, check=True, timeout=60)
        [found] = store.iterdir()
        return found

    return make


def test_a_folder_is_read_as_the_very_file_that_was_unpacked(folder: Path, archive_of: ArchiveOf) -> None:
    file = archive_of(VARIANT)
    assert verify(folder).digest == verify(file).digest
    assert inspect(folder).members == inspect(file).members
    assert compare(file, folder).members == {}
    with (
        open_target(folder, None) as model,
        refused(InputError, "LX-EXPORT-008"),
    ):
        model.held_out("test")
    with load_archive(folder) as ours, load_archive(file) as theirs:
        assert ours.predict(["the goal of the match"]) == theirs.predict(["the goal of the match"])


def test_a_folder_is_served_from_an_archive_rewritten(folder: Path, archive_of: ArchiveOf, tmp_path: Path) -> None:
    assert place([read(folder)], tmp_path / "store", lambda copy: accept(copy, Trust()), lambda line: None) == [
        "topics-1.0.mar"
    ]
    assert (tmp_path / "store" / "topics-1.0.mar").read_bytes() == archive_of(VARIANT).read_bytes()
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["topics-1.0.mar"]


def test_folders_count_in_a_store(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert newest(tmp_path) == {"topics": folder}


def test_what_torch_model_archiver_makes_without_an_archive_is_read(made: Callable[[str], Path]) -> None:
    folder = made("no-archive")
    assert folder.is_dir()
    found = verify(folder)
    assert (found.path, found.name, found.version, found.variant) == (folder, "topics", "1.0", VARIANT)


def test_a_tar_is_named_and_read_once_it_is_unpacked(made: Callable[[str], Path], tmp_path: Path) -> None:
    tar = made("tgz")
    with refused(InputError, "LX-ARCHIVE-071", "topics.tar.gz", "--archive-format"):
        verify(tar)
    shutil.unpack_archive(tar, tmp_path, filter="data")
    assert verify(tmp_path / "topics").name == "topics"


def test_a_file_that_differs_is_noticed(folder: Path) -> None:
    with (folder / "labels.json").open("a") as labels:
        labels.write(" ")
    with refused(RefusedError, "LX-ARCHIVE-038", "labels.json was altered"):
        verify(folder)


def test_what_python_has_compiled_there_is_left_out(folder: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "handler.cpython-311.pyc").write_bytes(b"compiled")
    assert verify(folder).name == "topics"
    with open_archive(folder) as archive:
        assert not [name for name in archive.namelist() if "pycache" in name]


@pytest.mark.parametrize("kind", ["file", "folder", "pipe"])
def test_links_and_pipes_are_refused_by_name(folder: Path, tmp_path: Path, kind: str) -> None:
    odd = folder / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("/etc/hostname" if kind == "file" else tmp_path)
    with refused(InputError, "LX-ARCHIVE-081", odd):
        verify(folder)


def test_any_other_folder_is_named_as_what_it_is(tmp_path: Path) -> None:
    with refused(InputError, "LX-ARCHIVE-078", "MAR-INF/MANIFEST.json", "--archive-format"):
        verify(tmp_path)
