"""The command that changes a running server's tokens: tokens rotate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, StateDir, app, emit, say_to

commands = typer.Typer(help="Change the tokens of a running server.", no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(commands, name="tokens")


@commands.callback()
def _group() -> None:
    """Keep `rotate` a command of its own: of a group with one command typer would make that command."""


@commands.command()
def rotate(
    kind: Annotated[str, typer.Option(help="inference, management or all.")] = "all",
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time in which the former tokens are still taken.", min=0)
    ] = 300.0,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Tokens of your own: one line, or a key file.", show_default="new ones"),
    ] = None,
    state_dir: StateDir = None,
    timeout: Annotated[float, typer.Option(help="Seconds that it may take.", min=1)] = 120.0,
    as_json: Json = False,
) -> None:
    """Give a running server new tokens, while it answers, and have the former ones end after a grace period."""
    from dataclasses import asdict

    from ...serving import operations

    done = operations.rotate(
        kind, grace=grace, token_file=token_file, state_dir=state_dir, timeout=timeout, say=say_to(as_json)
    )
    if as_json:
        emit(asdict(done))
