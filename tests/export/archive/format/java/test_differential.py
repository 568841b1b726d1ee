"""What Python verifies is what TorchServe's Java unpacks: many altered archives, both readers, no difference."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lexport.errors import InputError, MissingExtra, RefusedError
from lexport.export.archive.format.reader import EVIDENCE, blocks, open_archive
from lexport.export.archive.format.writer import rewrite, write_zip
from lexport.serving.torchserve.java import find_java

from .....refusals import refused

HERE = Path(__file__).parent


def beside(name: str) -> ModuleType:
    """The module of that name in this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"differential_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


before, mutants = beside("before"), beside("mutants")

Views = Callable[[Sequence[Path]], list[dict[str, Any]]]

CONTENTS = {
    EVIDENCE: b'{"variant": "onnx-int8"}\n' * 3,
    "MAR-INF/MANIFEST.json": b'{"model": {"modelName": "kept"}}\n',
    "handler.py": b"from lexport_handlers.worker import Worker\n" * 4,
    "lexport_handlers/__init__.py": b"",
    "model.onnx": bytes(range(256)) * 2,
}


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Views:
    """What Java unpacks of many archives."""
    compiler = shutil.which("javac")
    if compiler is None:
        pytest.skip("no javac to compile tests/java/Unpack.java with")
    try:
        runtime = find_java().path
    except MissingExtra as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("classes")
    subprocess.run([compiler, "--release", "11", "-d", folder, HERE / "Unpack.java"], check=True, timeout=120)

    def unpack(paths: Sequence[Path]) -> list[dict[str, Any]]:
        asked = "".join(f"{path}\n" for path in paths)
        command = [str(runtime), "-Xmx128m", "-cp", str(folder), "Unpack"]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=300, check=True)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(found) == len(paths)
        return found

    return unpack


def contents(path: Path) -> dict[str, str] | None:
    """The SHA-256 of each file as our reader reads it, None where it refuses the archive."""
    try:
        with open_archive(path) as archive:
            found = {}
            for member in archive.infolist():
                if not member.is_dir():
                    digest = hashlib.sha256()
                    for block in blocks(archive, member):
                        digest.update(block)
                    found[member.filename] = digest.hexdigest()
            return found
    except InputError:
        return None


def is_unpacked(files: dict[str, str], view: dict[str, Any]) -> bool:
    """Whether Java unpacks exactly these files."""
    return view["error"] is None and view["files"] == files


def is_attack(files: dict[str, str], view: dict[str, Any]) -> bool:
    """Whether Java, which may fail half-way, unpacks files that were not read, or ends without some that were."""
    if view["error"] is not None:
        return any(files.get(name) != digest for name, digest in view["files"].items())
    return bool(view["files"] != files)


def kinds(evidence: bool) -> list[list[Any]]:
    """The parts of the archives that are altered: stored and sorted as lexport's, deflated, and mixed."""
    members = {name: content for name, content in CONTENTS.items() if evidence or name != EVIDENCE}
    stored = [mutants.Part(name.encode(), content) for name, content in sorted(members.items())]
    deflated = [mutants.Part(part.name, part.content, True) for part in reversed(stored)]
    mixed = [*stored[:2], *deflated[:-2]]
    return [stored, deflated, mixed]


def made(folder: Path, seed: int, count: int, *, evidence: bool = True) -> Iterator[list[Path]]:
    """`count` altered archives, some hundred at a time; those before are removed."""
    draw, plans = random.Random(seed), kinds(evidence)
    for first in range(0, count, 500):
        paths = []
        for number in range(first, min(first + 500, count)):
            path = folder / f"{number}.mar"
            path.write_bytes(mutants.mutant(plans[number % len(plans)], draw))
            paths.append(path)
        yield paths
        for path in paths:
            path.unlink()


def compare(java: Views, folder: Path, seed: int, count: int) -> tuple[int, int]:
    """Of `count` altered archives how many our reader accepts, and how many the reader before accepted wrongly."""
    accepted, wrong = 0, 0
    for paths in made(folder, seed, count):
        for path, view in zip(paths, java(paths), strict=True):
            files = contents(path)
            if files is not None and EVIDENCE in files:
                accepted += 1
                assert is_unpacked(files, view), (seed, path.name, files, view)
            files = before.contents(path)
            wrong += files is not None and is_attack(files, view)
    return accepted, wrong


def test_java_unpacks_nothing_else_of_a_thousand_altered_archives(java: Views, tmp_path: Path) -> None:
    accepted, wrong = compare(java, tmp_path, 0, 1000)
    assert accepted > 10  # changes that change nothing, such as a date's
    assert wrong >= 30  # and the comparison can fail


@pytest.mark.long
def test_java_unpacks_nothing_else_of_ten_thousand_altered_archives(java: Views, tmp_path: Path) -> None:
    accepted, wrong = compare(java, tmp_path, 1, 10_000)
    assert accepted > 100
    assert wrong >= 300


@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.long)])
def test_what_is_rewritten_of_a_strangers_archive_is_what_was_read(java: Views, tmp_path: Path, count: int) -> None:
    written = 0
    for paths in made(tmp_path, 2, count, evidence=False):
        anew = {}
        for path in paths:
            files, target = contents(path), path.with_suffix(".new")
            try:
                rewrite(path, target)
            except (InputError, RefusedError):
                assert not target.exists()
            else:
                assert files is not None
                anew[target] = files
        for (target, files), view in zip(anew.items(), java(list(anew)), strict=True):
            assert is_unpacked(files, view), (target.name, files, view)
            target.unlink()
        written += len(anew)
    assert written > count / 20


def zipped(path: Path, method: int) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
    return path


def test_archives_of_either_form_are_accepted_and_unpacked_alike(
    java: Views, tmp_path: Path, archive_of: Callable[[str], Path]
) -> None:
    with (tmp_path / "ours.mar").open("w+b") as handle:
        write_zip(handle, CONTENTS)
    whole = [
        tmp_path / "ours.mar",
        zipped(tmp_path / "stored.mar", zipfile.ZIP_STORED),
        zipped(tmp_path / "deflated.mar", zipfile.ZIP_DEFLATED),
        archive_of("onnx-int8"),
        archive_of("torchscript-int8"),
        *sorted(HERE.parents[1].glob("kept/*.mar")),
    ]
    for number, parts in enumerate(kinds(evidence=True)):
        path = tmp_path / f"{number}.mar"
        path.write_bytes(mutants.built(mutants.Zip(parts)))
        whole.append(path)
    for path, view in zip(whole, java(whole), strict=True):
        files = contents(path)
        assert files is not None
        assert is_unpacked(files, view), path


def test_a_member_hidden_behind_a_stored_one_is_found_by_java_and_refused(java: Views, tmp_path: Path) -> None:
    """The reader before took as many bytes as the size says, and stepped over the rest."""
    stored, *_ = kinds(evidence=True)
    parts = [*stored[:-1], mutants.Part(b"model.onnx", b"rows", slack=mutants.member(b"handler.py"))]
    path = tmp_path / "signed.mar"
    path.write_bytes(mutants.built(mutants.Zip(parts)))
    [view] = java([path])
    hidden = hashlib.sha256(mutants.HIDDEN).hexdigest()
    assert view["files"]["handler.py"] == hidden
    found = before.contents(path)
    assert found is not None
    assert found["handler.py"] != hidden
    with (
        refused(InputError, "LX-ARCHIVE-061", "'model.onnx'", "4"),
        open_archive(path),
    ):
        pass
