"""A certificate for a proxy of this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 for one day with its key beside it, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("certificates") / "of ours"
    folder.mkdir()
    path = folder / "site.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    asked = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=127.0.0.1"
    subprocess.run(
        [*asked.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-out", path, "-keyout", f"{path}.key"],
        check=True,
        capture_output=True,
    )
    return path
