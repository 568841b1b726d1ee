"""The real TorchServe runs what was verified, whatever becomes of the file, and no more workers than were planned."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lexport.client.once import predict
from lexport.errors import InputError, RefusedError
from lexport.export.archive.pack import archive
from lexport.export.archive.trust.keys import read_public
from lexport.serving import serve, start, status, stop
from lexport.serving.store import Archive, choose, place
from lexport.serving.torchserve import engine

from ...refusals import refused
from ...trust_cases import key_pair, members_of, repacked, write_members

pytestmark = pytest.mark.usefixtures("java")

WRITES = """
with open({path!r}, "a") as file:
    file.write("ran")
"""


def test_a_signed_archive_overwritten_between_choosing_and_starting_runs_nothing_else(
    run_folder: Path, tmp_path: Path, traces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = key_pair(tmp_path, "ours", 1)
    trusted = [read_public(public)]
    path = archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path, sign=private)
    signed = path.read_bytes()
    handler = WRITES.format(path=str(tmp_path / "ran")).encode() + members_of(path)["handler.py"]
    evil = repacked(path, {"handler.py": handler}, tmp_path / "evil.mar").read_bytes()

    def chosen(*given: Any) -> list[Archive]:
        found = choose(*given)
        path.write_bytes(evil)
        return found

    monkeypatch.setattr(start, "choose", chosen)
    with refused(RefusedError, "LX-TRUST-010", "topics-1.0.mar"):
        serve([path], workers="cpu:1", state_dir=tmp_path / "state", port=0, trusted=trusted)
    assert traces.processes() == []

    path.write_bytes(signed)
    monkeypatch.setattr(start, "choose", choose)
    said: list[str] = []

    def placed(archives: Sequence[Archive], *given: Any) -> list[str]:
        names = place(archives, *given)
        with path.open("r+b") as handle:  # the very file: TorchServe has not opened its own yet
            handle.write(evil)
            handle.truncate()
        return names

    monkeypatch.setattr(engine, "place", placed)
    server = serve([path], workers="cpu:1", state_dir=tmp_path / "state", port=0, trusted=trusted, say=said.append)
    try:
        assert said[0].startswith("topics 1.0: its code may run: signed by ours.pub (SHA256:")
        assert predict("topics", ["the goal"], state_dir=server.state_dir)[0]["label"] == "sport"
    finally:
        stop(server.state_dir)
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
def test_own_code_of_an_archiver_that_writes_other_zips_is_served_and_fewer_workers_are_obeyed(
    archive_of: Callable[[str], Path], make_archive: Callable[..., Path], tmp_path: Path, traces: Any
) -> None:
    """TorchServe takes a minWorkers of 0 as 1, and the archive's number whatever it is told."""
    few = make_archive(tmp_path, "few", config="minWorkers: 0\nmaxWorkers: 2\n")
    said: list[str] = []
    own = write_members(tmp_path / "topics-1.0.mar", members_of(archive_of("onnx-int8")))
    server = serve(
        [few, own], workers="cpu:2", state_dir=tmp_path / "state", port=0, trust_code=True, say=said.append
    )
    try:
        assert said[:2] == [
            "few 1.0: its code may run: --trust-code.",
            "topics 1.0: its code may run: this lexport's own code.",
        ]
        workers = {model["name"]: len(model["workers"]) for model in status(server.state_dir)["models"]}
        assert workers == {"few": 1, "topics": 2}
        assert server.workers == 3
    finally:
        stop(server.state_dir)
    assert traces.processes() == []


def test_more_workers_than_planned_are_refused_before_anything_starts(
    make_archive: Callable[..., Path], tmp_path: Path, traces: Any
) -> None:
    greedy = make_archive(tmp_path, "greedy", config="minWorkers: 100000\nmaxWorkers: 100000\n")
    with refused(InputError, "LX-SERVE-015", "100000", "1", "cpu:1"):
        serve([greedy], workers="cpu:1", state_dir=tmp_path / "state", port=0, trust_code=True)
    assert traces.processes() == []
    assert not (tmp_path / "state").exists()


def test_the_model_api_is_refused_before_anything_starts(
    archive_of: Callable[[str], Path], tmp_path: Path, traces: Any
) -> None:
    own = tmp_path / "own.properties"
    own.write_text("enable_model_api=true\n")
    path = Path(shutil.copy(archive_of("onnx-int8"), tmp_path))
    with refused(RefusedError, "LX-SERVE-063", "enable_model_api=true"):
        serve([path], state_dir=tmp_path / "state", port=0, config=own)
    assert not (tmp_path / "state").exists()
