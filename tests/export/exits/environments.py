"""Environments with the servers that exits are for, each of its own: they ask for other versions of one package."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lexport.benchmarks.exit_servers import EXITS

KEPT = "LEXPORT_SERVER_ENVIRONMENTS"
"""Names a folder in which NAME/bin/python has a server installed, so that it need not be installed anew."""


@contextmanager
def interpreter_with(name: str) -> Iterator[Path]:
    """The interpreter of an environment with a server; the test is skipped where it cannot be installed."""
    kept = os.environ.get(KEPT)
    if kept is not None and (Path(kept) / name / "bin" / "python").exists():
        yield Path(kept) / name / "bin" / "python"
        return
    # Up to a GB, which pytest's folders would keep for three runs.
    with TemporaryDirectory(prefix="lexport-server-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", *EXITS[f"exit-{name}"].needs()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=560, check=False)
        if done.returncode:
            pytest.skip(f"pip could not install {name}: {done.stderr.strip()[-300:]}")
        yield python
