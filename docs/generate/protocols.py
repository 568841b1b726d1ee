"""Compile the protocol files of the embedded engine's gRPC addresses."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from lexport.serving.embedded.grpc.messages import COMPILED


def compiled() -> bytes:
    """Return what protoc makes of the files."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "all.binpb"
        sources = sorted(COMPILED.parent.glob("*.proto"))
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{COMPILED.parent}", f"--descriptor_set_out={made}"]
        subprocess.run([*command, *map(str, sources)], check=True)
        return made.read_bytes()
