"""What TorchServe unpacks, from a zip's beginning on, is what lexport checks, by the directory at its end."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.export.archive.format import layout
from lexport.export.archive.format.reader import blocks, open_archive
from lexport.export.archive.format.writer import write_zip
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.verify import verify
from lexport.serving.store import read

from ....refusals import refused

ArchiveOf = Callable[[str], Path]
NAMES = ["a.txt", "folder/b.txt", "ä.txt", "last.txt"]
MEMBERS = {"MAR-INF/EVIDENCE.json": b"{}", "empty.txt": b"", "handler.py": b"import this\n" * 9}


def packed(path: Path, *, method: int = zipfile.ZIP_STORED, hidden: int | None = None, large: bool = False) -> Path:
    """A zip of four members, one of which may lie there without being in the directory."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in NAMES:
            with archive.open(name, "w", force_zip64=large) as member:
                member.write(f"content of {name} ".encode() * 9)
        if hidden is not None:
            del archive.filelist[hidden]
    return path


def check(path: Path) -> None:
    """What an archive of anyone's is held to."""
    with open_archive(path):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("large", [False, True])
def test_members_end_to_end_pass(tmp_path: Path, method: int, large: bool) -> None:
    check(packed(tmp_path / "a.mar", method=method, large=large))


@pytest.mark.parametrize("hidden", range(len(NAMES)))
def test_a_member_that_the_directory_does_not_list_is_found(tmp_path: Path, hidden: int) -> None:
    path = packed(tmp_path / "a.mar", hidden=hidden)
    with zipfile.ZipFile(path) as archive:
        assert NAMES[hidden] not in archive.namelist()
        assert archive.testzip() is None
    with refused(InputError, "LX-ARCHIVE-062", "holds bytes before"):
        check(path)


