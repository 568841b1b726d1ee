"""A worker's report to the process that started the server: ready, or why not. Standard library only."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

VARIABLE = "LEXPORT_REPORT_DIR"


def write_report(model: str, **facts: Any) -> None:
    """Write `PID.json` into the folder that LEXPORT_REPORT_DIR names, whole or not at all.

    Without that variable (a plain `torchserve`) nothing is written.
    """
    folder = os.environ.get(VARIABLE)
    if not folder or not Path(folder).is_dir():
        return
    target = Path(folder, f"{os.getpid()}.json")
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps({"pid": os.getpid(), "model": model, **facts}), encoding="utf-8")
    partial.replace(target)


def report_failure(model: str, error: BaseException) -> None:
    """Report an error that keeps this worker from starting, with its traceback."""
    lines = traceback.format_exception(error)
    write_report(model, ready=False, error=f"{type(error).__name__}: {error}", traceback="".join(lines))
