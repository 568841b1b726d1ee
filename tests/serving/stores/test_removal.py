from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError
from lexport.serving import Server
from lexport.serving.stores.history import FILE, read_history, record
from lexport.serving.stores.removal import Collected, gc, remove
from lexport.storage.atomic import sha256_file

from ...refusals import refused
from ..conftest import MakeArchive
from .conftest import Fill, Pack, names


def test_what_is_named_is_removed_and_in_the_history(store: Fill, pack: Pack, nothing_served: Path) -> None:
    folder = store("1.0", "1.1", "1.2")
    said: list[str] = []
    removed = remove(["topics:1.0", "topics:1.2"], store=folder, state_dir=nothing_served, say=said.append)
    assert names(folder) == ["topics-1.1.mar"]
    assert [one.version for one in removed] == ["1.0", "1.2"]
    assert [one.size for one in removed] == [pack("1.0").stat().st_size, pack("1.2").stat().st_size]
    assert said[0] == f"{folder}/topics-1.0.mar: topics 1.0, {removed[0].size:,} bytes"
    last = read_history(folder).events[-2:]
    assert [(one.action, one.version, one.command) for one in last] == [
        ("remove", "1.0", "lexport store remove"),
        ("remove", "1.2", "lexport store remove"),
    ]
    assert last[0].digest == sha256_file(pack("1.0"))


def test_nothing_is_removed_if_one_is_not_there(store: Fill, nothing_served: Path) -> None:
    folder = store("1.0", "1.1")
    with refused(InputError, "LX-SERVE-154", folder, "topics:3.0", "topics:1.0, topics:1.1"):
        remove(["topics:1.0", "topics:3.0"], store=folder, state_dir=nothing_served)
    assert names(folder) == ["topics-1.0.mar", "topics-1.1.mar"]


@pytest.mark.parametrize("wanted", ["topics", "topics:", ":1.0", "../topics:1.0", "topics:1.0/..", "topics-1.0.mar"])
def test_only_versions_can_be_named(store: Fill, nothing_served: Path, wanted: str) -> None:
    with refused(InputError, "LX-SERVE-155", repr(wanted), "NAME:VERSION"):
        remove([wanted], store=store("1.0"), state_dir=nothing_served)


def test_what_is_served_is_removed_by_force_alone(store: Fill, server: Server) -> None:
    folder = store("1.0", "1.1", "1.2")
    for version in ("1.0", "1.1"):  # the default, and another one
        command = f"lexport store remove topics:{version} --force --store {folder}"
        with refused(RefusedError, "LX-SERVE-153", f"topics {version}", command):
            remove(["topics:1.2", f"topics:{version}"], store=folder, state_dir=server.state_dir)
    assert names(folder) == ["topics-1.0.mar", "topics-1.1.mar", "topics-1.2.mar"]
    remove(["topics:1.0"], store=folder, state_dir=server.state_dir, force=True)
    assert names(folder) == ["topics-1.1.mar", "topics-1.2.mar"]


def test_a_damaged_archive_is_removed_by_the_name_of_its_file(store: Fill, nothing_served: Path) -> None:
    folder = store("1.0")
    (folder / "topics-1.1.mar").write_bytes(b"half of it")
    remove(["topics:1.1"], store=folder, state_dir=nothing_served)
    assert names(folder) == ["topics-1.0.mar"]
    assert read_history(folder).events[-1].version == "1.1"


def test_each_file_of_a_version_is_removed(store: Fill, pack: Pack, nothing_served: Path) -> None:
    folder = store("1.0")
    shutil.copy(pack("1.0", profile="latency"), folder / "other.mar")
    removed = remove(["topics:1.0", "topics:1.0"], store=folder, state_dir=nothing_served)
    assert names(folder) == []
    assert sorted(one.path.name for one in removed) == ["other.mar", "topics-1.0.mar"]


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path, pack: Pack, nothing_served: Path) -> None:
    mine = Path(shutil.copy(pack("1.0"), tmp_path / "mine.mar"))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "topics-1.0.mar").symlink_to(mine)
    remove(["topics:1.0"], store=tmp_path / "store", state_dir=nothing_served)
    assert names(tmp_path / "store") == []
    assert mine.is_file()


