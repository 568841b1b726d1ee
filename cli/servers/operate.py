"""Commands that change what a running server serves: deploy, promote, rollback, scale, undeploy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, Keys, StateDir, TrustCode, app, emit, print_line, say_to, trusted_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...serving.operations import Change

Name = Annotated[str, typer.Argument(metavar="NAME", help="A served model.")]
Timeout = Annotated[float, typer.Option(help="Seconds that it may take.", min=1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


@app.command()
def deploy(
    source: Annotated[
        str, typer.Argument(metavar="MAR|NAME:VERSION", help="An archive, or one of the store, a folder, oci://….")
    ],
    store: Annotated[Path, typer.Option(metavar="DIR", help="The model store.")] = Path("model_store"),
    workers: Annotated[
        int | None,
        typer.Option(help="Workers that answer it.", min=1, max=9999, show_default="as the default version"),
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Then send the name's requests to it.")] = False,
    dry_run: DryRun = False,
    key: Keys = None,
    trust_code: TrustCode = False,
    state_dir: StateDir = None,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Serve an archive beside what a running server serves, without a lost request."""
    from ...serving import operations

    changes = operations.deploy(
        source,
        store=store,
        workers=workers,
        promoted=promote,
        dry_run=dry_run,
        trusted=trusted_keys(key),
        trust_code=trust_code,
        state_dir=state_dir,
        timeout=timeout,
        say=say_to(as_json),
    )
    _show(changes, dry_run=dry_run, as_json=as_json)


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that is to be its default.")],
    state_dir: StateDir = None,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Send requests that name no version of a model to another of its versions."""
    from ...serving import operations

    done = operations.promote(name, version, state_dir=state_dir, timeout=timeout, say=say_to(as_json))
    if as_json:
        emit(asdict(done))


@app.command()
def rollback(name: Name, state_dir: StateDir = None, timeout: Timeout = 120.0, as_json: Json = False) -> None:
    """Send requests that name no version of a model to the version that was its default before."""
    from ...serving import operations

    done = operations.rollback(name, state_dir=state_dir, timeout=timeout, say=say_to(as_json))
    if as_json:
        emit(asdict(done))


@app.command()
def scale(
    name: Name,
    workers: Annotated[int, typer.Argument(metavar="WORKERS", help="How many are to answer it.", min=1, max=9999)],
    version: Annotated[str | None, typer.Option(help="One version of it.", show_default="default")] = None,
    state_dir: StateDir = None,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Change the number of workers that answer a model, while it answers."""
    from ...serving import operations

    done = operations.scale(name, workers, version=version, state_dir=state_dir, timeout=timeout, say=say_to(as_json))
    if as_json:
        emit(asdict(done))


@app.command()
def undeploy(
    name: Name,
    version: Annotated[str | None, typer.Option(help="One version of it.", show_default="all")] = None,
    dry_run: DryRun = False,
    state_dir: StateDir = None,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Take a model, or one of its versions, out of a running server."""
    from ...serving import operations

    changes = operations.undeploy(
        name, version, dry_run=dry_run, state_dir=state_dir, timeout=timeout, say=say_to(as_json)
    )
    _show(changes, dry_run=dry_run, as_json=as_json)


def _show(changes: Sequence[Change], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        emit([asdict(change) for change in changes])
    elif dry_run:
        for change in changes:
            print_line(f"would: {change.detail}")
        if not changes:
            print_line("Nothing would change.")
