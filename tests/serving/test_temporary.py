"""Temporary folders of processes that were killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lexport.serving import folders, state
from lexport.serving.process import end
from lexport.serving.temporary import STATE, sweep, temporary_folder

from .test_state import server
from .torchserve.test_supervisor import started

# `lexport` may be the checkout this test runs in; a child process finds it the same way.
KILLED = """
import os, sys
from lexport.serving.temporary import temporary_folder
with temporary_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lt-", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder).resolve()


def swept(parent: Path) -> list[Path]:
    """What is removed from one folder; sweeping looks into /tmp as well, where others may have left something."""
    return [folder for folder in sweep() if folder.parent == parent]


def left_behind() -> Path:
    """The temporary folder of a process that was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        folder = Path(child.stdout.readline().strip())
        assert swept(folder.parent) == []  # it lives
        assert folder.is_dir()
        child.kill()
    return folder


def test_a_folder_is_removed_at_the_end(private: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == private
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("")
        folders.make_private(folder / STATE)
        assert swept(private) == []
    assert list(private.iterdir()) == []


def test_a_folder_is_made_in_tmp_where_the_path_is_too_long(monkeypatch: pytest.MonkeyPatch, private: Path) -> None:
    deep = private / ("d" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with temporary_folder() as folder:
        assert folder.parent == Path("/tmp").resolve()
    assert not folder.exists()


def test_what_a_killed_process_left_is_swept(private: Path) -> None:
    folder = left_behind()
    (folder / "texts.txt").write_text("")
    state_dir = folder / STATE
    folders.make_private(state_dir)
    state.save(server(state_dir))
    assert swept(private) == [folder]
    assert list(private.iterdir()) == []


def test_a_server_that_is_still_being_ended_keeps_its_folder(private: Path) -> None:
    folder = left_behind()
    started(folder / STATE)
    assert swept(private) == []
    end(server(folder).id, patience=0.0)
    assert swept(private) == [folder]


def test_what_is_not_marked_is_left_alone(private: Path) -> None:
    (private / "lexport-mine").mkdir()
    (private / "lexport-mine" / "thesis.tex").write_text("")
    (private / "lexport-file").write_text("")
    open_to_all = left_behind()
    open_to_all.chmod(0o777)
    folder = left_behind()
    (private / "lexport-link").symlink_to(folder)
    assert swept(private) == [folder]
    names = sorted(path.name for path in private.iterdir())
    assert names == sorted(["lexport-mine", "lexport-file", "lexport-link", open_to_all.name])
