"""State folders: the user's own, marked, and cleared of nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lexport.client import Client
from lexport.errors import InputError, LexportError, SystemProblem
from lexport.serving import running, state, status, stop
from lexport.serving.folders import (
    LONGEST,
    MARKER,
    clean,
    default_state_dir,
    fresh_run,
    is_ours,
    locate,
    locked,
    make_private,
)

from ..refusals import refused
from .test_state import server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    make_private(made)
    return made


def test_the_folder_is_private_and_marked(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / MARKER).stat().st_mode & 0o777 == 0o600
    assert is_ours(folder)
    folder.chmod(0o755)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_an_empty_folder_becomes_a_state_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    make_private(tmp_path)
    assert is_ours(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.tex").write_text("")
    with refused(InputError, "LX-SERVE-009", "thesis.tex"):
        make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    with refused(InputError, "LX-SERVE-012"):
        make_private(tmp_path / "thesis.tex")


def test_a_path_too_long_for_sockets_is_said(tmp_path: Path) -> None:
    short = tmp_path / ("x" * (LONGEST - len(str(tmp_path)) - 1))
    make_private(short)
    with refused(InputError, "LX-SERVE-007", LONGEST + 1, LONGEST, "--state-dir"):
        make_private(Path(f"{short}x"))


def test_links_lead_to_the_folder_itself(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert locate(tmp_path / "link") == folder
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with refused(InputError, "LX-SERVE-002", "--state-dir"):
        locate(tmp_path / "loop")


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_state_dir() == Path("/state/lexport")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_state_dir() == Path.home() / ".local" / "state" / "lexport"


def test_one_command_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), refused(SystemProblem, "LX-SERVE-013"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def refused_by_every_command(folder: Path, code: str, code_of_start: str, *values: str) -> None:
    """`stop`, `status` and the rest refuse this folder, and nothing in it changes."""
    before = sorted(str(path) for path in folder.rglob("*"))
    for command in (running, status, stop, state.load):
        with refused(SystemProblem, code, *values):
            command(folder)
    with pytest.raises(LexportError):
        clean(folder)
    with refused(InputError, code_of_start, *values, "--state-dir"):
        make_private(folder)
    assert sorted(str(path) for path in folder.rglob("*")) == before


def test_an_earlier_versions_folder_is_said(tmp_path: Path) -> None:
    facts = {"pid": 1, "scratch": str(tmp_path / "precious"), "models": {}}
    (tmp_path / "server.json").write_text(json.dumps(facts))
    (tmp_path / "precious").mkdir()
    (tmp_path / "store").mkdir()
    for command in (running, status, stop, state.load):
        with refused(SystemProblem, "LX-SERVE-004"):
            command(tmp_path)
    assert (tmp_path / "precious").is_dir()
    assert (tmp_path / "store").is_dir()
    (tmp_path / "precious").rmdir()
    with refused(InputError, "LX-SERVE-011"):
        make_private(tmp_path)


def test_a_folder_that_others_can_write_is_refused(folder: Path) -> None:
    state.save(server(folder))
    folder.chmod(0o770)
    refused_by_every_command(folder, "LX-SERVE-006", "LX-SERVE-010", str(folder), "0770")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_another_users_folder_is_refused(folder: Path) -> None:
    state.save(server(folder))
    os.chown(folder, 12345, -1)
    refused_by_every_command(folder, "LX-SERVE-003", "LX-SERVE-008", str(folder), "12345")


@pytest.mark.skipif(os.geteuid() == 0, reason="every folder is root's to change")
def test_the_systems_folder_is_refused() -> None:
    refused_by_every_command(Path("/usr"), "LX-SERVE-003", "LX-SERVE-008", "/usr", "uid 0")


def test_a_marker_that_is_a_link_marks_nothing(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text("{}")
    (tmp_path / MARKER).symlink_to("server.json")
    refused_by_every_command(tmp_path, "LX-SERVE-004", "LX-SERVE-011", str(tmp_path), ".lexport-state")


def test_links_are_removed_and_not_followed(tmp_path: Path, folder: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "deep").mkdir(parents=True)
    (precious / "deep" / "file").write_text("")
    (folder / "run").mkdir()
    (folder / "run" / "models").symlink_to(precious)
    (folder / "store").symlink_to(precious)
    (folder / "key_file.json").symlink_to(precious / "deep" / "file")
    state.save(server(folder))
    clean(folder)
    assert sorted(path.name for path in folder.iterdir()) == [MARKER]
    assert (precious / "deep" / "file").exists()


def test_nothing_is_removed_from_a_folder_without_a_marker(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    clean(tmp_path)
    assert (tmp_path / "store").is_dir()


def test_the_temporary_folder_is_empty_at_each_start(folder: Path) -> None:
    fresh_run(folder)
    (folder / "run" / "models").mkdir()
    fresh_run(folder)
    assert [path.name for path in (folder / "run").iterdir()] == ["reports"]
    assert (folder / "run").stat().st_mode & 0o777 == 0o700


def test_without_a_home_folder_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As for a user of a container who has no entry in the list of users."""

    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", none)
    for command in (running, status, stop):
        with refused(InputError, "LX-SERVE-001", "--state-dir", "XDG_STATE_HOME"):
            command(None)
    with refused(SystemProblem, "LX-SERVE-056"):
        running(tmp_path)
    with Client("127.0.0.1:8080") as client:  # a server whose address is known needs no folder
        assert client.url == "http://127.0.0.1:8080"
