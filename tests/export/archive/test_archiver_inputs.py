"""`lexport handler`: what torch-model-archiver packs holds as what lexport packs does, and nothing else passes."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.__main__ import run
from lexport.errors import InputError, RefusedError
from lexport.export.archive.archiver_inputs import write_archiver_inputs
from lexport.export.archive.diff import compare
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.verify import verify
from lexport.handlers.model.digests import check_digests

from ...refusals import refused

ArchiveOf = Callable[[str], Path]
MANIFEST = "MAR-INF/MANIFEST.json"


def packed(command: list[str], folder: Path) -> Path:
    """The archive that the command line makes, printed for a shell and read by one."""
    stage = folder / "stage"
    stage.mkdir(parents=True)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TMPDIR": str(stage)}
    subprocess.run(shlex.join(command), shell=True, cwd=folder, env=environment, check=True, timeout=60)
    [mar] = folder.glob("*.mar")
    return mar


@pytest.fixture(scope="module")
def stock(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("it's stock")
    return packed(
        write_archiver_inputs(run_folder, version="1.0", variant="onnx-int8", out=folder / "un packed"), folder
    )


def test_it_holds_the_very_members_but_for_the_manifests_date(stock: Path, archive_of: ArchiveOf) -> None:
    with zipfile.ZipFile(stock) as theirs, zipfile.ZipFile(archive_of("onnx-int8")) as ours:
        assert sorted(theirs.namelist()) == sorted(ours.namelist())
        differing = {name for name in ours.namelist() if theirs.read(name) != ours.read(name)}
        manifests = [json.loads(mar.read(MANIFEST)) for mar in (theirs, ours)]
        listed = [mar.read("MAR-INF/DIGESTS").decode().splitlines() for mar in (theirs, ours)]
    assert differing == {MANIFEST, "MAR-INF/DIGESTS", "MAR-INF/SBOM.cdx.json"}
    for manifest in manifests:
        manifest.pop("createdOn")
    assert manifests[0] == manifests[1]
    unlisted = {line.split("  ")[1] for line in listed[1]} - {line.split("  ")[1] for line in listed[0]}
    assert unlisted == {MANIFEST}


def test_it_is_verified_compared_and_answers_as_ours(stock: Path, archive_of: ArchiveOf) -> None:
    found = verify(stock)
    assert (found.name, found.version, found.variant) == ("topics", "1.0", "onnx-int8")
    difference = compare(archive_of("onnx-int8"), stock)
    assert difference.members == {MANIFEST: "only before", "MAR-INF/SBOM.cdx.json": "differs"}
    assert (difference.flips, difference.largest_difference) == ([], 0.0)


def test_a_member_altered_before_it_is_packed_is_noticed(run_folder: Path, tmp_path: Path) -> None:
    command = write_archiver_inputs(run_folder, version="1.0", variant="onnx-int8", out=tmp_path / "topics")
    with (tmp_path / "topics" / "extra" / "labels.json").open("a") as handle:
        handle.write(" ")
    mar = packed(command, tmp_path / "store")
    with refused(RefusedError, "LX-ARCHIVE-038", "labels.json was altered"):
        verify(mar)
    with refused(RefusedError, "LX-ARCHIVE-077", "labels.json was altered"), load_archive(mar):
        pass


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--version", "2.0", "modelVersion '2.0' instead of '1.0'"),
        ("--model-name", "other", "modelName 'other' instead of 'topics'"),
    ],
)
def test_another_name_or_version_than_the_evidences_is_noticed(
    run_folder: Path, tmp_path: Path, option: str, value: str, words: str
) -> None:
    command = write_archiver_inputs(run_folder, version="1.0", variant="onnx-int8", out=tmp_path / "topics")
    command[command.index(option) + 1] = value
    mar = packed(command, tmp_path / "store")
    with refused(RefusedError, "LX-ARCHIVE-038", words, "lexport handler"):
        verify(mar)
    with zipfile.ZipFile(mar) as archive:
        archive.extractall(tmp_path / "served")
    with pytest.raises(ValueError, match=words):
        check_digests(tmp_path / "served")


@pytest.mark.parametrize("manifest", ["{", "[]", '{"runtime": "python", "model": []}', '{"runtime": "LSP"}'])
def test_a_damaged_manifest_that_no_digest_lists_is_noticed(stock: Path, tmp_path: Path, manifest: str) -> None:
    with zipfile.ZipFile(stock) as archive:
        archive.extractall(tmp_path)
    check_digests(tmp_path)
    (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(ValueError, match=r"MANIFEST\.json or model\.json is damaged"):
        check_digests(tmp_path)


def test_a_manifest_that_digests_list_is_held_to_them(archive_of: ArchiveOf, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive_of("onnx-int8")) as archive:
        archive.extractall(tmp_path)
    before = (tmp_path / MANIFEST).read_bytes()
    (tmp_path / MANIFEST).write_bytes(before + b" ")
    assert hashlib.sha256(before).hexdigest() in (tmp_path / "MAR-INF" / "DIGESTS").read_text()
    with pytest.raises(ValueError, match=r"MANIFEST\.json was altered"):
        check_digests(tmp_path)


FLAT = """
import sys
sys.path.insert(0, sys.argv[1])
class Context:
    system_properties = {"model_dir": sys.argv[1], "gpu_id": None}
