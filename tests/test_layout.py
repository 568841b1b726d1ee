"""What TorchServe unpacks, from a zip's beginning on, is what lexport checks, by the directory at its end."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.export.inprocess import opened
from lexport.export.layout import check_layout
from lexport.export.verify import verify
from lexport.serving.store import read

ArchiveOf = Callable[[str], Path]
NAMES = ["a.txt", "folder/b.txt", "ä.txt", "last.txt"]


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
    with zipfile.ZipFile(path) as archive:
        check_layout(path, archive)


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
    with pytest.raises(InputError, match=r"holds bytes before .* that its directory does not list"):
        check(path)


def test_what_lies_before_the_first_member_is_found(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar")
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with pytest.raises(InputError, match=r"bytes before 'a.txt'"):
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
    with pytest.raises(InputError, match=r"says two things of 'a.txt'"):
        check(path)


def test_a_header_that_contradicts_how_its_name_is_spelt_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("好.txt", "text")
    content = bytearray(path.read_bytes())
    content[7] ^= 8  # the flag that says UTF-8
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"says two things of '好.txt'"):
        check(path)


@pytest.mark.parametrize("place", [4, 12])
def test_a_large_members_sizes_among_the_extras_are_compared_too(tmp_path: Path, place: int) -> None:
    path = packed(tmp_path / "a.mar", large=True)
    content = bytearray(path.read_bytes())
    extra = 30 + len("a.txt")
    assert content[extra : extra + 4] == b"\1\0\x10\0"
    content[extra + place] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"says two things of 'a.txt'"):
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
    with pytest.raises(InputError, match=r"'a.txt' without its size before it"):
        check(tmp_path / "a.mar")


def test_every_reader_refuses_an_archive_with_a_hidden_member(archive_of: ArchiveOf, tmp_path: Path) -> None:
    path = tmp_path / "topics.mar"
    path.write_bytes(archive_of("onnx-int8").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../smuggled.py", "print('here')")
        del archive.filelist[-1]
    with pytest.raises(InputError, match="before its directory"):
        verify(path)
    with pytest.raises(InputError, match="before its directory"), opened(path):
        pass
    with pytest.raises(InputError, match="before its directory"):
        read(path)
