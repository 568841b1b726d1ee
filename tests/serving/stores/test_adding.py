from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lexport.errors import InputError, LexportError, RefusedError
from lexport.export.archive.trust.keys import PublicKey
from lexport.serving.store import read
from lexport.serving.stores.adding import add
from lexport.serving.stores.history import FILE, read_history
from lexport.storage.atomic import sha256_file

from ...refusals import refused
from ...trust_cases import repacked
from .conftest import Pack, names


def test_it_is_copied_byte_for_byte_under_its_own_name(tmp_path: Path, pack: Pack) -> None:
    given = shutil.copy(pack("1.0"), tmp_path / "whatever.zip")
    said: list[str] = []
    [added] = add([Path(given)], store=tmp_path / "deep" / "store", say=said.append)
    assert added.path == tmp_path / "deep" / "store" / "topics-1.0.mar"
    assert added.path.read_bytes() == pack("1.0").read_bytes()
    assert (added.name, added.version, added.new) == ("topics", "1.0", True)
    assert added.digest == sha256_file(added.path)
    assert said == [f"{added.path}: topics 1.0, {added.size:,} bytes, sha256 {added.digest[:12]}"]
    assert names(added.path.parent) == ["topics-1.0.mar"]
    assert added.path.stat().st_nlink == 1


def test_several_are_added_in_their_order_and_each_is_in_the_history(tmp_path: Path, pack: Pack) -> None:
    added = add([pack("1.10"), pack("1.9")], store=tmp_path)
    assert [str(read(one.path)) for one in added] == ["topics 1.10", "topics 1.9"]
    events = read_history(tmp_path).events
    assert [(one.action, one.name, one.version) for one in events] == [
        ("add", "topics", "1.10"),
        ("add", "topics", "1.9"),
    ]
    assert [one.digest for one in events] == [one.digest for one in added]
    assert {one.command for one in events} == {"lexport store add"}


def test_the_same_bytes_again_are_no_error_and_no_event(tmp_path: Path, pack: Pack) -> None:
    add([pack("1.0")], store=tmp_path)
    [again] = add([pack("1.0")], store=tmp_path)
    assert not again.new
    assert "already with the same bytes" in str(again)
    assert len(read_history(tmp_path).events) == 1


def test_the_same_bytes_under_another_name_are_there_too(tmp_path: Path, pack: Pack) -> None:
    """Whoever copied it there by hand has called it otherwise."""
    shutil.copy(pack("1.0"), tmp_path / "best.mar")
    [added] = add([pack("1.0")], store=tmp_path)
    assert (added.path, added.new) == (tmp_path / "best.mar", False)
    assert names(tmp_path) == ["best.mar"]


@pytest.mark.parametrize("called", ["topics-1.0.mar", "best.mar"])
def test_a_version_that_is_there_with_other_bytes_is_refused(tmp_path: Path, pack: Pack, called: str) -> None:
    there = pack("1.0", profile="latency")
    shutil.copy(there, tmp_path / called)
    with refused(
        RefusedError,
        "LX-SERVE-151",
        tmp_path / called,
        "topics 1.0",
        sha256_file(there)[:12],
        sha256_file(pack("1.0"))[:12],
        "lexport store remove topics:1.0",
    ):
        add([pack("1.0")], store=tmp_path)
    assert names(tmp_path) == [called]
    assert (tmp_path / called).read_bytes() == there.read_bytes()


def test_a_name_that_another_model_has_is_refused(tmp_path: Path, pack: Pack) -> None:
    """a-1 in version 0 and a in version 1-0 would both be a-1-0.mar."""
    add([pack("0", name="a-1")], store=tmp_path)
    with refused(RefusedError, "LX-SERVE-152", "a-1-0.mar", "a-1 0", "a 1-0"):
        add([pack("1-0", name="a")], store=tmp_path)
    (tmp_path / "topics-1.0.mar").write_bytes(b"half of it")
    with refused(RefusedError, "LX-SERVE-152", "topics-1.0.mar", "not a readable archive", "topics 1.0"):
        add([pack("1.0")], store=tmp_path)
    assert names(tmp_path) == ["a-1-0.mar", "topics-1.0.mar"]


