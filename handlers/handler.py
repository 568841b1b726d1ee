"""The archive's entry point: TorchServe imports this file, everything else is in `lexport_handlers`.

It imports the standard library alone, because TorchServe hides why a handler could not be imported; what is
missing is then named by `initialize`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# What an archive's worker may need; pip calls them as Python does.
PACKAGES = ("mmh3", "numpy", "onnxruntime", "regex", "torch")


class Handler:
    """TorchServe's handler class: `initialize` once, then `handle` for every batch."""

    def initialize(self, context: Any) -> None:
        """Load and prove the model; an error here keeps the worker from becoming ready and says why."""
        folder = Path(context.system_properties["model_dir"])
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        if not (folder / "lexport_handlers").is_dir():
            raise RuntimeError(
                "The folder lexport_handlers is not beside handler.py. torch-model-archiver lays files named one by "
                "one into one folder: name the folder they are in, as the command line of `lexport handler` does."
            )
        # The archive's own copy of this package, beside this file.
        # The extracted archive stays as it was packed: what else is found there was put there.
        sys.dont_write_bytecode = True
        from lexport_handlers import report  # type: ignore[import-not-found]

        name = str(json.loads((folder / "model.json").read_text(encoding="utf-8"))["name"])
        try:
            from lexport_handlers.worker import Worker  # type: ignore[import-not-found]

            self._worker = Worker(context)
        except BaseException as error:
            package = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
            if package not in PACKAGES:
                report.report_failure(name, error)
                raise
            failure = RuntimeError(
                f"The worker of {name} cannot import {package}: {error}. Install it where TorchServe runs: "
                f"pip install {package}"
            )
            report.report_failure(name, failure)
            raise failure from error

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch: one body of bytes per request, statuses and types set on the context."""
        results: list[bytes] = self._worker.handle(data, context)
        return results
