"""The bill of materials: valid CycloneDX, complete, and a function of what it lists."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.export.archive.pack import archive
from lexport.export.evidence.evidence import read_evidence

SBOM = "MAR-INF/SBOM.cdx.json"
ArchiveOf = Callable[[str], Path]


def bill(mar: Path) -> dict[str, Any]:
    with zipfile.ZipFile(mar) as opened:
        found: dict[str, Any] = json.loads(opened.read(SBOM))
    return found


def problem(mar: Path) -> object:
    """What CycloneDX's own schema says against the bill of an archive; None if nothing."""
    # Here, since it makes grammars for seconds where it is imported: not in each worker of a test run.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill(mar)))


@pytest.mark.parametrize("variant", ["torchscript-int8", "onnx-fp32"])
def test_it_is_valid_cyclonedx(archive_of: ArchiveOf, variant: str) -> None:
    assert problem(archive_of(variant)) is None


@pytest.mark.parametrize("name", ["multilabel", "vector", "joint", "languages"])
def test_it_is_valid_for_every_task(task_archive: ArchiveOf, name: str) -> None:
    assert problem(task_archive(name)) is None


def test_it_lists_every_other_member_with_its_digest(archive_of: ArchiveOf) -> None:
    files = {
        one["name"]: one["hashes"][0]["content"]
        for one in bill(archive_of("onnx-int8"))["components"]
        if one["bom-ref"].startswith("member:")
    }
    with zipfile.ZipFile(archive_of("onnx-int8")) as mar:
        assert set(files) == set(mar.namelist()) - {SBOM, "MAR-INF/DIGESTS"}
        for name, digest in files.items():
            assert hashlib.sha256(mar.read(name)).hexdigest() == digest


def test_it_names_data_weights_and_what_a_worker_needs(archive_of: ArchiveOf, run_folder: Path) -> None:
    evidence = read_evidence(run_folder)
    components = {one["bom-ref"]: one for one in bill(archive_of("onnx-int8"))["components"]}
    assert components["data"]["hashes"][0]["content"] == evidence.run["data"]["digest"]
    weights = hashlib.sha256((run_folder / "weights.safetensors").read_bytes()).hexdigest()
    assert components["weights"]["hashes"][0]["content"] == weights
    for package in ("mmh3", "numpy", "onnxruntime", "regex"):
        assert f"pkg:pypi/{package}@{evidence.versions[package]}" in components
    # The local part of a version, "+cpu", is quoted in a package URL.
    torch = next(one for one in bill(archive_of("torchscript-fp32"))["components"] if one["name"] == "torch")
    assert "+" not in torch["purl"]
    assert torch["version"] == evidence.versions["torch"]


def test_its_serial_number_is_the_contents(run_folder: Path, archive_of: ArchiveOf, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(run_folder, moved)
    again = archive(moved, version="1.0", variant="onnx-int8", name="topics", out=tmp_path)
    serial = bill(archive_of("onnx-int8"))["serialNumber"]
    assert bill(again)["serialNumber"] == serial
    other = archive(moved, version="1.1", variant="onnx-int8", name="topics", out=tmp_path)
    assert bill(other)["serialNumber"] != serial
