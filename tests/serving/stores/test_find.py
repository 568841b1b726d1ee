from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.serving.stores import find_archive

from ...refusals import refused
from ..conftest import MakeArchive
from .conftest import Fill, Pack


def test_a_file_is_itself_whatever_it_is_called(tmp_path: Path, pack: Pack) -> None:
    given = Path(shutil.copy(pack("1.0"), tmp_path / "best"))
    assert find_archive(str(given), store=tmp_path / "absent") == given


def test_an_unpacked_archive_is_itself(tmp_path: Path, pack: Pack) -> None:
    with zipfile.ZipFile(pack("1.0")) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert find_archive(str(tmp_path / "unpacked"), store=tmp_path) == tmp_path / "unpacked"


def test_a_version_and_the_newest_of_the_store(store: Fill) -> None:
    folder = store("1.9", "1.10", "1.2")
    assert find_archive("topics:1.9", store=folder) == folder / "topics-1.9.mar"
    assert find_archive("topics", store=folder) == folder / "topics-1.10.mar"


def test_what_the_store_does_not_have_is_said_with_what_it_has(store: Fill, tmp_path: Path) -> None:
    folder = store("1.9", "1.10")
    with refused(InputError, "LX-SERVE-154", folder, "topics:2.0", "topics:1.10, topics:1.9"):
        find_archive("topics:2.0", store=folder)
    with refused(InputError, "LX-SERVE-154", folder, "films"):
        find_archive("films", store=folder)
    with refused(InputError, "LX-SERVE-150", tmp_path / "absent"):
        find_archive("topics", store=tmp_path / "absent")


@pytest.mark.parametrize("source", ["absent.mar", "./topics", "topics:", "a b", "", "oci:/x", "topics:1:2"])
def test_what_names_nothing_is_said_with_what_would(tmp_path: Path, source: str) -> None:
    with refused(InputError, "LX-SERVE-158", source, "NAME:VERSION", "oci://REGISTRY/REPOSITORY:TAG"):
        find_archive(source, store=tmp_path)


def test_a_folder_of_one_models_archives_is_its_newest(tmp_path: Path, make_archive: MakeArchive) -> None:
    for version in ("1.9", "1.10"):
        make_archive(tmp_path / "mine", "a", version)
    assert find_archive(str(tmp_path / "mine"), store=tmp_path / "absent") == tmp_path / "mine" / "a-1.10.mar"
    make_archive(tmp_path / "mine", "b")
    with refused(InputError, "LX-SERVE-159", tmp_path / "mine", "a, b"):
        find_archive(str(tmp_path / "mine"), store=tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with refused(InputError, "LX-SERVE-159", tmp_path / "empty", "no archive"):
        find_archive(str(tmp_path / "empty"), store=tmp_path / "absent")


def test_a_model_of_the_store_is_preferred_to_a_folder_of_its_name(
    store: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_archive: MakeArchive
) -> None:
    """Runs are often called as their models are."""
    folder = store("1.0")
    monkeypatch.chdir(tmp_path)
    make_archive(tmp_path / "topics", "other", "3.0")
    assert find_archive("topics", store=folder) == folder / "topics-1.0.mar"
    assert find_archive("./topics", store=folder) == Path("topics/other-3.0.mar")
    make_archive(tmp_path / "films", "films", "2.0")
    assert find_archive("films", store=folder) == Path("films/films-2.0.mar")


def test_a_damaged_file_that_may_be_the_newest_is_not_passed_over(store: Fill) -> None:
    folder = store("1.0")
    (folder / "films-9.mar").write_bytes(b"half of it")
    assert find_archive("topics", store=folder) == folder / "topics-1.0.mar"
    (folder / "topics-1.1.mar").write_bytes(b"half of it")
    with refused(InputError, "LX-SERVE-160", folder, "topics", "topics-1.1.mar"):
        find_archive("topics", store=folder)
    assert find_archive("topics:1.0", store=folder) == folder / "topics-1.0.mar"
    with refused(InputError, "LX-SERVE-160", folder, "topics:1.1", "topics-1.1.mar"):
        find_archive("topics:1.1", store=folder)


def test_versions_without_an_order_are_to_be_named(tmp_path: Path, make_archive: MakeArchive) -> None:
    for version in ("1.0", "latest"):
        make_archive(tmp_path, "a", version)
    with refused(InputError, "LX-SERVE-160", tmp_path, "a", "latest"):
        find_archive("a", store=tmp_path)
    assert find_archive("a:latest", store=tmp_path) == tmp_path / "a-latest.mar"


def test_two_files_of_one_version_must_be_the_same(tmp_path: Path, pack: Pack) -> None:
    shutil.copy(pack("1.0"), tmp_path / "x.mar")
    shutil.copy(pack("1.0"), tmp_path / "y.mar")
    assert find_archive("topics", store=tmp_path) == tmp_path / "x.mar"
    shutil.copy(pack("1.0", profile="latency"), tmp_path / "y.mar")
    for source in ("topics", "topics:1.0"):
        with refused(InputError, "LX-SERVE-160", tmp_path, "topics:1.0", "y.mar"):
            find_archive(source, store=tmp_path)
