"""The command that checks the machine: doctor."""

from __future__ import annotations

import typer

from .options import Json, StateDir, app, emit, say_to, show


@app.command()
def doctor(state_dir: StateDir = None, as_json: Json = False) -> None:
    """Check Java, ports, torch, engines, memory and GPU; each line has its remedy. Exit 3 if there is a problem."""
    from dataclasses import asdict

    from ..api.doctor import examine
    from ..reports import tables as screens

    findings = examine(state_dir=state_dir, say=say_to(True))
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        show(screens.findings([asdict(finding) for finding in findings]))
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(3)
