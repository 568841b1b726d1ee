"""The real TorchServe started by a user whose environment brings other code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.client.once import predict
from lexport.errors import InputError, SystemProblem
from lexport.export.archive.inprocess import load_archive
from lexport.serving import serve, stop

from ...refusals import refused
from ..conftest import ECHO

pytestmark = pytest.mark.usefixtures("java")

TEXTS = ["goal match team", "oven butter"]


@pytest.fixture
def other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PYTHONPATH with modules of the archive's names, and options that Java would not start with."""
    folder = tmp_path / "other"
    (folder / "lexport_handlers").mkdir(parents=True)
    touch = f"open({str(tmp_path / 'it ran')!r}, 'w').close()\n"
    (folder / "handler.py").write_text(touch + ECHO.replace("report(ready", "(lambda **_: None)(ready"))
    for name in ("sitecustomize.py", "lexport_handlers/__init__.py", "startup.py"):
        (folder / name).write_text(touch)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "startup.py"))
    for name in ("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"):
        monkeypatch.setenv(name, "-XX:+NoSuchOption")
    monkeypatch.setenv("TS_CONFIG_FILE", "/absent.properties")
    monkeypatch.setenv("LD_PRELOAD", "")
    return folder


def test_it_answers_with_the_archives_own_code(
    archive_of: Callable[[str], Path], tmp_path: Path, other_code: Path
) -> None:
    archive = archive_of("onnx-int8")
    with load_archive(archive) as model:
        expected = model.predict(TEXTS)
    serve([archive], workers="cpu:1", state_dir=tmp_path / "state", port=0)
    try:
        assert predict("topics", TEXTS, state_dir=tmp_path / "state") == expected
    finally:
        stop(tmp_path / "state")
    assert not (tmp_path / "it ran").exists()


@pytest.mark.long
def test_a_variable_that_is_let_through_and_brings_another_handler_is_explained(
    archive_of: Callable[[str], Path], tmp_path: Path, other_code: Path
) -> None:
    with refused(SystemProblem, "LX-SERVE-071", "topics 1.0", "PYTHONPATH"):
        serve([archive_of("onnx-int8")], state_dir=tmp_path / "state", port=0, env=["PYTHONPATH"], timeout=120)
    assert (tmp_path / "it ran").exists()
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [".lexport-state", "logs"]


def test_a_variable_that_is_not_set_is_said(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    with refused(InputError, "LX-SERVE-038", "ABSENT_VARIABLE"):
        serve([archive_of("onnx-int8")], state_dir=tmp_path / "state", port=0, env=["ABSENT_VARIABLE"])
    assert not (tmp_path / "state").exists()
