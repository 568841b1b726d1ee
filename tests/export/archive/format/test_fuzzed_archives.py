"""Damaged archives: refused with a reason, or the very same contents. Never another error, never a file outside."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError
from lexport.export.archive.format.reader import extracted
from lexport.export.archive.verify import verify

ArchiveOf = Callable[[str], Path]

Damage = Callable[[bytearray, random.Random], None]


def flip_bits(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def flip_in_directory(content: bytearray, draw: random.Random) -> None:
    """The directory at the end, and the small members before it, are where damage is interesting."""
    for _ in range(draw.randint(1, 4)):
        content[-draw.randint(1, min(4000, len(content)))] = draw.randrange(256)


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content)) :]


def remove(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    del content[start : start + draw.randint(1, 200)]


def insert(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    content[start:start] = draw.randbytes(draw.randint(1, 200))


def repeat(content: bytearray, draw: random.Random) -> None:
    start, length = draw.randrange(len(content)), draw.randint(1, 3000)
    content[start:start] = content[start : start + length]


def move(content: bytearray, draw: random.Random) -> None:
    start, target, length = draw.randrange(len(content)), draw.randrange(len(content)), draw.randint(1, 3000)
    part = content[start : start + length]
    content[target : target + len(part)] = part


def extreme(content: bytearray, draw: random.Random) -> None:
    """Sizes and offsets at their limits."""
    start = len(content) - draw.randint(4, min(4000, len(content)))
    content[start : start + 4] = draw.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"])


DAMAGES: tuple[Damage, ...] = (flip_bits, flip_in_directory, cut, remove, insert, repeat, move, extreme)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def attack(good: Path, folder: Path, seed: int, count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Damage an archive `count` times and open what comes of it; how many were refused."""
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with extracted(good) as whole:
        expected = digests(whole)
    content, draw, path = good.read_bytes(), random.Random(seed), folder / "bad.mar"
    refused = 0
    for _ in range(count):
        damaged = bytearray(content)
        for damage in draw.choices(DAMAGES, k=draw.randint(1, 2)):
            if damaged:
                damage(damaged, draw)
        path.write_bytes(damaged)
        held = True
        try:
            verify(path)
        except (InputError, RefusedError):
            held = False
        try:
            with extracted(path) as found:
                assert digests(found) == expected
        except (InputError, RefusedError):
            refused += 1
            assert not held
        assert sorted(one.name for one in folder.iterdir()) == ["bad.mar", "temporary"]
        assert list(temporary.iterdir()) == []
    return refused


def test_a_few_hundred_damaged_archives(
    archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attack(archive_of("onnx-int8"), tmp_path, 0, 300, monkeypatch) > 200


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("variant", ["onnx-int8", "torchscript-int8"])
def test_ten_thousand_damaged_archives(
    archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, seed: int
) -> None:
    assert attack(archive_of(variant), tmp_path, seed, 1250, monkeypatch) > 800
