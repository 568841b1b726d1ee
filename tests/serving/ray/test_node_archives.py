"""The archives of a node: brought, verified and extracted once for all of its replicas."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lexport.errors import LexportError, RefusedError, SystemProblem
from lexport.export.archive.trust.keys import PublicKey
from lexport.serving.ray.replica.node_archives import CACHE, UNUSED, NodeArchives, cache_folder

from ...refusals import refused


class Cluster:
    """A cluster that has some archives."""

    def __init__(self, *paths: Path) -> None:
        self.held = {hashlib.sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in paths}
        self.asked = 0

    def fetch(self, digest: str) -> Iterable[bytes] | None:
        self.asked += 1
        content = self.held.get(digest)
        return None if content is None else [content[:100], content[100:]]


@pytest.fixture
def cluster(archive_of: Callable[[str], Path]) -> Cluster:
    return Cluster(archive_of("onnx-int8"))


def test_replicas_that_open_an_archive_at_once_share_one_copy(cluster: Cluster, tmp_path: Path) -> None:
    [digest] = cluster.held
    opened = []
    several = [NodeArchives(tmp_path, cluster.fetch) for _ in range(4)]
    threads = [threading.Thread(target=lambda own=own: opened.append(own.open(digest))) for own in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cluster.asked == 1
    assert len(opened) == 4
    assert {(one.folder / "model.json").stat().st_ino for one in opened} == {
        (tmp_path / digest / "members" / "model.json").stat().st_ino
    }
    for one in opened:
        one.close()


def test_what_was_altered_on_its_way_is_refused_and_not_kept(cluster: Cluster, tmp_path: Path) -> None:
    [digest] = cluster.held
    cluster.held[digest] += b"more"
    with refused(RefusedError, "LX-RAY-114"):
        NodeArchives(tmp_path, cluster.fetch).open(digest)
    assert not list((tmp_path / digest).iterdir())


def test_what_fails_verification_is_refused_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "bad.mar").write_bytes(b"no archive at all")
    cluster = Cluster(tmp_path / "bad.mar")
    [digest] = cluster.held
    own = NodeArchives(tmp_path, cluster.fetch)
    with pytest.raises(LexportError) as unread:
        own.open(digest)
    assert "archive.mar" in unread.value.message
    assert own.content(digest) is None


def test_an_archive_that_was_verified_is_verified_again_for_other_keys(cluster: Cluster, tmp_path: Path) -> None:
    [digest] = cluster.held
    own = NodeArchives(tmp_path, cluster.fetch)
    own.open(digest).close()
    with pytest.raises(RefusedError) as unsigned:
        own.open(digest, (PublicKey(b"k" * 32, "release"),))
    assert unsigned.value.code.startswith("LX-TRUST")


def test_an_archive_that_the_cluster_lost_is_named(cluster: Cluster, tmp_path: Path) -> None:
    with refused(SystemProblem, "LX-RAY-113", "000000"):
        NodeArchives(tmp_path, cluster.fetch).open("0" * 64)


def test_a_node_gives_back_what_it_has(cluster: Cluster, tmp_path: Path) -> None:
    [(digest, content)] = cluster.held.items()
    own = NodeArchives(tmp_path, cluster.fetch)
    assert own.content(digest) is None
    own.open(digest).close()
    assert own.content(digest) == content
    (tmp_path / digest / "archive.mar").write_bytes(b"altered")
    assert own.content(digest) is None


def test_only_what_nobody_has_open_and_had_for_an_hour_is_removed(cluster: Cluster, tmp_path: Path) -> None:
    [digest] = cluster.held
    own = NodeArchives(tmp_path, cluster.fetch)
    kept = own.open(digest)
    old = (tmp_path / digest).stat().st_mtime - UNUSED - 1
    os.utime(tmp_path / digest, (old, old))
    own.sweep()
    assert (tmp_path / digest).is_dir()
    kept.close()
    own.sweep()
    assert not (tmp_path / digest).exists()


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv(CACHE, str(folder))
    with pytest.raises(SystemProblem) as refused:
        cache_folder()
    assert refused.value.code == "LX-RAY-111"
    monkeypatch.setenv(CACHE, str(tmp_path / "own"))
    assert cache_folder().stat().st_mode & 0o777 == 0o700
