"""A worker runs the archive's own modules, whatever others of their names can be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

INITIALIZE = """
import sys
sys.path.append(sys.argv[1])  # as TorchServe does: after the folders of PYTHONPATH
class Context:
    system_properties = {"model_dir": sys.argv[1], "gpu_id": None}
import handler
handler.Handler().initialize(Context())
print(sys.modules["lexport_handlers"].__file__)
"""


def initialize(unpacked: Path, others: Path, reports: Path) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": str(others), "LEXPORT_REPORT_DIR": str(reports), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "ignore", "-P", "-c", INITIALIZE, str(unpacked)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | own, check=False)


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A folder with another archive's package."""
    package = tmp_path / "others" / "lexport_handlers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("print('another package ran')")
    return package.parent


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


def test_another_package_of_the_name_is_not_imported(unpacked: Path, others: Path, reports: Path) -> None:
    done = initialize(unpacked, others, reports)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(unpacked / "lexport_handlers" / "__init__.py")]
    [report] = [json.loads(path.read_text()) for path in reports.glob("*.json")]
    assert report["ready"] is True


def test_a_package_that_was_imported_before_is_said(unpacked: Path, others: Path, reports: Path) -> None:
    (others / "sitecustomize.py").write_text("import lexport_handlers")
    (others / "lexport_handlers" / "runtime").mkdir()
    for name in ("__init__", "report"):
        (others / "lexport_handlers" / "runtime" / f"{name}.py").write_text("")
    done = initialize(unpacked, others, reports)
    assert done.returncode == 1
    where = others / "lexport_handlers" / "__init__.py"
    expected = f"RuntimeError: The module lexport_handlers was loaded from {where} instead of from the archive's"
    assert expected in done.stderr


def test_a_handler_from_elsewhere_is_said(unpacked: Path, others: Path, reports: Path) -> None:
    (others / "handler.py").write_bytes((unpacked / "handler.py").read_bytes())
    done = initialize(unpacked, others, reports)
    assert done.returncode == 1
    assert f"The module handler was loaded from {others / 'handler.py'} instead of" in done.stderr
    assert list(reports.iterdir()) == []
