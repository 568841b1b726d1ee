"""The servers of rivals.py that run what `lexport export-to` writes, as the README of each exit says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lexport
from lexport.errors import SystemProblem
from lexport.export.exits.bentoml import BentoML
from lexport.export.exits.exit import ServerExit
from lexport.export.exits.kserve import KServe
from lexport.export.exits.mlserver import MLServer
from lexport.export.exits.running import Environment
from lexport.export.exits.triton import REPOSITORY
from lexport.export.exits.tritonserver import of_wheel, on_path

_V2 = '{"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [TEXT]}]}'
# What the code of an archive of an ONNX variant imports.
_OF_ARCHIVES = ("mmh3", "numpy", "onnxruntime", "regex")
_SERVERS: dict[str, type[ServerExit]] = {"mlserver": MLServer, "bentoml": BentoML, "kserve": KServe}


@dataclass(frozen=True)
class ExitServer:
    """An exit that runs as a server."""

    kind: str
    """Of `lexport export-to`."""
    packages: tuple[str, ...]
    """What pip installs for it; the first is the server."""
    path: str = "/v2/models/NAME/infer"
    """Where it is asked; NAME stands for the model's."""
    body: str = _V2
    """What it is sent: TEXT stands for the text as JSON."""

    def needs(self) -> Sequence[str]:
        """Return what pip installs: the server, and what the archive's code imports."""
        return (*self.packages, *_OF_ARCHIVES)

    def write(self, archive: Path, python: Path, out: Path) -> None:
        """Write the exit, proven with the environment of `python`. Raises SystemProblem where it was not."""
        options: dict[str, Any] = {"backend": "python"} if self.kind == "triton" else {}
        written = lexport.Archive(archive).export_to(self.kind, out, python=python, **options)
        if not written.proofs[-1].proven:
            raise SystemProblem(written.proofs[-1].why)

    def command(self, python: Path, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """Return the command that serves the exit in `folder`, absolute, at a port, and the variables it needs."""
        environment = Environment(python)
        if self.kind == "triton":
            server = on_path("python") or of_wheel(environment, Path(tempfile.mkdtemp(dir=folder.parent)))
            if server is None:
                raise SystemProblem("There is no tritonserver.")
            return server.serving(folder / REPOSITORY, port), dict(server.variables)
        if self.kind == "mlflow":
            options = ["--model-uri", str(folder), "--env-manager", "local"]
            options += ["--host", "127.0.0.1", "--port", str(port)]
            return [str(python), "-m", "mlflow", "models", "serve", *options], {}
        command, variables = _SERVERS[self.kind].command(folder, environment, port)
        return [str(one) for one in command], variables


EXITS = {
    f"exit-{one.kind}": one
    for one in (
        ExitServer("mlserver", ("mlserver",)),
        ExitServer("kserve", ("kserve",)),
        # The Triton of this wheel reads the arrays of numpy 1.
        ExitServer("triton", ("nvidia-pytriton<0.6", "numpy<2", "tritonclient[grpc]")),
        ExitServer("bentoml", ("bentoml",), "/predict", '{"requests": [{"text": TEXT}]}'),
        ExitServer(
            "mlflow", ("mlflow",), "/invocations", '{"dataframe_split": {"columns": ["text"], "data": [[TEXT]]}}'
        ),
    )
}
