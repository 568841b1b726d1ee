from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import InputError, SystemProblem
from lexport.serving import Server, running, serve, status, stop
from lexport.serving.folders import make_private
from lexport.serving.state import load, read_token, save

from ..refusals import refused


def server(folder: Path) -> Server:
    return Server(
        id="0123456789abcdef" * 2,
        supervisor=2**31 - 1,  # beyond any process number
        pid=2**31 - 2,
        started=0.0,
        inference_url="http://127.0.0.1:1",
        management_url="http://127.0.0.1:2",
        metrics_url="http://127.0.0.1:3",
        state_dir=folder,
        models={"m": "1.0"},
        workers=1,
        threads=2,
        device="cpu",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    make_private(made)
    return made


def test_a_server_is_read_back(folder: Path) -> None:
    assert load(folder) is None
    save(server(folder))
    assert load(folder) == server(folder)
    assert (folder / "server.json").stat().st_mode & 0o777 == 0o600


HOSTILE: list[str] = [
    *("", "[]", "{}", '{"pid": 1}', "null", "1", '"text"', "\0", "NaN"),
    "[" * 100_000,
    '{"a":' * 20_000,
    "9" * 10_000,
    " " * 1_000_000,
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_a_damaged_file_is_said(folder: Path, content: str) -> None:
    (folder / "server.json").write_text(content)
    for command in (load, running, status, stop):
        with refused(SystemProblem, "LX-SERVE-021", "server's"):
            command(folder)


IMPOSSIBLE: dict[str, list[Any]] = {
    "id": ["", "x" * 32, "0" * 31, 5, ["0"] * 32],
    "supervisor": [-1, 2**31, True, "1", 1.5, None],
    "pid": [-1, {}, 10**300],
    "started": [float("nan"), float("inf"), "0", -1.0],
    "inference_url": ["file:///etc/passwd", "http://a b", "http://x\n", "", []],
    "models": [[], {"m": 1}, {"\x1b[2J": "1.0"}, {"m": "1.0\n"}],
    "device": ["tpu", None],
    "last_reason": ["\x1b[2J", 3],
    "authorized": ["no"],
    "scratch": ["/home"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in IMPOSSIBLE.items() for value in values]
)
def test_a_value_that_no_server_has_is_said(folder: Path, name: str, value: Any) -> None:
    facts = asdict(server(folder)) | {"state_dir": str(folder), name: value}
    (folder / "server.json").write_text(json.dumps(facts))
    with refused(SystemProblem, "LX-SERVE-021", "server's", "ValueError"):
        load(folder)


def test_a_file_that_is_none_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "server.json")
    with refused(SystemProblem, "LX-SERVE-021", "server's"):
        load(folder)
    (folder / "server.json").unlink()
    (folder / "server.json").symlink_to(tmp_path / "elsewhere.json")
    with refused(SystemProblem, "LX-SERVE-021", "server's"):
        load(folder)


def test_a_key_file_that_is_none_is_said(tmp_path: Path) -> None:
    for content in (None, "x", "{}", '{"inference": 1}', "[" * 100_000):
        if content is not None:
            (tmp_path / "k.json").write_text(content)
        with refused(SystemProblem, "LX-SERVE-020", "--token-file"):
            read_token(tmp_path / "k.json", "inference")


def test_no_server_is_said(tmp_path: Path) -> None:
    for command in (running, status, stop):
        with refused(SystemProblem, "LX-SERVE-056"):
            command(tmp_path)
    with refused(SystemProblem, "LX-SERVE-056"):
        stop(tmp_path / "absent")


def test_what_a_crashed_server_left_is_cleared(folder: Path) -> None:
    save(server(folder))
    for name in ("run", "store", "logs"):
        (folder / name).mkdir()
    (folder / "key_file.json").write_text("{}")
    with refused(SystemProblem, "LX-SERVE-054"):
        running(folder)
    said: list[str] = []
    stop(folder, say=said.append)
    assert "had ended already" in said[0]
    assert sorted(path.name for path in folder.iterdir()) == [".lexport-state", "logs"]


def test_serve_checks_its_options_before_it_touches_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with refused(InputError, "LX-SERVE-014", "--workers"):
        serve([tmp_path / "x.mar"], workers="two", state_dir=folder)
    with refused(InputError, "LX-ARCHIVE-069"):
        serve([tmp_path / "x.mar"], state_dir=folder)
    assert not folder.exists()
    assert load(folder) is None