def test_a_folder_is_not_removed(tmp_path: Path, pack: Pack, nothing_served: Path) -> None:
    with zipfile.ZipFile(pack("1.0")) as archive:
        archive.extractall(tmp_path / "store" / "topics")
    with refused(InputError, "LX-SERVE-164", tmp_path / "store" / "topics", "topics 1.0"):
        remove(["topics:1.0"], store=tmp_path / "store", state_dir=nothing_served)
    assert collected(tmp_path / "store", nothing_served, keep=1).removed == []
    assert names(tmp_path / "store") == ["topics"]


def collected(store: Path, state_dir: Path, keep: int = 2, *, dry_run: bool = False) -> Collected:
    return gc(store=store, keep=keep, dry_run=dry_run, state_dir=state_dir)


def test_the_newest_of_each_name_are_kept(store: Fill, make_archive: MakeArchive, nothing_served: Path) -> None:
    folder = store("1.9", "1.10", "1.2", "1.11rc1")
    for version in ("1", "2", "3"):
        make_archive(folder, "theirs", version, made_by_lexport=False)
    size = sum((folder / f"topics-{version}.mar").stat().st_size for version in ("1.2", "1.9"))
    size += (folder / "theirs-1.mar").stat().st_size
    before = names(folder)
    would = collected(folder, nothing_served, dry_run=True)
    assert names(folder) == before
    assert str(would) == f"Would free {size:,} bytes; archives: 3, half-written files: 0."
    done = collected(folder, nothing_served)
    assert names(folder) == ["theirs-2.mar", "theirs-3.mar", "topics-1.10.mar", "topics-1.11rc1.mar"]
    assert done.removed == would.removed
    assert (done.freed, done.kept) == (size, {})
    assert [(one.action, one.command) for one in read_history(folder).events[-3:]] == [("gc", "lexport store gc")] * 3
    assert collected(folder, nothing_served).removed == []


def test_versions_that_are_the_same_are_kept_or_removed_together(
    tmp_path: Path, make_archive: MakeArchive, nothing_served: Path
) -> None:
    for version in ("1.0", "v1.0", "2.0"):
        make_archive(tmp_path, "a", version, made_by_lexport=False)
    assert collected(tmp_path, nothing_served, keep=2).removed == []
    assert sorted(one.version for one in collected(tmp_path, nothing_served, keep=1).removed) == ["1.0", "v1.0"]


def test_what_is_served_is_kept(store: Fill, server: Server) -> None:
    folder = store("0.9", "1.0", "1.1", "1.2")
    done = collected(folder, server.state_dir, keep=1)
    assert names(folder) == ["topics-1.0.mar", "topics-1.1.mar", "topics-1.2.mar"]
    assert done.kept == {
        str(folder / f"topics-{version}.mar"): "the running server serves it" for version in ("1.1", "1.0")
    }


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["deploy 1.0", "deploy 1.3"], ["1.0", "1.3"]),
        (["deploy 1.0", "deploy 1.1", "deploy 1.3"], ["1.1", "1.3"]),
        (["deploy 1.1 1.0"], ["1.0", "1.1", "1.3"]),
        (["promote 1.2 1.1", "rollback 1.1 1.2"], ["1.1", "1.2", "1.3"]),
    ],
    ids=", ".join,
)
def test_what_a_rollback_may_need_is_kept(
    store: Fill, nothing_served: Path, lines: list[str], kept: list[str]
) -> None:
    folder = store("1.0", "1.1", "1.2", "1.3")
    for action, version, *before in (line.split() for line in lines):
        record(folder, action, name="topics", version=version, command="test", before="".join(before))
    done = collected(folder, nothing_served, keep=1)
    assert names(folder) == [f"topics-{version}.mar" for version in kept]
    assert all("rollback" in reason for reason in done.kept.values())


