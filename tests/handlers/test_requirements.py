"""requirements.txt is all that a worker needs; where one of it is not installed, the worker says which."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from .interpreters import all_but, only

Archives = Callable[[str], Path]

WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
class Context:
    system_properties = {"model_dir": sys.argv[1], "gpu_id": None}
    def get_all_request_header(self, idx): return {}
    def set_response_content_type(self, idx, value): pass
    def set_response_header(self, idx, key, value): pass
import handler
worker = handler.Handler()
worker.initialize(Context())
print(json.loads(worker.handle([{"body": b"goal and match"}], Context())[0])["label"])
"""


def unpacked(mar: Path, folder: Path) -> Path:
    with zipfile.ZipFile(mar) as archive:
        archive.extractall(folder)
    return folder


def worker(python: Path, folder: Path, reports: Path) -> subprocess.CompletedProcess[str]:
    """A worker of the extracted archive, in an environment of its own and of nothing else."""
    variables = {"PATH": os.environ["PATH"], "LEXPORT_REPORT_DIR": str(reports), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [python, "-c", WORKER, str(folder)], env=variables, capture_output=True, text=True, timeout=120, check=False
    )


def requirements(folder: Path) -> dict[str, str]:
    lines = (folder / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines)


@pytest.mark.parametrize("variant", ["onnx-int8", pytest.param("torchscript-int8", marks=pytest.mark.long)])
def test_what_requirements_list_is_enough(archive_of: Archives, variant: str, tmp_path: Path) -> None:
    folder = unpacked(archive_of(variant), tmp_path / "model")
    listed = requirements(folder)
    for package, version in listed.items():
        # pip takes a build of the same version, such as 2.13.0+cpu, for the version.
        assert metadata.version(package).partition("+")[0] == version
    done = worker(only(tmp_path / "env", listed), folder, tmp_path)
    assert (done.returncode, done.stdout) == (0, "sport\n"), done.stderr


@pytest.mark.parametrize("package", ["mmh3", "numpy", "onnxruntime", "regex"])
def test_a_package_that_is_not_installed_is_named_with_its_pip_line(
    archive_of: Archives, package: str, tmp_path: Path
) -> None:
    folder = unpacked(archive_of("onnx-int8"), tmp_path / "model")
    assert package in requirements(folder)
    reports = tmp_path / "reports"
    reports.mkdir()
    done = worker(all_but(tmp_path / "env", package), folder, reports)
    assert done.returncode == 1
    wanted = f"Install it where TorchServe runs: pip install {package}"
    assert f"RuntimeError: The worker of topics cannot import {package}" in done.stderr
    assert done.stderr.rstrip().endswith(wanted)
    [report] = [json.loads(path.read_text()) for path in reports.iterdir()]
    assert report["error"].endswith(wanted)
