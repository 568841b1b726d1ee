"""Files and folders appear whole or not at all, and nothing half-done stays."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.storage.atomic import (
    check_file,
    check_folder,
    draft,
    json_bytes,
    new_file,
    new_folder,
    publish,
    same_content,
    sha256_file,
    write_file,
)

from ..refusals import refused


def names(folder: Path) -> list[str]:
    """Everything below a folder, hidden too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def fail_within(target: Path, error: type[BaseException], replace: bool = False) -> None:
    with new_folder(target, replace=replace) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "new").write_text("x")
        raise error


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture(params=[RuntimeError, KeyboardInterrupt, SystemExit])
def stop(request: pytest.FixtureRequest) -> type[BaseException]:
    kind: type[BaseException] = request.param
    return kind


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() == 0:
        pytest.skip("root writes wherever it wants")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    yield folder
    folder.chmod(0o700)


def test_json_is_utf8_in_the_callers_order_with_a_final_newline() -> None:
    assert json_bytes({"b": "ü", "a": [1]}) == b'{\n  "b": "\xc3\xbc",\n  "a": [\n    1\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes(float("nan"))


def test_sha256_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class TestDrafts:
    def test_a_draft_is_gone_at_the_end_and_what_was_published_stays(self, tmp_path: Path) -> None:
        target = tmp_path / "a" / "c.txt"
        with draft(target) as written:
            assert written.parent == target.parent
            assert not written.exists()
            written.write_bytes(b"new")
            assert publish(written, target)
        assert target.read_bytes() == b"new"
        assert target.stat().st_nlink == 1
        assert names(tmp_path) == ["a", "a/c.txt"]

    def test_a_name_that_is_taken_stays_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "c.txt").write_bytes(b"old")
        with draft(tmp_path / "c.txt") as written:
            written.write_bytes(b"new")
            assert not publish(written, tmp_path / "c.txt")
        assert (tmp_path / "c.txt").read_bytes() == b"old"
        assert names(tmp_path) == ["c.txt"]

    def test_a_failure_leaves_nothing(self, tmp_path: Path, stop: type[BaseException]) -> None:
        def write() -> None:
            with draft(tmp_path / "a" / "c.txt") as written:
                written.write_bytes(b"half")
                raise stop

        with pytest.raises(stop):
            write()
        assert names(tmp_path) == []

    def test_a_file_system_without_hard_links_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", fail)
        with draft(tmp_path / "c.txt") as written:
            written.write_bytes(b"new")
            with refused(InputError, "LX-FILE-006", tmp_path / "c.txt", "Operation not permitted"):
                publish(written, tmp_path / "c.txt")
        assert names(tmp_path) == []


@pytest.fixture(params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With files that have no name until they are whole, and on systems that have none."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")


