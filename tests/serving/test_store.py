from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError
from lexport.export.archive.pack import archive
from lexport.export.archive.trust.code import accept
from lexport.export.archive.trust.rule import Trust
from lexport.export.archive.verify import verify
from lexport.handlers.model.digests import MANIFEST
from lexport.serving.store import choose, newest, place, read

from ..refusals import refused
from ..trust_cases import members_of, repacked

MakeArchive = Callable[..., Path]


def test_read_knows_lexports_archives_from_others(tmp_path: Path, make_archive: MakeArchive) -> None:
    ours = read(make_archive(tmp_path, "ours", "1.2"))
    assert (ours.name, ours.version, ours.made_by_lexport, ours.workers, str(ours)) == (
        "ours",
        "1.2",
        True,
        None,
        "ours 1.2",
    )
    assert not read(make_archive(tmp_path, "theirs", made_by_lexport=False)).made_by_lexport


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("minWorkers: 3\nmaxWorkers: 3", (3, 3)),
        ("minWorkers: 3\nmaxWorkers: 1", (None, 3)),
        ("minWorkers: 0\nmaxWorkers: 2", (1, 2)),
        ("minWorkers: -5\nmaxWorkers: 0", (None, 0)),
        ("minWorkers: 3", (None, 3)),
        ("maxWorkers: 7", (None, 7)),
        ("minWorkers: 3.0\nmaxWorkers: yes", (None, 0)),
        ("", (None, 0)),
    ],
)
def test_an_archives_own_workers(
    tmp_path: Path, make_archive: MakeArchive, config: str, expected: tuple[int | None, int]
) -> None:
    """As TorchServe takes them: minWorkers is at least 1, and counts where maxWorkers is not smaller."""
    found = read(make_archive(tmp_path, "m", config=config))
    assert (found.workers, found.most_workers) == expected


def test_newest_of_each_name(tmp_path: Path, make_archive: MakeArchive) -> None:
    for version in ("1.9", "1.10", "1.2"):
        make_archive(tmp_path, "a", version)
    make_archive(tmp_path, "b", "0.1")
    (tmp_path / "README.md").write_text("not an archive")
    assert newest(tmp_path) == {"a": tmp_path / "a-1.10.mar", "b": tmp_path / "b-0.1.mar"}


def test_an_empty_or_missing_store_is_said(tmp_path: Path) -> None:
    with refused(InputError, "LX-SERVE-024", tmp_path, "lexport archive"):
        newest(tmp_path)
    with refused(InputError, "LX-SERVE-024", "There is no model store"):
        newest(tmp_path / "absent")


def test_choose_takes_archives_or_a_store(tmp_path: Path, make_archive: MakeArchive) -> None:
    one, two = make_archive(tmp_path, "a", "1"), make_archive(tmp_path, "a", "2")
    other = make_archive(tmp_path, "b", made_by_lexport=False)
    said: list[str] = []
    assert [archive.path for archive in choose([one, other], None, said.append)] == [one, other]
    assert len(said) == 1
    assert "b-1.0.mar was not made by lexport" in said[0]
    assert [str(archive) for archive in choose([], tmp_path)] == ["a 2", "b 1.0"]
    with refused(InputError, "LX-SERVE-026"):
        choose([one, two], None)
    for archives, store in (([], None), ([one], tmp_path)):
        with refused(InputError, "LX-SERVE-025", "--model-store"):
            choose(archives, store)


def trusting(trust: Trust) -> Callable[[Path], str]:
    return lambda copy: accept(copy, trust)


def test_place_keeps_other_archives_out(tmp_path: Path, make_archive: MakeArchive) -> None:
    wanted = read(make_archive(tmp_path / "in", "a"))
    make_archive(tmp_path / "in", "b")
    said: list[str] = []
    assert place([wanted], tmp_path / "store", trusting(Trust(insist=True)), said.append) == ["a-1.0.mar"]
    assert said == ["a 1.0: --trust-code."]
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["a-1.0.mar"]
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700


def test_models_whose_names_and_versions_run_together_are_kept_apart(
    tmp_path: Path, make_archive: MakeArchive
) -> None:
    both = [read(make_archive(tmp_path / "1", "a-1", "0")), read(make_archive(tmp_path / "2", "a", "1-0"))]
    names = place(both, tmp_path / "store", trusting(Trust(insist=True)), lambda line: None)
    assert names == ["a-1-0.mar", "_a-1-0.mar"]
    assert [str(read(tmp_path / "store" / name)) for name in names] == ["a-1 0", "a 1-0"]


def test_an_archive_with_a_local_version_is_packed_verified_and_placed(tmp_path: Path, run_folder: Path) -> None:
    mar = archive(run_folder, version="1.0.0+build.7", variant="onnx-int8", out=tmp_path)
    assert mar.name == "topics-1.0.0+build.7.mar"
    assert verify(mar).version == read(mar).version == "1.0.0+build.7"
    assert place([read(mar)], tmp_path / "store", trusting(Trust()), lambda line: None) == [mar.name]
    with refused(InputError, "LX-ARCHIVE-021", "'+1'"):
        archive(run_folder, version="+1", variant="onnx-int8", out=tmp_path)


