"""A small archive costs little: whatever it would expand to is refused before it is read."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.export.archive.format import budgets
from lexport.export.archive.format.reader import EVIDENCE, extracted, open_archive, read_json, read_member
from lexport.export.archive.verify import verify
from lexport.serving.store import read
from lexport.storage.strict_json import parse_json

from ....refusals import refused
from ....trust_cases import repacked

KEPT = Path(__file__).parents[1] / "kept" / "schema-1.mar"
MIB = 2**20

# In a process of its own: the largest resident memory of commands that read an archive, before and after, in MB.
MEASURE = """
import resource, sys
from pathlib import Path
from lexport.errors import InputError, RefusedError
from lexport.export.archive.inspect import inspect
from lexport.export.targets import open_target
from lexport.export.archive.format.reader import extracted
from lexport.serving.store import read
import lexport.handlers.worker
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def unpack(path):
    with extracted(path):
        pass
def judge(path):
    with open_target(path, ()):
        pass
before = peak()
for command in (inspect, read, unpack, judge):
    try:
        command(Path(sys.argv[1]))
    except (InputError, RefusedError) as error:
        print(f"{command.__name__}: {error}", file=sys.stderr)
print(peak() - before)
"""


def packed(path: Path, changes: dict[str, bytes]) -> Path:
    """The kept archive, deflated, with members of other contents; its digests are right."""
    with zipfile.ZipFile(KEPT) as before:
        members = {name: before.read(name) for name in before.namelist()} | changes
    if "MAR-INF/DIGESTS" not in changes:
        listed = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
        del listed["MAR-INF/DIGESTS"]
        members["MAR-INF/DIGESTS"] = "".join(f"{listed[name]}  {name}\n" for name in sorted(listed)).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as after:
        for name, content in members.items():
            after.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "largest"),
    [
        ("MAR-INF/EVIDENCE.json", lambda: b"[" + b"[]," * 80_000_000 + b"[]]", MIB // 2),
        ("MAR-INF/MANIFEST.json", lambda: b"[" * 200 * MIB, MIB // 2),
        ("MAR-INF/DIGESTS", lambda: b"0" * 200 * MIB, MIB // 2),
        ("labels.json", lambda: b'["' + b'a","' * 50_000_000 + b'a"]', MIB // 2),
        ("golden.jsonl", lambda: b"{}\n" * 100_000_000, MIB),
        ("vocabulary.txt", lambda: b"\n" * 240_000_000, MIB),
    ],
    ids=["lists", "nested", "digests", "labels", "goldens", "vocabulary"],
)
def test_a_small_archive_with_a_huge_member_costs_less_than_100_mb(
    tmp_path: Path, name: str, content: Callable[[], bytes], largest: int
) -> None:
    path = packed(tmp_path / "bomb.mar", {name: content()})
    assert path.stat().st_size < largest
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert float(done.stdout) < 100, done.stderr
    for reader in ("inspect", "read", "unpack", "judge"):
        assert f"{reader}: {path}" in done.stderr
    assert name in done.stderr


def test_a_large_configuration_is_not_parsed(tmp_path: Path) -> None:
    path = packed(tmp_path / "bomb.mar", {"model-config.yaml": b"- [a]\n" * 200_000})
    with refused(InputError, "LX-ARCHIVE-042", "model-config.yaml", "1,200,000", "65,536"):
        read(path)
    other = tmp_path / "theirs.mar"
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MAR-INF/MANIFEST.json", '{"model": {"modelName": "m", "configFile": "config.yaml"}}')
        archive.writestr("config.yaml", b"- [a]\n" * 200_000)
    with refused(InputError, "LX-ARCHIVE-042", "config.yaml", "1,200,000", "65,536"):
        read(other)


def test_a_member_larger_than_its_limit_is_refused_before_it_is_read() -> None:
    with open_archive(KEPT) as archive:
        assert len(read_member(archive, "labels.json", 40)) == 40
        with refused(InputError, "LX-ARCHIVE-042", "labels.json", "40", "39"):
            read_member(archive, "labels.json", 39)
        with refused(InputError, "LX-ARCHIVE-073", "absent.json"):
            read_member(archive, "absent.json")


def test_more_members_than_an_archive_ever_has_are_refused(tmp_path: Path) -> None:
    many, more = tmp_path / "many.mar", tmp_path / "more.mar"
    for path, count in ((many, budgets.MAX_MEMBERS + 1), (more, 90_000)):
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(count):
                archive.writestr(f"folder/{number:050}", b"")
    with refused(InputError, "LX-ARCHIVE-043", "20,001", "20,000"), open_archive(many):
        pass
    with (
        refused(InputError, "LX-ARCHIVE-072", "8,388,608"),
        open_archive(more),
    ):
        pass


def test_what_a_model_of_many_labels_has_is_read(tmp_path: Path) -> None:
    labels = [f"a label of some words, number {number}" for number in range(100_000)]
    content = ("[\n" + ",\n".join(f'  "{label}"' for label in labels) + "\n]\n").encode()
    assert len(content) > 3 * MIB
    assert parse_json(content) == labels
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = tmp_path / f"{method}.mar"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("MAR-INF/EVIDENCE.json", b"{}")
            archive.writestr("labels.json", content)
        with open_archive(path) as opened:
            assert read_member(opened, "labels.json") == content


def test_the_kept_archive_is_well_within_every_limit() -> None:
    with open_archive(KEPT) as archive:
        for member in archive.infolist():
            assert member.file_size * 20 < budgets.limit_of(member.filename)
    assert read_json(KEPT, "MAR-INF/EVIDENCE.json")["variant"] == verify(KEPT).variant
    with extracted(KEPT) as folder:
        assert (folder / "handler.py").is_file()


def test_what_is_unpacked_for_this_process_has_the_sizes_of_lexports_members_without_evidence_too(
    tmp_path: Path,
) -> None:
    lists = b"[" + b"[]," * 6_000_000 + b"[]]"
    bomb = repacked(KEPT, {"labels.json": lists, EVIDENCE: None}, tmp_path / "m.mar")
    with refused(InputError, "LX-ARCHIVE-042", "labels.json", "18,000,004"), extracted(bomb):
        pass