def test_an_unpacked_archive_becomes_the_file_that_it_was(tmp_path: Path, pack: Pack) -> None:
    with zipfile.ZipFile(pack("1.0")) as archive:
        archive.extractall(tmp_path / "unpacked")
    [added] = add([tmp_path / "unpacked"], store=tmp_path / "store")
    assert added.path.read_bytes() == pack("1.0").read_bytes()


def test_what_fails_verification_stays_outside_and_is_called_by_its_own_name(tmp_path: Path, pack: Pack) -> None:
    altered = tmp_path / "altered.mar"
    content = bytearray(pack("1.0").read_bytes())
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    with refused(LexportError, "LX-ARCHIVE-038", altered) as caught:
        add([altered], store=tmp_path / "store")
    assert caught.value.exit_code == 1
    assert "partial" not in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_what_is_no_archive_is_not_even_copied(tmp_path: Path) -> None:
    (tmp_path / "film.mar").write_bytes(b"\0" * 1000)
    with refused(InputError, "LX-ARCHIVE-070", "film.mar"):
        add([tmp_path / "film.mar"], store=tmp_path / "store")
    with refused(InputError, "LX-ARCHIVE-069", "absent.mar"):
        add([tmp_path / "absent.mar"], store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_with_keys_only_what_they_signed_is_added(tmp_path: Path, pack: Pack, ours: tuple[Path, PublicKey]) -> None:
    private, public = ours
    with refused(RefusedError, "LX-TRUST-010", pack("1.0"), public.fingerprint):
        add([pack("1.0")], store=tmp_path / "store", trusted=[public])
    assert not (tmp_path / "store").exists()
    [added] = add([pack("1.0", sign=private)], store=tmp_path / "store", trusted=[public])
    assert added.new


def test_an_error_keeps_the_archives_before_and_nothing_of_its_own(tmp_path: Path, pack: Pack) -> None:
    bad = repacked(pack("2.0"), {"golden.jsonl": b""}, tmp_path / "bad.mar")
    with refused(LexportError, "LX-ARCHIVE-038", bad):
        add([pack("1.0"), bad, pack("1.9")], store=tmp_path / "store")
    assert names(tmp_path / "store") == ["topics-1.0.mar"]


def test_a_file_that_cannot_be_said_in_the_history_is_not_added(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / FILE).mkdir()
    with refused(InputError, "LX-SERVE-156", tmp_path / FILE):
        add([pack("1.0")], store=tmp_path)
    assert names(tmp_path) == []


def test_nobody_else_can_write_what_was_added(tmp_path: Path, pack: Pack) -> None:
    before = os.umask(0)
    try:
        [added] = add([pack("1.0")], store=tmp_path / "store")
    finally:
        os.umask(before)
    for path in (added.path, tmp_path / "store", tmp_path / "store" / FILE):
        assert not path.stat().st_mode & 0o002


# Adds a version each time it is told to, and says what became of it.
ADDING = """
import sys
from pathlib import Path
from lexport.errors import LexportError
from lexport.serving.stores.adding import add
for line in sys.stdin:
    archive, store = line.split()
    try:
        [added] = add([Path(archive)], store=Path(store))
        print("new" if added.new else "there", flush=True)
    except LexportError as error:
        print(error.code, flush=True)
"""


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [(("throughput", "latency"), ["LX-SERVE-151", "new"]), (("throughput", "throughput"), ["new", "there"])],
    ids=["other bytes", "the same bytes"],
)
def test_of_two_processes_that_add_a_version_at_once_one_wins(
    tmp_path: Path, pack: Pack, profiles: tuple[str, str], expected: list[str]
) -> None:
    archives = [pack("1.0", profile=profile) for profile in profiles]
    processes = [
        subprocess.Popen([sys.executable, "-c", ADDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in archives
    ]
    for number in range(6):
        store = tmp_path / f"store-{number}"
        for process, archive in zip(processes, archives, strict=True):
            assert process.stdin
            process.stdin.write(f"{archive} {store}\n")
            process.stdin.flush()
        answers = [process.stdout.readline().strip() for process in processes if process.stdout]
        assert sorted(answers) == expected
        winner = archives[answers.index("new")]
        assert names(store) == ["topics-1.0.mar"]
        assert (store / "topics-1.0.mar").read_bytes() == winner.read_bytes()
        [event] = read_history(store).events
        assert event.digest == sha256_file(winner)
    for process in processes:
        process.communicate(timeout=30)
