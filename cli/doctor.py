"""The command that checks the machine, or a file of settings: doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, StateDir, app, emit, say_to, show


@app.command()
def doctor(
    config: Annotated[
        Path | None,
        typer.Option(help="Audit this config.properties of any TorchServe instead.", show_default="no"),
    ] = None,
    torchserve: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="The TorchServe that will read it.", show_default="installed, or 0.12.0"
        ),
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Check Java, ports, torch, engines, memory and GPU; each line has its remedy. Exit 3 if there is a problem.

    With --config: name each setting that leaves something open, what can happen and how to close it. Exit 1 if one is
    dangerous.
    """
    from dataclasses import asdict

    from ..api.doctor import audit, examine, is_dangerous
    from ..errors import InputError
    from ..reports import tables as screens

    if config is None and torchserve is not None:
        raise InputError(
            f"--torchserve {torchserve} was given without a file. Expected --config FILE, which it is to read.",
            code="LX-CLI-060",
        )
    if config is not None:
        found = audit(config, torchserve)
        if as_json:
            emit([asdict(finding) for finding in found])
        else:
            show(screens.setting_findings([asdict(finding) for finding in found]))
        if is_dangerous(found):
            raise typer.Exit(1)
        return
    findings = examine(state_dir=state_dir, say=say_to(True))
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        show(screens.findings([asdict(finding) for finding in findings]))
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(3)
