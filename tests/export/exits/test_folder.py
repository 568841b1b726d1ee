"""A plain folder: its programs answer the goldens with ONNX Runtime alone, in every language that is here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lexport.export.exits.evidence import Proof
from lexport.export.exits.folder import Folder
from lexport.export.exits.writing import write_exit

from ...handlers.interpreters import only

PYTHON = Path(sys.executable)
ArchiveOf = Callable[[str], Path]
GOLDENS = 16  # at least, in every archive


def proofs_of(mar: Path, out: Path, python: Path = PYTHON) -> dict[str, Proof]:
    return {proof.program: proof for proof in write_exit(mar, "folder", Folder(), out, python=python).proofs}


@pytest.mark.parametrize(("variant", "allowed"), [("onnx-fp32-text", 1e-5), ("onnx-int8-text", 2e-2)])
def test_python_answers_with_onnxruntime_and_nothing_else(
    archive_of: ArchiveOf, tmp_path: Path, variant: str, allowed: float
) -> None:
    python = only(tmp_path / "environment", ["numpy", "onnxruntime"])
    found = proofs_of(archive_of(variant), tmp_path / "out", python)["python predict.py"]
    assert found.proven
    assert found.asked >= GOLDENS
    assert found.left_out == 0
    assert found.allowed == allowed


def test_its_programs_run_where_the_folder_was_taken(archive_of: ArchiveOf, tmp_path: Path) -> None:
    write_exit(archive_of("onnx-fp32-text"), "folder", Folder(), tmp_path / "out", python=PYTHON)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    command: list[str | Path] = [
        sys.executable,
        "-I",
        tmp_path / "elsewhere" / "predict.py",
        "the goal and the referee",
        "",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [values for name, *values in lines if name == "text"] == [["1"], ["2"]]
    assert next(values for name, *values in lines if name == "label") == ["sport"]
    assert [values for name, *values in lines if name == "tokens"] == [["5"], ["0"]]


def test_cpp_answers_with_the_library_of_pypis_onnxruntime(archive_of: ArchiveOf, tmp_path: Path) -> None:
    found = proofs_of(archive_of("onnx-fp32-text"), tmp_path / "out")["predict.cpp"]
    if not found.proven:
        pytest.skip(found.why)
    assert found.asked >= GOLDENS
    assert found.largest_difference is not None
    assert found.largest_difference <= 1e-5


@pytest.mark.long
def test_node_answers_with_npms_onnxruntime(
    archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("Node.js and npm are not on this machine")
    with TemporaryDirectory() as name:  # 300 MB, which pytest's folders would keep for three runs
        if "NODE_PATH" not in os.environ:
            install = [npm, "install", "onnxruntime-node", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(install, cwd=name, capture_output=True, text=True, timeout=400, check=False)
            if done.returncode:
                pytest.skip(f"npm could not install onnxruntime-node: {done.stderr.strip()[-300:]}")
            monkeypatch.setenv("NODE_PATH", f"{name}/node_modules")
        found = proofs_of(archive_of("onnx-int8-text"), tmp_path / "out")["node predict.cjs"]
    assert found.proven
    assert found.asked >= GOLDENS


def test_a_tool_that_is_missing_is_named(
    archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = proofs_of(archive_of("onnx-fp32-text"), tmp_path / "out")
    assert found["python predict.py"].proven
    assert "Node.js" in found["node predict.cjs"].why
    assert "g++" in found["predict.cpp"].why


@pytest.mark.parametrize("task", ["multilabel", "vector", "joint", "languages"])
def test_every_task_leaves_with_the_archives_code(
    task_archive: Callable[[str], Path], tmp_path: Path, task: str
) -> None:
    found = proofs_of(task_archive(task), tmp_path / "out")["python predict.py"]
    assert found.proven
    # No command line asks for an image.
    assert (found.left_out > 0) == (task == "joint")
