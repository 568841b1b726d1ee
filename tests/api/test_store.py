"""A store from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import lexport

from ..refusals import refused
from ..serving.stores.oci.registries import scripted
from ..trust_cases import key_pair


@pytest.fixture
def store(tmp_path: Path) -> lexport.Store:
    return lexport.store(str(tmp_path / "store"), state_dir=tmp_path / "state")


@pytest.mark.long
def test_a_store_is_filled_read_and_emptied(store: lexport.Store, archive_of: Callable[[str], Path]) -> None:
    path = archive_of("onnx-int8")
    [added] = store.add(lexport.load(path))  # type: ignore[arg-type]
    [again] = store.add(str(path))
    assert (added.new, again.new) == (True, False)
    [entry] = store.list()
    assert (entry.name, entry.version, entry.path) == ("topics", "1.0", store.folder / "topics-1.0.mar")
    for wanted in ("topics", "topics:1.0"):
        with store.archive(wanted) as archive, lexport.load(path) as given:
            assert archive.predict("goal rain") == given.predict("goal rain")
    assert store.gc(keep=1).removed == []
    assert [one.version for one in store.remove("topics:1.0")] == ["1.0"]
    assert store.list() == []
    history = store.history("topics")
    assert [(one.action, one.command) for one in history.events] == [
        ("add", "lexport.Store.add"),
        ("remove", "lexport.Store.remove"),
    ]
    assert repr(store) == f"Store({str(store.folder)!r})"


def test_it_refuses_as_the_commands_do(
    store: lexport.Store, archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    with refused(lexport.InputError, "LX-SERVE-150", store.folder):
        store.list()
    store.add(archive_of("onnx-int8"))
    with refused(lexport.RefusedError, "LX-SERVE-151", "topics 1.0"):
        store.add(archive_of("onnx-fp32"))
    _, public = key_pair(tmp_path, "ours", 1)
    with refused(lexport.RefusedError, "LX-TRUST-010"):
        lexport.store(store.folder, keys=[public]).add(archive_of("onnx-int8"))


def test_push_and_pull_ask_the_registry(store: lexport.Store, archive_of: Callable[[str], Path]) -> None:
    store.add(archive_of("onnx-int8"))
    with scripted() as script:
        script.answer("HEAD", f"/v2/a/topics/blobs/sha256:{store.list()[0].digest}", 200)
        with refused(lexport.SystemProblem, "LX-SERVE-167", "404"):
            store.push("topics:1.0", script.named("a/topics:1"))
        with refused(lexport.InputError, "LX-SERVE-168", script.named("a/topics:1")):
            store.pull(script.named("a/topics:1"))
    with refused(lexport.InputError, "LX-SERVE-166", "NOT_SET"), scripted() as script:
        script.answer("GET", "/v2/a/topics/manifests/1", 401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        store.pull(script.named("a/topics:1"), credentials="NOT_SET")
