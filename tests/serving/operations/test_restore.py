"""What was served is served again after a stop, and the store's history has what was done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.serving import record as records
from lexport.serving import running, serve, status, stop
from lexport.serving.operations import deploy, has_record, promote, rollback, scale, serve_again, undeploy
from lexport.serving.stores.history import read_history

from ...refusals import refused
from .conftest import answered_by

Pack = Callable[[str], Path]


@pytest.fixture
def store(version_of: Pack, tmp_path: Path) -> Path:
    """A model store with three versions."""
    folder = tmp_path / "store"
    folder.mkdir()
    for version in ("1.0", "2.0", "3.0"):
        shutil.copy(version_of(version), folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A state folder, whose server is stopped in the end."""
    yield tmp_path / "s"
    if (tmp_path / "s" / "server.json").exists():
        stop(tmp_path / "s")


@pytest.mark.parametrize("engine", ["embedded", pytest.param("torchserve", marks=pytest.mark.long)])
def test_versions_workers_and_defaults_are_those_of_before(folder: Path, store: Path, engine: str) -> None:
    serve([store / "topics-1.0.mar"], engine=engine, workers="cpu:1", port=0, state_dir=folder)
    deploy("topics:2.0", store=store, promoted=True, state_dir=folder)
    scale("topics", 2, version="2.0", state_dir=folder)
    before = records.load(folder)
    stop(folder)
    said: list[str] = []
    assert serve_again(state_dir=folder, workers="cpu:1", port=0, say=said.append).engine == engine
    assert "topics 1.0, topics 2.0" in said[0]
    assert before is not None
    now = records.load(folder)
    assert now is not None
    assert sorted(now.versions, key=str) == sorted(before.versions, key=str)
    assert now.before == before.before == {"topics": ["1.0"]}
    assert {one["version"]: one["default"] for one in status(folder)["models"]} == {"1.0": False, "2.0": True}
    assert answered_by(folder) == "2.0"
    assert rollback("topics", state_dir=folder).version == "1.0"


def test_an_archive_that_is_gone_or_another_one_is_named_and_nothing_is_started(folder: Path, store: Path) -> None:
    file = store / "topics-1.0.mar"
    serve([file], engine="embedded", workers="cpu:1", port=0, state_dir=folder)
    stop(folder)
    shutil.copy(store / "topics-2.0.mar", file)
    with refused(InputError, "LX-SERVE-187", "topics 1.0", str(file), "lexport serve NAME-VERSION.mar"):
        serve_again(state_dir=folder, port=0)
    file.unlink()
    with refused(InputError, "LX-SERVE-186", "topics 1.0", str(file)):
        serve_again(state_dir=folder, port=0)
    assert not (folder / "server.json").exists()
    assert has_record(folder)


def test_without_a_record_there_is_nothing_to_serve_again(folder: Path) -> None:
    assert not has_record(folder)
    with refused(InputError, "LX-SERVE-185", str(folder)):
        serve_again(state_dir=folder)


def test_the_history_of_the_store_says_what_was_done(folder: Path, store: Path) -> None:
    serve(model_store=store, engine="embedded", workers="cpu:1", port=0, state_dir=folder)
    deploy("topics:1.0", store=store, state_dir=folder)
    promote("topics", "1.0", state_dir=folder)
    rollback("topics", state_dir=folder)
    undeploy("topics", "1.0", state_dir=folder)
    assert [(one.action, one.version, one.before) for one in read_history(store).events] == [
        ("deploy", "1.0", ""),
        ("promote", "1.0", "3.0"),
        ("rollback", "3.0", "1.0"),
        ("undeploy", "1.0", ""),
    ]
    assert running(folder).models == {"topics": "3.0"}


def test_an_archive_beside_a_store_leaves_no_history_there(folder: Path, store: Path) -> None:
    serve([store / "topics-1.0.mar"], engine="embedded", workers="cpu:1", port=0, state_dir=folder)
    deploy(store / "topics-2.0.mar", store=store / "other", state_dir=folder)
    assert sorted(path.name for path in store.iterdir()) == ["topics-1.0.mar", "topics-2.0.mar", "topics-3.0.mar"]