@pytest.mark.usefixtures("way")
class TestWriteFile:
    def test_it_writes_and_makes_the_folders_above(self, tmp_path: Path) -> None:
        assert write_file(tmp_path / "a" / "b" / "c.txt", b"new") == tmp_path / "a" / "b" / "c.txt"
        assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"new"
        assert names(tmp_path) == ["a", "a/b", "a/b/c.txt"]

    def test_it_replaces_a_file_in_one_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        target = tmp_path / "c.txt"
        target.write_bytes(b"old")
        replace, seen = Path.replace, []

        def watched(self: Path, other: Path) -> Path:
            seen.append((target.read_bytes(), self.read_bytes()))
            return replace(self, other)

        monkeypatch.setattr(Path, "replace", watched)
        write_file(target, b"new")
        assert seen == [(b"old", b"new")]
        assert target.read_bytes() == b"new"
        assert names(tmp_path) == ["c.txt"]

    def test_a_reader_keeps_the_old_content_and_a_hard_link_too(self, tmp_path: Path) -> None:
        target = write_file(tmp_path / "c.txt", b"old")
        os.link(target, tmp_path / "served")
        with target.open("rb") as reader:
            write_file(target, b"new")
            assert reader.read() == b"old"
        assert (tmp_path / "served").read_bytes() == b"old"

    def test_a_folder_above_that_a_failed_neighbour_removes_is_made_again(self, tmp_path: Path) -> None:
        with new_file(tmp_path / "a" / "b" / "c.txt") as handle:
            for folder in (tmp_path / "a" / "b", tmp_path / "a"):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            handle.write(b"new")
        assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"new"

    @pytest.mark.parametrize("moment", ["fsync", "replace"])
    def test_a_failure_leaves_the_old_file_and_nothing_new(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException], moment: str
    ) -> None:
        def fail(*_: object) -> None:
            raise stop

        (tmp_path / "c.txt").write_bytes(b"old")
        monkeypatch.setattr({"fsync": os, "replace": Path}[moment], moment, fail)
        for target in (tmp_path / "c.txt", tmp_path / "a" / "b" / "c.txt"):
            with pytest.raises(stop):
                write_file(target, b"new")
        assert names(tmp_path) == ["c.txt"]
        assert (tmp_path / "c.txt").read_bytes() == b"old"

    def test_a_file_written_piece_by_piece_is_compared_before_it_takes_its_place(self, tmp_path: Path) -> None:
        target = write_file(tmp_path / "c.txt", b"old content")
        for content, same in (b"old content", True), (b"old contents", False), (b"old_content", False), (b"", False):
            with pytest.raises(KeyboardInterrupt), new_file(target) as handle:  # noqa: PT012
                handle.write(content)
                assert same_content(handle, target) == same
                raise KeyboardInterrupt
        assert names(tmp_path) == ["c.txt"]
        assert target.read_bytes() == b"old content"

    def test_a_full_disk_is_the_systems_problem_and_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_file(tmp_path / "c.txt", b"new")
        assert names(tmp_path) == []

    @pytest.mark.parametrize(("umask_of", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o664)])
    def test_the_mode_is_the_umasks(
        self, tmp_path: Path, umask: Callable[[int], int], umask_of: int, expected: int
    ) -> None:
        umask(umask_of)
        assert mode(write_file(tmp_path / "c.txt", b"")) == expected

    def test_a_folder_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "c").mkdir()
        with refused(InputError, "LX-FILE-003", "/c"):
            write_file(tmp_path / "c", b"new")

    def test_a_file_where_a_folder_should_be_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        for target in (tmp_path / "file" / "c", tmp_path / "file" / "deep" / "c"):
            with refused(InputError, "LX-FILE-004", "/c", "/file"):
                write_file(target, b"new")

    def test_an_unwritable_folder_is_named(self, unwritable: Path) -> None:
        with refused(InputError, "LX-FILE-005", "/closed/c", "/closed"):
            write_file(unwritable / "c", b"new")

    def test_where_nobody_can_write_the_system_is_quoted(self) -> None:
        with refused(InputError, "LX-FILE-005", "/proc/self/c"):
            write_file(Path("/proc/self/c"), b"new")

    def test_a_name_that_is_too_long_is_refused(self, tmp_path: Path) -> None:
        with refused(InputError, "LX-FILE-006", "File name too long"):
            write_file(tmp_path / "a" / ("x" * 300), b"new")
        assert names(tmp_path) == []


