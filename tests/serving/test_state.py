from __future__ import annotations

from pathlib import Path

import pytest

from lexport.errors import InputError, SystemProblem
from lexport.serving import Server, running, serve, state, status, stop
from lexport.serving.state import default_state_dir, load, locked, make_private, read_token, save


def server(folder: Path) -> Server:
    return Server(
        pid=2**22 + 1,  # beyond any process number
        started=0.0,
        inference_url="http://127.0.0.1:1",
        management_url="http://127.0.0.1:2",
        metrics_url="http://127.0.0.1:3",
        state_dir=folder,
        scratch=folder / "scratch",
        models={"m": "1.0"},
        workers=1,
        threads=2,
        device="cpu",
    )


def test_a_server_is_read_back(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    save(server(tmp_path))
    assert load(tmp_path) == server(tmp_path)
    assert (tmp_path / "server.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', '{"scratch": "x", "unknown": 1}'])
def test_a_damaged_file_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    with pytest.raises(SystemProblem, match="not readable as a server's state"):
        load(tmp_path)


def test_the_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    with pytest.raises(InputError, match="Cannot use"):
        make_private(tmp_path / "thesis.tex")


def test_one_command_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(SystemProblem, match="Another lexport command"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_state_dir() == Path("/state/lexport")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_state_dir() == Path.home() / ".local" / "state" / "lexport"


def test_a_key_file_that_is_none_is_said(tmp_path: Path) -> None:
    for content in (None, "x", "{}", '{"inference": 1}'):
        if content is not None:
            (tmp_path / "k.json").write_text(content)
        with pytest.raises(SystemProblem, match=r"Cannot read the inference token.*--token-file"):
            read_token(tmp_path / "k.json", "inference")


def test_no_server_is_said(tmp_path: Path) -> None:
    for command in (running, status, stop):
        with pytest.raises(SystemProblem, match=r"No server runs \(state folder .*lexport serve"):
            command(tmp_path)
    with pytest.raises(SystemProblem, match="No server runs"):
        stop(tmp_path / "absent")


def test_what_a_crashed_server_left_is_cleared(tmp_path: Path) -> None:
    save(server(tmp_path))
    for folder in ("scratch", "store", "logs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "key_file.json").write_text("{}")
    with pytest.raises(SystemProblem, match=r"ended unexpectedly.*lexport stop"):
        running(tmp_path)
    said: list[str] = []
    stop(tmp_path, say=said.append)
    assert "had ended already" in said[0]
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_serve_checks_its_options_before_it_touches_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with pytest.raises(InputError, match="--workers"):
        serve([tmp_path / "x.mar"], workers="two", state_dir=folder)
    with pytest.raises(InputError, match="no archive"):
        serve([tmp_path / "x.mar"], state_dir=folder)
    assert not folder.exists()
    assert state.load(folder) is None