def test_what_lies_before_the_first_member_is_found(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar")
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with refused(InputError, "LX-ARCHIVE-062", "bytes before 'a.txt'"):
        check(path)


@pytest.mark.parametrize(
    ("place", "what"),
    [(0, "signature"), (6, "flags"), (8, "method"), (14, "CRC"), (18, "packed size"), (22, "size"), (30, "name")],
)
@pytest.mark.parametrize("large", [False, True])
def test_a_header_that_differs_from_the_directory_is_found(
    tmp_path: Path, place: int, what: str, large: bool
) -> None:
    path = packed(tmp_path / "a.mar", large=large)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with refused(InputError, "LX-ARCHIVE-063", "'a.txt'"):
        check(path)


def test_a_header_that_contradicts_how_its_name_is_spelt_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("好.txt", "text")
    content = bytearray(path.read_bytes())
    content[7] ^= 8  # the flag that says UTF-8
    path.write_bytes(content)
    with refused(InputError, "LX-ARCHIVE-063", "'好.txt'"):
        check(path)


@pytest.mark.parametrize("place", [4, 12])
def test_a_large_members_sizes_among_the_extras_are_compared_too(tmp_path: Path, place: int) -> None:
    path = packed(tmp_path / "a.mar", large=True)
    content = bytearray(path.read_bytes())
    extra = 30 + len("a.txt")
    assert content[extra : extra + 4] == b"\1\0\x10\0"
    content[extra + place] ^= 1
    path.write_bytes(content)
    with refused(InputError, "LX-ARCHIVE-063", "'a.txt'"):
        check(path)


def test_a_member_without_its_size_before_it_is_refused(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        """Cannot be sought in, so that sizes come behind contents."""

        def __init__(self) -> None:
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("a.txt", "text")
    (tmp_path / "a.mar").write_bytes(pipe.content)
    with refused(InputError, "LX-ARCHIVE-059", "'a.txt'"):
        check(tmp_path / "a.mar")


def test_another_method_than_java_reads_is_refused(tmp_path: Path) -> None:
    with refused(InputError, "LX-ARCHIVE-060", "'a.txt'", "12", "0", "8"):
        check(packed(tmp_path / "a.mar", method=zipfile.ZIP_BZIP2))


def test_a_stored_member_with_bytes_behind_it_is_refused(tmp_path: Path) -> None:
    """Python reads as many as its size says; Java takes the rest for the next member."""
    path = packed(tmp_path / "a.mar")
    content = bytearray(path.read_bytes())
    for place in (22, content.index(b"PK\1\2") + 24):  # its size, before it and in the directory
        assert content[place] == 9 * len("content of a.txt ")
        content[place] -= 9
    path.write_bytes(content)
    with refused(InputError, "LX-ARCHIVE-061", "'a.txt'", "153", "144"):
        check(path)


def ours(path: Path) -> bytearray:
    """The bytes of an archive of ours, three members of which its evidence is the first."""
    with path.open("w+b") as handle:
        write_zip(handle, MEMBERS)
    return bytearray(path.read_bytes())


def changes() -> list[tuple[str, int, int]]:
    """Each byte of the headers, the directory and the end: where it is, counted from their beginnings."""
    header = [("header", place, 30) for place in range(4, 30)]
    directory = [("directory", place, 46) for place in range(4, 46)]
    return [*header, *directory, *(("end", place, 22) for place in range(4, 22))]


@pytest.mark.parametrize(("where", "place", "length"), changes())
def test_every_byte_around_a_member_is_as_the_writer_writes_it_or_contents_are_read_alike(
    tmp_path: Path, where: str, place: int, length: int
) -> None:
    """Dates, the system and the mode of a file may be another archiver's, the same in both places."""
    path = tmp_path / "a.mar"
    content = ours(path)
    starts = {"header": 0, "directory": content.index(b"PK\1\2"), "end": len(content) - length}
    content[starts[where] + place] ^= 4
    path.write_bytes(content)
    free = {("directory", one) for one in (40, 41)}  # the mode
    if (where, place) in free:
        check(path)
    else:
        with pytest.raises(InputError):
            check(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda content: content + b"\0", "the directory"),
        (lambda content: content[:-2] + b"\1\0x", "the directory"),
        (lambda content: content.replace(b"handler.py", b"./handle.p"), "'./handle.p'"),
        (lambda content: content.replace(b"handler.py", b"a//hand.py"), "'a//hand.py'"),
        (lambda content: content.replace(b"handler.py", b"handlr\xc3\xa4.p"), "'handlrä.p'"),
    ],
)
def test_what_only_an_archive_without_evidence_may_have(
    tmp_path: Path, change: Callable[[bytes], bytes], named: str
) -> None:
    path = tmp_path / "a.mar"
    content = change(bytes(ours(path)))
    path.write_bytes(content)
    with refused(InputError, "LX-ARCHIVE-058", path, "MAR-INF/EVIDENCE.json", named):
        check(path)
    path.write_bytes(content.replace(b"EVIDENCE", b"evidence"))
    check(path)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (b"handler.p\0", ("LX-ARCHIVE-051", r"'handler.p\x00'")),
        (b"handler\n.p", ("LX-ARCHIVE-051", r"'handler\n.p'")),
        (b"handler\x1b.p", ("LX-ARCHIVE-051", r"'handler\x1b.p'")),
        (b"abc\xe2\x80\xaeyp.e", ("LX-ARCHIVE-051", r"'abc\u202eyp.e'")),  # written from right to left
        (b"handler.p\xff", ("LX-ARCHIVE-070", "'utf-8'", "0xff")),
        (b"handler.p/", ("LX-ARCHIVE-056", "'handler.p/'")),
        (b"MAR-INF/EV", ("LX-ARCHIVE-045", "'mar-inf/ev'")),
    ],
)
def test_names_that_no_archive_may_have(tmp_path: Path, name: bytes, error: tuple[str, ...]) -> None:
    path = tmp_path / "a.mar"
    content = bytes(ours(path)).replace(b"handler.py", name).replace(b"EVIDENCE.json", b"EV/short.json")
    path.write_bytes(content)
    with refused(InputError, *error):
        check(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_as_torch_model_archiver_packs_them_are_accepted(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.mar"
    with zipfile.ZipFile(path, "w", method) as archive:
        for number, (name, content) in enumerate(sorted(MEMBERS.items(), reverse=True)):
            (tmp_path / str(number)).write_bytes(content)
            archive.write(tmp_path / str(number), name)
        archive.writestr("MAR-INF/MANIFEST.json", "{}")
    with open_archive(path) as archive:
        found = {one.filename: b"".join(blocks(archive, one)) for one in archive.infolist()}
    assert found == MEMBERS | {"MAR-INF/MANIFEST.json": b"{}"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda packed, content: (packed + b"\0", content), "deflated bytes"),
        (lambda packed, content: (packed[:-1], content), "deflated bytes"),
        (lambda packed, content: (packed, content[:-1]), "larger"),
        (lambda packed, content: (packed, content + b"x"), "CRC-32"),
        (lambda packed, content: (packed, b"X" + content[1:]), "CRC-32"),
        (lambda packed, content: (b"\xff" + packed[1:], content), "Error -3"),
    ],
)
def test_a_deflated_member_ends_exactly_where_it_says(
    tmp_path: Path, change: Callable[[bytes, bytes], tuple[bytes, bytes]], reason: str
) -> None:
    packer = zlib.compressobj(wbits=-15)
    packed, declared = change(packer.compress(MEMBERS["handler.py"]) + packer.flush(), MEMBERS["handler.py"])
    checksum = zlib.crc32(declared)
    entry = layout.Entry("MAR-INF/EVIDENCE.json", len(declared), checksum, len(packed), zipfile.ZIP_DEFLATED)
    path = tmp_path / "a.mar"
    path.write_bytes(layout.header(entry) + packed + layout.tail([entry]))
    with refused(InputError, "LX-ARCHIVE-070", path, reason), open_archive(path) as archive:
        list(blocks(archive, archive.infolist()[0]))


def test_every_reader_refuses_an_archive_with_a_hidden_member(archive_of: ArchiveOf, tmp_path: Path) -> None:
    path = tmp_path / "topics.mar"
    path.write_bytes(archive_of("onnx-int8").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../smuggled.py", "print('here')")
        del archive.filelist[-1]
    with refused(InputError, "LX-ARCHIVE-062", "before its directory"):
        verify(path)
    with refused(InputError, "LX-ARCHIVE-062", "before its directory"), load_archive(path):
        pass
    with refused(InputError, "LX-ARCHIVE-062", "before its directory"):
        read(path)