KILLED = """
import sys, time
from pathlib import Path
from lexport.storage.atomic import new_file
with new_file(Path(sys.argv[1])) as handle:
    handle.write(b"half of it")
    handle.flush()
    print("written", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no files without a name")
def test_a_process_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"old")
    for target in (tmp_path / "c.txt", tmp_path / "d.txt"):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(target)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"written\n"
            child.kill()
    assert names(tmp_path) == ["c.txt"]
    assert (tmp_path / "c.txt").read_bytes() == b"old"


class TestNewFolder:
    def test_it_appears_only_when_it_is_complete(self, tmp_path: Path) -> None:
        target = tmp_path / "a" / "run"
        with new_folder(target) as partial:
            assert list(partial.iterdir()) == []
            assert partial.parent == target.parent  # so that it can be renamed
            assert partial.name.startswith(".")
            (partial / "x").write_text("x")
            assert not target.exists()
        assert names(tmp_path) == ["a", "a/run", "a/run/x"]

    def test_on_any_error_nothing_is_left(self, tmp_path: Path, stop: type[BaseException]) -> None:
        with pytest.raises(stop):
            fail_within(tmp_path / "a" / "b" / "run", stop)
        assert names(tmp_path) == []

    def test_a_folder_above_that_others_use_meanwhile_stays(self, tmp_path: Path) -> None:
        def fail() -> None:
            with new_folder(tmp_path / "a" / "b" / "run"):
                (tmp_path / "a" / "theirs").write_text("x")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert names(tmp_path) == ["a", "a/theirs"]

    def test_what_is_there_is_refused_before_anything_happens(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        (tmp_path / "nowhere").symlink_to("absent")
        (tmp_path / "folder").mkdir()
        for name in ("file", "folder", "nowhere"):
            with refused(InputError, "LX-FILE-001"), new_folder(tmp_path / name):
                pytest.fail("never reached")
        assert names(tmp_path) == ["file", "folder", "nowhere"]

    def test_it_replaces_a_folder_on_success(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").write_text("x")
        with new_folder(tmp_path / "run", replace=True) as partial:
            (partial / "new").write_text("x")
            assert names(tmp_path / "run") == ["old"]
        assert names(tmp_path) == ["run", "run/new"]

    def test_a_link_is_replaced_and_not_what_it_leads_to(self, tmp_path: Path) -> None:
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "x").write_text("x")
        (tmp_path / "run").symlink_to("kept")
        with new_folder(tmp_path / "run", replace=True):
            pass
        assert not (tmp_path / "run").is_symlink()
        assert names(tmp_path) == ["kept", "kept/x", "run"]

    def test_on_any_error_the_old_folder_stays(self, tmp_path: Path, stop: type[BaseException]) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").write_text("x")
        with pytest.raises(stop):
            fail_within(tmp_path / "run", stop, replace=True)
        assert names(tmp_path) == ["run", "run/old"]

    @pytest.mark.parametrize("step", [1, 2])
    @pytest.mark.parametrize("done", [False, True])
    def test_an_interruption_of_the_exchange_leaves_one_of_both_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, done: bool
    ) -> None:
        rename, calls = Path.rename, []

        def interrupted(self: Path, target: Path) -> Path:
            calls.append(self)
            if len(calls) == step:
                if done:
                    rename(self, target)
                raise KeyboardInterrupt
            return rename(self, target)

        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").write_text("x")
        monkeypatch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "run", replace=True) as partial:
            (partial / "new").write_text("x")
        complete = (step, done) == (2, True)
        assert names(tmp_path) == ["run", "run/new" if complete else "run/old"]

    def test_an_interruption_while_the_old_folder_goes_leaves_none_of_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rmtree, calls = shutil.rmtree, []

        def interrupted(path: Path, ignore_errors: bool) -> None:
            calls.append(path)
            if len(calls) == 1:
                raise KeyboardInterrupt
            rmtree(path, ignore_errors=ignore_errors)

        (tmp_path / "run").mkdir()
        monkeypatch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "run", replace=True) as partial:
            (partial / "new").write_text("x")
        assert names(tmp_path) == ["run", "run/new"]

    def test_of_two_that_make_the_same_folder_one_wins_whole(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "run"):  # noqa: SIM117
            with new_folder(tmp_path / "run") as first:
                (first / "first").write_text("x")
        assert names(tmp_path) == ["run", "run/first"]

    def test_neither_a_file_nor_the_folder_one_is_in_is_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "file").write_text("x")
        monkeypatch.chdir(tmp_path / "a" / "b")
        for name in (".", "", "..", "../../a"):
            with refused(InputError, "LX-FILE-002", "is the folder you are in"):
                check_folder(Path(name), replace=True)
        with refused(InputError, "LX-FILE-002", "is not a folder"), new_folder(tmp_path / "a" / "file", replace=True):
            pass
        assert names(tmp_path) == ["a", "a/b", "a/file"]

    @pytest.mark.parametrize(("umask_of", "expected"), [(0o022, 0o755), (0o077, 0o700), (0o002, 0o775), (0, 0o775)])
    def test_the_mode_is_the_umasks(
        self, tmp_path: Path, umask: Callable[[int], int], umask_of: int, expected: int
    ) -> None:
        umask(umask_of)
        with new_folder(tmp_path / "run"):
            pass
        assert mode(tmp_path / "run") == expected

    def test_nothing_in_it_is_writable_by_others(self, tmp_path: Path, umask: Callable[[int], int]) -> None:
        """What fills the folder opens files as usual, and the folders above it are new too."""
        umask(0)
        with new_folder(tmp_path / "new" / "above" / "run") as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "data").write_bytes(b"rows")
            (folder / "link").symlink_to("inner/data")
        write_file(tmp_path / "other" / "c.txt", b"")
        found = [path for path in tmp_path.rglob("*") if not path.is_symlink()]
        assert len(found) == 7
        assert [path for path in found if mode(path) & 0o002] == []

    def test_where_nothing_can_be_created_it_is_said_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        for code, target in (
            ("LX-FILE-004", tmp_path / "file" / "run"),
            ("LX-FILE-005", Path("/proc/self/run")),
            ("LX-FILE-006", tmp_path / ("x" * 300)),
        ):
            with refused(InputError, code, target), new_folder(target):
                pytest.fail("never reached")
        assert names(tmp_path) == ["file"]

    def test_an_unwritable_folder_is_named(self, unwritable: Path) -> None:
        with refused(InputError, "LX-FILE-005", "/closed/deep/run", "/closed"):
            check_folder(unwritable / "deep" / "run")

    def test_the_check_creates_nothing(self, tmp_path: Path) -> None:
        check_folder(tmp_path / "a" / "b" / "run")
        assert names(tmp_path) == []


def test_whether_a_file_can_be_made_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    check_file(tmp_path / "new" / "deep" / "file")
    check_file(tmp_path / "file", replace=True)
    with refused(InputError, "LX-FILE-001", "file exists already"):
        check_file(tmp_path / "file")
    with refused(InputError, "LX-FILE-003", "folder"):
        check_file(tmp_path / "folder", replace=True)
    with refused(InputError, "LX-FILE-004", "new", "file is not a folder"):
        check_file(tmp_path / "file" / "new")
    assert names(tmp_path) == ["file", "folder"]
