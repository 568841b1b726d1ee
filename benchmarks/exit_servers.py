"""The servers of rivals.py that run what `lexport export-to` writes, as the README of each exit says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lexport
from lexport.errors import SystemProblem
from lexport.export.exits.running import Environment, free_ports
from lexport.export.exits.tritonserver import of_wheel, on_path

_V2 = '{"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [TEXT]}]}'
_OF_ARCHIVES = ("mmh3", "numpy", "onnxruntime", "regex")


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

    @property
    def environment(self) -> str:
        """The name of the folder with its packages, which a rival of the same server uses too."""
        return self.kind

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
        """Return the command that serves the exit in `folder` at a port, and the variables it needs."""
        if self.kind == "triton":
            environment = Environment(python)
            server = on_path("python") or of_wheel(environment, Path(tempfile.mkdtemp(dir=folder.parent)))
            if server is None:
                raise SystemProblem("There is no tritonserver.")
            options = [f"--model-repository={folder / 'repository'}", f"--http-port={port}"]
            options += ["--http-address=127.0.0.1", "--allow-grpc=false", "--allow-metrics=false"]
            return [*server.command, *options], dict(server.variables)
        commands = {
            "mlflow": ["-m", "mlflow", "models", "serve", "--model-uri", str(folder), "--env-manager", "local"],
            "mlserver": [str(python.parent / "mlserver"), "start", str(folder)],
            "bentoml": ["-m", "bentoml", "serve", "service:Service", "--working-dir", str(folder)],
            "kserve": [str(folder / "server.py"), "--enable_grpc", "false", "--workers", "1"],
        }
        ports = {
            "mlflow": ["--host", "127.0.0.1", "--port", str(port)],
            "bentoml": ["--host", "127.0.0.1", "--port", str(port)],
            "kserve": ["--http_port", str(port)],
        }
        variables = {}
        if self.kind == "mlserver":
            grpc, metrics = free_ports(2)
            variables = {"MLSERVER_HOST": "127.0.0.1", "MLSERVER_HTTP_PORT": str(port)}
            variables |= {"MLSERVER_GRPC_PORT": str(grpc), "MLSERVER_METRICS_PORT": str(metrics)}
        return [str(python), *commands[self.kind], *ports.get(self.kind, [])], variables


EXITS = {
    f"exit-{one.kind}": one
    for one in (
        ExitServer("mlserver", ("mlserver",)),
        ExitServer("kserve", ("kserve",)),
        ExitServer("triton", ("nvidia-pytriton<0.6", "numpy<2", "tritonclient[grpc]")),
        ExitServer("bentoml", ("bentoml",), "/predict", '{"requests": [{"text": TEXT}]}'),
        ExitServer(
            "mlflow", ("mlflow",), "/invocations", '{"dataframe_split": {"columns": ["text"], "data": [[TEXT]]}}'
        ),
    )
}
