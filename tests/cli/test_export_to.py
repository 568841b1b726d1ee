"""`lexport export-to`: what its commands print, their exit codes, and that an archive stays as it is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import lexport as kit
from lexport.errors import InputError
from lexport.storage.atomic import sha256_file

from ..loadtest.samples import REPORT, ROW
from ..refusals import refused
from .conftest import Place, Result

pytestmark = pytest.mark.usefixtures("place")
Command = Callable[..., Result]


@pytest.fixture
def mar(archive_of: Callable[[str], Path]) -> Path:
    return archive_of("onnx-fp32-text")


def test_a_table_says_what_was_proven_and_how_it_is_run(lexport: Command, mar: Path) -> None:
    before = sha256_file(mar)
    result = lexport("export-to", "folder", str(mar), "--out", "out")
    assert (result.code, result.err) == (0, "")
    rows = [line.split() for line in result.out.splitlines()]
    assert any(row[:4] == ["python", "predict.py", "yes", "16"] for row in rows), result.out
    assert "README.md" in result.out.splitlines()[-1]
    assert sha256_file(mar) == before


def test_machines_get_the_proofs(lexport: Command, mar: Path) -> None:
    result = lexport("export-to", "triton", str(mar), "--out", "out", "--number", "3", "--json")
    found = json.loads(result.out)
    assert (result.code, found["kind"], found["proven"]) == (0, "triton", True)
    assert found["archive"]["digest"] == sha256_file(mar)
    assert [one["program"] for one in found["proofs"]] == ["config.pbtxt", "onnxruntime"]


def test_what_was_not_proven_is_said(lexport: Command, place: Place, mar: Path) -> None:
    result = lexport("export-to", "mlserver", str(mar), "--out", "out")
    assert result.code == 0
    assert "mlserver start: mlserver is not installed" in result.out
    [proof] = json.loads((place.cwd / "out" / "evidence.json").read_text(encoding="utf-8"))["proofs"]
    assert proof["proven"] is False


def test_an_existing_folder_is_refused_with_2(lexport: Command, mar: Path) -> None:
    assert lexport("export-to", "bentoml", str(mar), "--out", "out").code == 0
    result = lexport("export-to", "bentoml", str(mar), "--out", "out")
    assert (result.code, result.error[0]) == (2, "LX-EXPORT-116")


def test_a_missing_archive_is_refused_with_2(lexport: Command, place: Place) -> None:
    for kind in ("folder", "mlflow", "mlserver", "bentoml", "kserve", "triton"):
        result = lexport("export-to", kind, "missing.mar", "--out", "out")
        assert result.code == 2
        assert "missing.mar" in result.line
    assert list(place.cwd.iterdir()) == []


def test_a_service_takes_its_share_and_what_a_load_test_measured(lexport: Command, place: Place, mar: Path) -> None:
    row = replace(ROW, archive="topics-1.0", workers="embedded cpu:2", server_cpu=1.23, server_memory=500 << 20)
    report = replace(REPORT, rows=(row,), verdicts=()).as_dict()
    (place.cwd / "results.json").write_text(json.dumps(report), encoding="utf-8")
    command = ("export-to", "kserve", str(mar), "--out", "out", "--canary", "10", "--from-loadtest", "results.json")
    result = lexport(*command)
    assert result.code == 0, result.err
    service = yaml.safe_load((place.cwd / "out" / "inferenceservice.yaml").read_text(encoding="utf-8"))
    predictor = service["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == 10
    assert predictor["containers"][0]["resources"]["requests"]["cpu"] == "1.3"


def test_the_method_does_the_same(mar: Path, tmp_path: Path) -> None:
    python = os.path.relpath(sys.executable)
    written = kit.Archive(mar).export_to("folder", str(tmp_path / "out"), python=python)
    assert written.proven
    with refused(InputError, "LX-EXPORT-115", "seldon", "triton"):
        kit.Archive(mar).export_to("seldon", tmp_path / "other")