import handler
handler.Handler().initialize(Context())
"""


def test_files_named_one_by_one_lose_their_folder_and_the_worker_says_so(run_folder: Path, tmp_path: Path) -> None:
    command = write_archiver_inputs(run_folder, version="1.0", variant="onnx-int8", out=tmp_path / "topics")
    extra = Path(command[-1])
    command[-1] = f"{extra / '*.json'},{extra / '*.txt'},{extra / 'lexport_handlers' / '*' / '*.py'}"
    with zipfile.ZipFile(packed(command, tmp_path / "store")) as mar:
        mar.extractall(tmp_path / "served")
    done = subprocess.run(
        [sys.executable, "-c", FLAT, str(tmp_path / "served")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "RuntimeError: The folder lexport_handlers is not beside handler.py." in done.stderr


@pytest.mark.parametrize("place", ["a,b", "a*", "what?", "[a]", "a ", " a/b"])
def test_places_that_the_stock_archiver_would_misread_are_refused(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with refused(InputError, "LX-ARCHIVE-001"):
        write_archiver_inputs(run_folder, version="1.0", out=Path(place))
    assert not list(tmp_path.iterdir())


def test_the_folder_that_the_stock_archiver_empties_first_is_refused(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for place in ("topics", "topics/inside"):
        with refused(InputError, "LX-ARCHIVE-002"):
            write_archiver_inputs(run_folder, version="1.0", out=tmp_path / place)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_only_by_force_and_written_whole_or_not_at_all(run_folder: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "run" / "topics", tmp_path / "out"
    shutil.copytree(run_folder, copy)
    write_archiver_inputs(copy, version="1.0", variant="onnx-int8", out=out)
    with refused(InputError, "LX-FILE-001", "--force"):
        write_archiver_inputs(copy, version="2.0", variant="onnx-int8", out=out)
    (copy / "export" / "onnx-int8" / "model.onnx.data").write_bytes(b"x")
    with refused(RefusedError, "LX-ARCHIVE-085", "model.onnx.data"):
        write_archiver_inputs(copy, version="2.0", variant="onnx-int8", out=out, force=True)
    (copy / "export" / "onnx-int8" / "model.onnx.data").unlink()
    with refused(InputError, "LX-ARCHIVE-086", "model.onnx.data"):
        write_archiver_inputs(copy, version="2.0", variant="onnx-int8", out=out, force=True)
    assert json.loads((out / "extra" / "model.json").read_text())["version"] == "1.0"
    write_archiver_inputs(copy, version="2.0", variant="torchscript-int8", out=out, force=True)
    assert json.loads((out / "extra" / "model.json").read_text())["version"] == "2.0"
    assert {path.name for path in out.iterdir()} == {"handler.py", "model.pt", "model-config.yaml", "extra"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_refused_variant_is_not_written(run_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "topics"
    shutil.copytree(run_folder, copy)
    path = copy / "export" / "evidence.json"
    values = json.loads(path.read_text())
    for variant in values["variants"]:
        variant["refused"] = "max_metric_drop: accuracy fell"
    path.write_text(json.dumps(values))
    with refused(RefusedError, "LX-ARCHIVE-019", "onnx-int8", "max_metric_drop"):
        write_archiver_inputs(copy, version="1.0", variant="onnx-int8", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_command_line_alone_on_stdout(
    run_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["handler", str(run_folder), "--version", "1.0", "--variant", "onnx-int8", "--out"]
    assert run([*arguments, str(tmp_path / "a b")]) == 0
    out, err = capfd.readouterr()
    assert shlex.split(out)[:5] == ["torch-model-archiver", "--model-name", "topics", "--version", "1.0"]
    assert "onnx-int8" in err
    assert run([*arguments, str(tmp_path / "c"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["folder"] == str(tmp_path / "c")
    assert found["command"][0] == "torch-model-archiver"
