"""The archive's entry point: TorchServe imports this file, everything else is in `lexport_handlers`.

It imports only the standard library, because TorchServe hides why a handler could not be imported; `initialize` names
a missing package.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# Packages that a worker may need; their names for pip and for import are the same.
PACKAGES = ("mmh3", "numpy", "onnxruntime", "regex", "tokenizers", "torch")


class Handler:
    """TorchServe's handler class: `initialize` once, then `handle` for every batch."""

    def initialize(self, context: Any) -> None:
        """Load and check the model; after an error here the worker does not become ready, and its report has why."""
        folder = Path(context.system_properties["model_dir"])
        _check_origin(folder, __name__, __file__)
        # Before the folders of PYTHONPATH, whose lexport_handlers would be another archive's.
        if sys.path[:1] != [str(folder)]:
            sys.path.insert(0, str(folder))
        if not (folder / "lexport_handlers").is_dir():
            raise RuntimeError(
                "The folder lexport_handlers is not beside handler.py. If files are named one by one, "
                "torch-model-archiver puts all of them into one folder: name their folder instead, as the command "
                "line of `lexport handler` does."
            )
        # The archive's own copy of this package, beside this file.
        # The extracted archive must stay as it was packed: any other file was added later.
        sys.dont_write_bytecode = True
        from lexport_handlers.runtime import report  # type: ignore[import-not-found]

        _check_package(folder)
        name = str(json.loads((folder / "model.json").read_text(encoding="utf-8"))["name"])
        try:
            from lexport_handlers.worker import Worker  # type: ignore[import-not-found]

            _check_package(folder)
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


def _check_package(folder: Path) -> None:
    for module, loaded in list(sys.modules.items()):
        if module.partition(".")[0] == "lexport_handlers":
            _check_origin(folder, module, getattr(loaded, "__file__", None))


def _check_origin(folder: Path, module: str, file: str | None) -> None:
    """Raise RuntimeError if a module was not loaded from the archive's folder; only that folder was verified."""
    if file is None or not Path(file).resolve().is_relative_to(folder.resolve()):
        raise RuntimeError(
            f"The module {module} was loaded from {file or 'nowhere'} instead of from the archive's folder {folder}. "
            "Remove its folder from PYTHONPATH and the installed packages."
        )
