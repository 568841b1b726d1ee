"""An archive is written block by block, to the bytes it would have if it were held in memory."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError, RefusedError
from lexport.export.zips import Content, Measured, digest_of, write_zip


def measured(path: Path, content: bytes) -> Measured:
    path.write_bytes(content)
    return Measured(path, hashlib.sha256(content).hexdigest())


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
    with pytest.raises(RefusedError, match="table was altered since it was measured"):
        write_zip(io.BytesIO(), {"table": table})
    table.path.write_bytes(b"rows and more")
    with pytest.raises(RefusedError, match="table was altered since it was measured"):
        write_zip(io.BytesIO(), {"table": table})
    table.path.unlink()
    with pytest.raises(InputError, match="table cannot be read: No such file"):
        write_zip(io.BytesIO(), {"table": table})


def test_a_full_disk_is_not_blamed_on_the_file_read(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_zip(Full(), {"table": measured(tmp_path / "table", b"rows")})
