"""An archive is written block by block, to the bytes it would have if it were held in memory."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError, RefusedError
from lexport.export.archive.format import layout
from lexport.export.archive.format.reader import open_archive, read_member
from lexport.export.archive.format.writer import Content, HashedFile, digest_of, rewrite, write_zip
from lexport.export.archive.verify import verify

from ....refusals import refused

ArchiveOf = Callable[[str], Path]


def measured(path: Path, content: bytes) -> HashedFile:
    path.write_bytes(content)
    return HashedFile(path, hashlib.sha256(content).hexdigest())


def at_once(members: dict[str, bytes]) -> bytes:
    """Every member held in memory, as zipfile writes it in one go."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(members.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)
    return buffer.getvalue()


@given(st.dictionaries(st.text("abü/", min_size=1, max_size=5), st.tuples(st.binary(max_size=300), st.booleans())))
def test_files_and_bytes_make_the_same_zip(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, tuple[bytes, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("members")
    contents: dict[str, Content] = {
        name: measured(folder / str(number), content) if on_disk else content
        for number, (name, (content, on_disk)) in enumerate(members.items())
    }
    buffer = io.BytesIO()
    write_zip(buffer, contents)
    assert buffer.getvalue() == at_once({name: content for name, (content, _) in members.items()})
    for name, (content, _) in members.items():
        assert digest_of(contents[name]) == hashlib.sha256(content).hexdigest()


@given(st.lists(st.integers(0, 300), max_size=6), st.integers(20, 400))
def test_large_members_and_archives_are_written_as_zipfile_writes_them(sizes: list[int], limit: int) -> None:
    """Sizes and offsets beyond the limit for ZIP64, which is 2 GiB - 1 and lower here."""
    # Between this and the limit zipfile writes a header that depends on the version of Python.
    members = {f"{number}.bin": bytes(size) for number, size in enumerate(sizes) if not limit / 1.05 < size <= limit}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", limit)
        patch.setattr(layout, "ZIP64_LIMIT", limit)
        buffer = io.BytesIO()
        write_zip(buffer, members)
        assert buffer.getvalue() == at_once(members)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_with_zip64_are_read_and_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: int
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    monkeypatch.setattr(layout, "ZIP64_LIMIT", 1000)
    members = {"MAR-INF/EVIDENCE.json": b"{}", "a.bin": bytes(900), "b.bin": bytes(980), "c.bin": bytes(2000)}
    source, target = tmp_path / "a.mar", tmp_path / "b.mar"
    with zipfile.ZipFile(source, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    rewrite(source, target)
    with zipfile.ZipFile(target) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members
    rewrite(target, tmp_path / "c.mar")
    assert (tmp_path / "c.mar").read_bytes() == target.read_bytes()


def test_sizes_that_python_3_12_leaves_to_zip64_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a member just below the limit; `lexport archive` writes it as Python 3.11 does."""
    monkeypatch.setattr(layout, "ZIP64_LIMIT", 1000)
    content = bytes(980)
    entry = layout.Entry("MAR-INF/EVIDENCE.json", 980, zlib.crc32(content), 980)
    written = set()
    for masked in (False, True):
        entry = replace(entry, masked=masked)
        path = tmp_path / f"{masked}.mar"
        path.write_bytes(layout.header(entry) + content + layout.tail([entry]))
        with open_archive(path) as archive:
            assert read_member(archive, entry.name) == content
        written.add(path.read_bytes())
    assert len(written) == 2


def test_a_large_member_is_never_held_in_memory(tmp_path: Path) -> None:
    size = 50_000_000
    table = measured(tmp_path / "table", bytes(size))
    tracemalloc.start()
    try:
        with (tmp_path / "x.mar").open("w+b") as handle:
            write_zip(handle, {"table": table, "small": b"x"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 10
    with zipfile.ZipFile(tmp_path / "x.mar") as archive:
        assert archive.testzip() is None
        assert archive.getinfo("table").file_size == size


def test_a_file_that_is_gone_or_changed_is_refused_by_name(tmp_path: Path) -> None:
    table = measured(tmp_path / "table", b"rows")
    table.path.write_bytes(b"Rows")
    with refused(RefusedError, "LX-ARCHIVE-085", "table was altered since it was measured"):
        write_zip(io.BytesIO(), {"table": table})
    table.path.write_bytes(b"rows and more")
    with refused(RefusedError, "LX-ARCHIVE-085", "table was altered since it was measured"):
        write_zip(io.BytesIO(), {"table": table})
    table.path.unlink()
    with refused(InputError, "LX-ARCHIVE-086", "table cannot be read: No such file"):
        write_zip(io.BytesIO(), {"table": table})


def test_a_full_disk_is_not_blamed_on_the_file_read(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_zip(Full(), {"table": measured(tmp_path / "table", b"rows")})


@pytest.mark.parametrize("variant", ["onnx-int8", "torchscript-int8"])
def test_an_archive_of_ours_rewritten_is_the_same_to_the_byte(
    archive_of: ArchiveOf, tmp_path: Path, variant: str
) -> None:
    kept = Path(__file__).parents[1] / "kept" / "schema-1.mar"
    for number, source in enumerate((archive_of(variant), kept)):
        target = tmp_path / f"{number}.mar"
        rewrite(source, target)
        assert target.read_bytes() == source.read_bytes()


def deflated(source: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """An archive packed as torch-model-archiver packs, with members changed, added or, where None, left out."""
    with zipfile.ZipFile(source) as before:
        members = {name: before.read(name) for name in before.namelist()} | changes
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as after:
        for name, content in members.items():
            if content is not None:
                after.writestr(name, content)
    return target


def test_an_archive_packed_by_another_is_rewritten_as_ours(archive_of: ArchiveOf, tmp_path: Path) -> None:
    source = deflated(archive_of("onnx-int8"), tmp_path / "theirs.mar", {})
    rewrite(source, tmp_path / "anew.mar")
    assert (tmp_path / "anew.mar").read_bytes() == archive_of("onnx-int8").read_bytes()
    assert verify(tmp_path / "anew.mar").name == "topics"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"labels.json": b"[]"}, ("LX-ARCHIVE-085", "labels.json")),
        ({"labels.json": None}, ("LX-ARCHIVE-084", "labels.json")),
        ({"more.py": b"x"}, ("LX-ARCHIVE-083", "more.py", "MAR-INF/DIGESTS")),
        ({"MAR-INF/DIGESTS": b"what"}, ("LX-ARCHIVE-083", "MAR-INF/DIGESTS", "1", "'what'")),
    ],
)
def test_what_differs_from_its_digests_is_not_rewritten(
    archive_of: ArchiveOf, tmp_path: Path, changes: dict[str, bytes | None], error: tuple[str, ...]
) -> None:
    source = deflated(archive_of("onnx-int8"), tmp_path / "theirs.mar", changes)
    with refused(RefusedError, *error):
        rewrite(source, tmp_path / "out" / "anew.mar")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.mar"]


def test_a_disk_that_is_full_is_not_blamed_on_the_archive(
    archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        rewrite(archive_of("onnx-int8"), tmp_path / "anew.mar")
    assert list(tmp_path.iterdir()) == []


def test_a_strangers_archive_is_rewritten_without_its_folders(tmp_path: Path) -> None:
    """As `zip -r` makes them: folders as members, times and owners in extra fields, names in UTF-8 without a flag."""
    source, target = tmp_path / "theirs.mar", tmp_path / "anew.mar"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        for name in ("folder/\u00e4.txt", "handler.py"):
            entry = zipfile.ZipInfo(name)
            entry.extra = b"UT\5\0\3rst\0"
            archive.writestr(entry, f"content of {name}")
    content = source.read_bytes()
    flagged = b"\0\x08"
    assert content.count(flagged) >= 2
    source.write_bytes(content.replace(b"\x14\0" + flagged, b"\x14\0\0\0"))
    rewrite(source, target)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["folder/\u00e4.txt", "handler.py"]
        assert archive.read("folder/\u00e4.txt").decode() == "content of folder/\u00e4.txt"
        assert all(one.extra == b"" and one.date_time[0] == 1980 for one in archive.infolist())
