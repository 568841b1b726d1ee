"""A folder that MLServer serves: a runtime of its own, and its two settings files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ...storage.atomic import json_bytes
from .evidence import Proof, judged, unproven
from .exit import MODEL_PROGRAM, Exit, program, readme, requirements
from .open_inference import answers_of_all
from .packed import FOLDER, Packed
from .running import Environment, ask, free_ports, served

_PROGRAM = "mlserver start"
_TEXT = """
    pip install -r requirements.txt
    mlserver start .

It answers the Open Inference Protocol v2 as lexport's servers do, at `/v2/models/{name}/infer`, on every interface of
the machine: put something before it that asks for a token. Up to {batch} requests are answered together; where one of
these is refused, MLServer refuses all of them.
"""


class MLServer(Exit):
    """A custom runtime of MLServer."""

    PACKAGE: ClassVar[str] = "mlserver"

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

    def prove(self, folder: Path, packed: Packed, environment: Environment) -> Sequence[Proof]:
        """Start the server and ask it all goldens, over HTTP."""
        version = environment.version(self.PACKAGE)
        if version is None:
            return [unproven(_PROGRAM, environment.missing(self.PACKAGE))]
        http, grpc, metrics = free_ports(3)
        path = f"/v2/models/{packed.model.name}"

        def send(request: Any) -> tuple[int, Any]:
            return ask(http, f"{path}/infer", request)

        with tempfile.TemporaryDirectory(prefix="lexport-") as scratch:
            variables = environment.variables(Path(scratch)) | {
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": str(http),
                "MLSERVER_GRPC_PORT": str(grpc),
                "MLSERVER_METRICS_PORT": str(metrics),
            }
            command: list[str | Path] = [environment.python.parent / "mlserver", "start", folder.resolve()]
            with served(command, http, f"{path}/ready", variables=variables, what=_PROGRAM):
                goldens, answers = answers_of_all(packed, send)
        return [judged(_PROGRAM, packed, goldens, answers, versions={self.PACKAGE: version})]