def test_a_local_version_is_newer_than_the_version_itself(tmp_path: Path, make_archive: MakeArchive) -> None:
    for version in ("1.0.0", "1.0.0+build.10", "1.0.0+build.7"):
        make_archive(tmp_path, "a", version)
    assert newest(tmp_path) == {"a": tmp_path / "a-1.0.0+build.10.mar"}


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, str]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # duplicate names
        for name, content in members:
            archive.writestr(name, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


GOOD = (MANIFEST, json.dumps({"model": {"modelName": "m", "modelVersion": "1"}}))


@pytest.mark.parametrize(
    ("members", "code", "named"),
    [
        ([GOOD, ("/etc/passwd", "")], "LX-ARCHIVE-052", "'/etc/passwd'"),
        ([GOOD, ("../up", "")], "LX-ARCHIVE-052", "'../up'"),
        ([GOOD, ("a/../../up", "")], "LX-ARCHIVE-052", "'a/../../up'"),
        ([GOOD, ("a\\..\\up", "")], "LX-ARCHIVE-052", r"'a\\..\\up'"),
        ([GOOD, ("C:/up", "")], "LX-ARCHIVE-052", "'C:/up'"),
        ([GOOD, (link("ln"), "/etc/passwd")], "LX-ARCHIVE-054", "'ln'"),
        ([GOOD, ("x", "1"), ("x", "2")], "LX-ARCHIVE-044", "'x'"),
        ([GOOD, ("x", "1"), ("./x", "2")], "LX-ARCHIVE-044", "'./x'"),
        ([("handler.py", "")], "LX-ARCHIVE-064", MANIFEST),
        ([(MANIFEST, "[]")], "LX-ARCHIVE-066", MANIFEST),
        ([(MANIFEST, "{")], "LX-ARCHIVE-066", MANIFEST),
        ([(MANIFEST, "[" * 60_000)], "LX-ARCHIVE-066", MANIFEST),
        ([(MANIFEST, "{}")], "LX-SERVE-029", "modelName None"),
        ([(MANIFEST, '{"model": {"modelName": "a b"}}')], "LX-SERVE-029", "modelName 'a b'"),
        ([(MANIFEST, '{"model": {"modelName": "a", "modelVersion": 1}}')], "LX-SERVE-029", "modelVersion 1"),
        ([(MANIFEST, '{"model": {"modelName": "a", "modelVersion": "1/2"}}')], "LX-SERVE-029", "modelVersion '1/2'"),
    ],
)
def test_bad_archives_are_refused(tmp_path: Path, members: list[tuple[str, str]], code: str, named: str) -> None:
    with refused(InputError, code, "bad.mar", named):
        read(zipped(tmp_path / "bad.mar", *members))


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.mar").write_bytes(b"\0\1\2")
    with refused(InputError, "LX-ARCHIVE-070"):
        read(tmp_path / "x.mar")
    with refused(InputError, "LX-ARCHIVE-069"):
        read(tmp_path / "absent.mar")
    with refused(InputError, "LX-ARCHIVE-078", "MAR-INF/MANIFEST.json"):
        read(tmp_path)


OTHER = b"raise SystemExit('not what was verified')"


def in_place(path: Path, content: bytes) -> None:
    """Other bytes in the same file: a hard link would show them."""
    with path.open("r+b") as handle:
        handle.write(content)
        handle.truncate()


def renamed_over(path: Path, content: bytes) -> None:
    """Another file under the same name."""
    other = path.with_suffix(".new")
    other.write_bytes(content)
    other.replace(path)


def removed(path: Path, content: bytes) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [in_place, renamed_over, removed])
def test_what_was_verified_is_what_torchserve_gets(
    tmp_path: Path,
    archive_of: Callable[[str], Path],
    change: Callable[[Path, bytes], None],
) -> None:
    """Whoever can write the archive changes it while it is verified."""
    path = tmp_path / "topics-1.0.mar"
    shutil.copy(archive_of("onnx-int8"), path)
    expected = members_of(path)
    evil = repacked(path, {"handler.py": OTHER}, tmp_path / "evil.mar").read_bytes()

    def accepted(copy: Path) -> str:
        reason = accept(copy, Trust())
        change(path, evil)
        return reason

    [name] = place([read(path)], tmp_path / "store", accepted, lambda line: None)
    assert members_of(tmp_path / "store" / name) == expected
    assert [one.name for one in (tmp_path / "store").iterdir()] == [name]


@pytest.mark.parametrize("change", [in_place, renamed_over])
def test_what_changed_after_it_was_chosen_is_verified_as_it_is_then(
    tmp_path: Path, archive_of: Callable[[str], Path], change: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "topics-1.0.mar"
    shutil.copy(archive_of("onnx-int8"), path)
    chosen = read(path)
    change(path, repacked(path, {"handler.py": OTHER}, tmp_path / "evil.mar").read_bytes())
    with refused(RefusedError, "LX-TRUST-001", "topics-1.0.mar", "'handler.py' differs") as caught:
        place([chosen], tmp_path / "store", trusting(Trust()), lambda line: None)
    assert str(path) in str(caught.value)
    assert str(tmp_path / "store") not in str(caught.value)


def test_another_model_under_the_same_name_is_refused(
    tmp_path: Path, archive_of: Callable[[str], Path], run_folder: Path
) -> None:
    path = tmp_path / "topics-1.0.mar"
    shutil.copy(archive_of("onnx-int8"), path)
    chosen = read(path)
    shutil.copy(archive(run_folder, version="2.0", variant="onnx-int8", out=tmp_path), path)
    with refused(InputError, "LX-SERVE-028", "topics-1.0.mar"):
        place([chosen], tmp_path / "store", trusting(Trust()), lambda line: None)
    path.unlink()
    with refused(InputError, "LX-SERVE-027", "topics-1.0.mar"):
        place([chosen], tmp_path / "store-2", trusting(Trust()), lambda line: None)


def test_numbers_of_workers_that_no_machine_has_are_refused(tmp_path: Path, make_archive: MakeArchive) -> None:
    with refused(InputError, "LX-SERVE-030", "minWorkers", "2,147,483,647"):
        read(make_archive(tmp_path, "m", config="minWorkers: 0x" + "f" * 9000))
