"""What hides in an archive is found without opening it: pickles in any form, and programs that touch files."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import RefusedError
from lexport.export.archive.format import pickles as pickles_module
from lexport.export.archive.format.contents import problems
from lexport.export.archive.format.opcodes import is_pickle
from lexport.export.archive.format.pickles import pickles
from lexport.export.archive.verify import verify

from ....handlers.engine.test_operators import Reads, Writes, scripted
from ....refusals import refused
from ....trust_cases import members_of
from ..test_verify import changed

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

CALL = b"cos\nsystem\n(S'true'\ntR."


class Bomb:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def zipped(content: bytes, name: str = "inner", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def tarred(content: bytes, kind: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        member = tarfile.TarInfo("inner")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def found(content: bytes, name: str = "member.bin") -> list[str]:
    with zipfile.ZipFile(io.BytesIO(zipped(content, name))) as archive:
        return [*pickles(archive)]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value", [Bomb(), [Bomb()] * 3, Bomb, ["a"], {"a": 1.5}], ids=["bomb", "bombs", "class", "list", "dict"]
)
def test_a_pickle_of_any_protocol_is_found(protocol: int, value: object) -> None:
    assert found(pickle.dumps(value, protocol)) == ["member.bin"]


@pytest.mark.parametrize(
    "content",
    [
        CALL[:-1],  # it has run before it is seen to be cut off
        CALL + b"and more",
        b"(0" + CALL,
        b"I0x10\n0" + CALL,
        b"V" + b"a" * 200_000 + b"\n0" + CALL,
        b"X\0\0\x10\0" + b"a" * (1 << 20) + b"0" + CALL,
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"cos\nenviron\n}S'A'\nS'B'\nsb.",
        b"N" * 100_001,
    ],
)
def test_a_pickle_written_by_hand_is_found(content: bytes) -> None:
    assert found(content) == ["member.bin"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(CALL, mtime=0), "packed by gzip"),
        (bz2.compress(CALL), "packed by bzip2"),
        (lzma.compress(CALL), "packed by xz"),
        (lzma.compress(CALL, lzma.FORMAT_ALONE), "packed by lzma"),
        (zlib.compress(CALL), "packed by zlib"),
        (zlib.compress(random.Random(1).randbytes(100_000)), "packed by zlib"),
        (tarred(CALL, tarfile.GNU_FORMAT), "a tar file"),
        (tarred(CALL, tarfile.PAX_FORMAT), "a tar file"),
        (zipped(CALL), "inner"),
        (b"#!/bin/sh\n" * 99 + zipped(CALL), "inner"),
        (zipped(b"x" * 99, "evil.pkl"), "evil.pkl"),
        (zipped(zipped(CALL)), "inner: a zip"),
        (zipped(gzip.compress(CALL, mtime=0)), "inner: packed by gzip"),
        (zipped(CALL)[:-30], "a damaged zip"),
        (zipped(bytes(200 << 20)), "more to look into than it has bytes"),
    ],
)
def test_what_can_hide_a_pickle_is_named(content: bytes, what: str) -> None:
    assert found(content) == [f"member.bin: {what}"]


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\nbird\n.\nthe\n",
        "can\nand\ncome\nbut\nbe\n",
        "the\n,\n.\nof\n",
        '{"a": 1}\n',
        "I am\n.\n",
        "(it\nis so\n",
        "x^2 + 1\n",
        "N\n.\n",
        "",
    ],
)
def test_words_and_other_text_are_no_pickle(text: str) -> None:
    assert found(text.encode(), "vocabulary.txt") == []


NEARLY = b"(" + b"N" * 99_000 + b"t\xff"  # no pickle, which is found out late


@pytest.mark.parametrize(
    "costly",
    [
        {f"{number}.bin": NEARLY for number in range(20)},
        {f"{number}.bin": zipped(NEARLY) for number in range(20)},
        {f"{number}.bin": b"" for number in range(20_000)},
    ],
    ids=["opcodes", "opcodes in zips", "members"],
)
def test_an_archive_is_looked_into_for_so_many_steps(
    monkeypatch: pytest.MonkeyPatch, costly: dict[str, bytes]
) -> None:
    monkeypatch.setattr(pickles_module, "_STEPS", 1_000_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in costly.items():
            archive.writestr(name, content)
    with zipfile.ZipFile(buffer) as archive:
        assert [name.partition(": ")[2] for name in pickles(archive)] == ["too much to look into"]


def test_random_bytes_are_no_pickle() -> None:
    draw = random.Random(7)
    assert not any(is_pickle(io.BytesIO(draw.randbytes(256))) for _ in range(20_000))
    # A tensor begins as pickles do by a chance of 1 in 10,000; then at most so many in a thousand read on as one.
    marked = [is_pickle(io.BytesIO(bytes([0x80, 2 + number % 4]) + draw.randbytes(256))) for number in range(20_000)]
    assert sum(marked) < 100


def test_no_file_of_the_kit_is_a_pickle() -> None:
    root = Path(__file__).parents[4]
    files = [*root.glob("handlers/**/*.py"), *root.glob("docs/*.md"), *root.glob("tests/**/*.py")]
    assert len(files) > 50
    for file in files:
        assert found(file.read_bytes()) == [], file


@pytest.mark.parametrize("variant", ["torchscript-int8", "pt2-fp32", "onnx-fp16", "onnx-int8-text"])
def test_archives_of_every_engine_have_no_problem(archive_of: Callable[[str], Path], variant: str) -> None:
    with zipfile.ZipFile(archive_of(variant)) as mar:
        assert list(problems(mar)) == []


def test_a_torchscript_files_own_pickles_are_so_only_where_model_json_names_it(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    def undeclared(members: dict[str, bytes]) -> None:
        members["other.pt"] = members["model.pt"]

    with zipfile.ZipFile(changed(archive_of("torchscript-fp32"), undeclared, tmp_path / "bad.mar")) as mar:
        assert [name.partition("/")[2] for name in pickles(mar)] == ["data.pkl", "constants.pkl"]


@pytest.mark.parametrize(("attack", "operator"), [(Writes, "torch.save"), (Reads, "torch.from_file")])
def test_verify_refuses_a_program_that_touches_files_by_its_operator(
    archive_of: Callable[[str], Path], tmp_path: Path, attack: Callable[[str], Writes], operator: str
) -> None:
    program = scripted(attack("/tmp/file"), tmp_path / "model.pt").read_bytes()
    bad = changed(
        archive_of("torchscript-fp32"), lambda members: members.update({"model.pt": program}), tmp_path / "bad.mar"
    )
    with refused(RefusedError, "LX-ARCHIVE-038", "model.pt: code/", f"'{operator}'"):
        verify(bad)


def _moved(content: bytes) -> bytes:
    return bytes(64) + content


def _with_comment(content: bytes) -> bytes:
    return content[:-2] + b"\1\0x"


def _pointed_elsewhere(content: bytes) -> bytes:
    _, count, size, place = struct.unpack("<HHLL2x", content[-14:])
    large = struct.pack(
        "<4sQHHLLQQQQ4sLQL", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, place, b"PK\6\7", 0, 0, 1
    )
    return content[:-22] + large + content[-22:]


@pytest.mark.parametrize("change", [_moved, _with_comment, _pointed_elsewhere])
@pytest.mark.parametrize("variant", ["torchscript-fp32", "pt2-fp32"])
def test_verify_refuses_a_model_file_in_which_torch_could_find_other_members(
    archive_of: Callable[[str], Path], tmp_path: Path, variant: str, change: Callable[[bytes], bytes]
) -> None:
    file = "model.pt" if variant == "torchscript-fp32" else "model.pt2"
    with zipfile.ZipFile(io.BytesIO(change(members_of(archive_of(variant))[file]))) as still_a_zip:
        assert still_a_zip.testzip() is None
    bad = changed(
        archive_of(variant), lambda members: members.update({file: change(members[file])}), tmp_path / "bad.mar"
    )
    with refused(RefusedError, "LX-ARCHIVE-038", f"{file} is a zip"):
        verify(bad)


def test_verify_refuses_an_exported_program_that_reads_files(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    def change(members: dict[str, bytes]) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(members["model.pt2"])) as old, zipfile.ZipFile(buffer, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name.endswith("models/model.json"):
                    graph = json.loads(content)
                    graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"
                    content = json.dumps(graph).encode()
                new.writestr(name, content)
        members["model.pt2"] = buffer.getvalue()

    with refused(RefusedError, "LX-ARCHIVE-038", "model.pt2 has 'torch.ops.aten.from_file.default' as target"):
        verify(changed(archive_of("pt2-fp32"), change, tmp_path / "bad.mar"))
