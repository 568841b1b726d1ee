"""A folder that MLServer serves: a runtime of its own, and its two settings files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ...storage.atomic import json_bytes
from .exit import MODEL_PROGRAM, ServerExit, program, readme, requirements
from .packed import FOLDER, Packed
from .running import Environment, free_ports

_TEXT = """
    pip install -r requirements.txt
    mlserver start .

It answers the Open Inference Protocol v2 as lexport's servers do, at `/v2/models/{name}/infer`, on every interface of
the machine: put something before it that asks for a token. Up to {batch} requests are answered together; where one of
these is refused, MLServer refuses all of them.
"""


class MLServer(ServerExit):
    """A custom runtime of MLServer."""

    PACKAGE: ClassVar[str] = "mlserver"
    PROGRAM: ClassVar[str] = "mlserver start"

    def files(self, packed: Packed) -> dict[str, bytes]:
        """Return the runtime, and the settings of the server and of the model."""
        model = packed.model
        # The languages of a batch cannot be told from those of its first request.
        batch = 0 if packed.languages else packed.batch
        settings = {
            "name": model.name,
            "implementation": "runtime.ArchivedRuntime",
            "max_batch_size": batch,
            "max_batch_time": packed.delay,
            "parameters": {"uri": f"./{FOLDER}", "version": model.version},
        }
        return {
            MODEL_PROGRAM: program(MODEL_PROGRAM),
            "runtime.py": program("runtime.py"),
            "model-settings.json": json_bytes(settings),
            # The model is in the process that answers: another one would only add a way through a queue.
            "settings.json": json_bytes({"debug": False, "parallel_workers": 0}),
            "requirements.txt": requirements(packed, "mlserver"),
            "README.md": readme(packed, "MLServer", _TEXT.format(name=model.name, batch=max(batch, 1))),
        }

    @staticmethod
    def command(folder: Path, environment: Environment, port: int) -> tuple[list[str | Path], dict[str, str]]:
        """Return the command that serves `folder`, and the variables that keep it to the loopback interface."""
        grpc, metrics, *_ = (one for one in free_ports(3) if one != port)
        variables = {
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(port),
            "MLSERVER_GRPC_PORT": str(grpc),
            "MLSERVER_METRICS_PORT": str(metrics),
        }
        return [environment.python.parent / "mlserver", "start", folder], variables