def test_a_history_that_cannot_be_used_keeps_everything(store: Fill, nothing_served: Path) -> None:
    folder = store("1.0", "1.1")
    (folder / FILE).unlink()
    (folder / FILE).mkdir()
    with refused(InputError, "LX-SERVE-156", folder / FILE):
        collected(folder, nothing_served, keep=1)
    assert names(folder) == ["topics-1.0.mar", "topics-1.1.mar"]


def test_a_line_of_the_history_that_cannot_be_read_is_said(store: Fill, nothing_served: Path) -> None:
    folder = store("1.0")
    with (folder / FILE).open("ab") as handle:
        handle.write(b'{"time": "20')
    said: list[str] = []
    gc(store=folder, state_dir=nothing_served, say=said.append)
    assert "interrupted" in said[0]


def test_damaged_files_and_versions_without_order_are_kept_and_count_for_nothing(
    store: Fill, pack: Pack, nothing_served: Path
) -> None:
    folder = store("1.0", "1.1")
    content = bytearray(pack("9.0").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "topics-9.0.mar").write_bytes(content)
    (folder / "half.mar").write_bytes(b"half of it")
    shutil.copy(pack("latest"), folder)
    done = collected(folder, nothing_served, keep=1)
    assert names(folder) == ["half.mar", "topics-1.1.mar", "topics-9.0.mar", "topics-latest.mar"]
    reasons = {Path(path).name: reason for path, reason in done.kept.items()}
    assert "failed verification" in reasons["topics-9.0.mar"]
    assert "does not count" in reasons["half.mar"]
    assert "no place in the order" in reasons["topics-latest.mar"]


def test_half_written_files_older_than_an_hour_are_removed(store: Fill, nothing_served: Path) -> None:
    folder = store("1.0")
    old, young = folder / ".incoming.mar.0a1b2c3d.partial", folder / ".incoming.mar.4e5f6071.partial"
    foreign = folder / ".theirs"
    for path in (old, young, foreign):
        path.write_bytes(b"x" * 500)
    two_hours = time.time() - 7200
    for path in (old, foreign):
        os.utime(path, (two_hours, two_hours))
    (folder / ".linked.partial").symlink_to(folder / "topics-1.0.mar")
    os.utime(folder / ".linked.partial", (two_hours, two_hours), follow_symlinks=False)
    would = collected(folder, nothing_served, dry_run=True)
    assert (would.leftovers, would.freed) == ([old], 500)
    assert old.exists()
    done = collected(folder, nothing_served)
    assert (done.leftovers, done.freed) == ([old], 500)
    assert names(folder) == [young.name, ".linked.partial", ".theirs", "topics-1.0.mar"]


COLLECTING = """
import sys
from pathlib import Path
from lexport.serving.stores.removal import gc
sys.stdin.readline()
done = gc(store=Path(sys.argv[1]), keep=1, state_dir=Path(sys.argv[2]))
print(len(done.removed))
"""


def test_of_two_processes_that_collect_at_once_each_file_is_removed_by_one(
    tmp_path: Path, make_archive: MakeArchive, nothing_served: Path
) -> None:
    for version in range(40):
        make_archive(tmp_path / "store", "a", str(version), made_by_lexport=False)
    command = [sys.executable, "-c", COLLECTING, str(tmp_path / "store"), str(nothing_served)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(counts) == 39
    assert names(tmp_path / "store") == ["a-39.mar"]
    assert len(read_history(tmp_path / "store").events) == 39


def test_to_keep_none_is_refused(store: Fill, nothing_served: Path) -> None:
    with refused(InputError, "LX-SERVE-163", "--keep 0", "lexport store remove"):
        collected(store("1.0"), nothing_served, keep=0)
