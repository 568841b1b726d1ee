"""`lexport ui`: a local page about the runs, archives and load tests of a folder."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ..options import app, print_line


@app.command()
def ui(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Whose runs and archives are shown.")] = Path(),
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 for any that is free.", min=0, max=65535)] = 7070,
    browser: Annotated[bool, typer.Option("--browser", help="Open it in a browser.")] = False,
) -> None:
    """Show runs, archives and load tests in a browser, on this machine alone, until Ctrl-C."""
    from ...errors import InputError
    from ...ui.server import Server

    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Name one that has runs or archives.", code="LX-UI-006")
    server = Server(folder.resolve(), port)
    try:
        print_line(f"{server.address}  (Ctrl-C ends it)")
        if browser:
            webbrowser.open(server.address)
        server.serve_forever()
    finally:
        server.server_close()
