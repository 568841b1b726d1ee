"""Commands of a model store: store list, add, remove, gc, history, push, pull."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, Keys, StateDir, app, emit, print_line, say_to, show, trusted_keys

commands = typer.Typer(
    help="Keep a folder of archives: list, add, remove, push to a registry and pull from one.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(commands, name="store")

Store = Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder of the archives.")]
Model = Annotated[str, typer.Argument(metavar="NAME:VERSION", help="A version of a model of the store.")]
Registry = Annotated[
    str, typer.Argument(metavar="oci://…", help="oci://REGISTRY/REPOSITORY:TAG; to pull also …@sha256:….")
]
PlainHttp = Annotated[
    bool | None,
    typer.Option(
        "--plain-http/--https", help="How the registry is asked.", show_default="http on the loopback interface alone"
    ),
]
Credentials = Annotated[
    str | None,
    typer.Option(
        metavar="VARIABLE",
        help="Variable of the environment with USER:PASSWORD.",
        show_default="docker's config.json",
    ),
]
_STORE = Path("model_store")


@commands.command("list")
def list_archives(store: Store = _STORE, key: Keys = None, state_dir: StateDir = None, as_json: Json = False) -> None:
    """List the archives, each verified: version, digest, signer, evidence, and which the running server serves."""
    from dataclasses import asdict

    from ...reports.store_tables import archives
    from ...serving.stores.listing import entries

    found = [asdict(entry) for entry in entries(store, trusted=trusted_keys(key), state_dir=state_dir)]
    emit(found) if as_json else show(archives(str(store), found))


@commands.command()
def add(
    archives: Annotated[list[Path], typer.Argument(metavar="MAR…", help="Archives, or folders of unpacked ones.")],
    store: Store = _STORE,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Verify archives and copy them in as NAME-VERSION.mar; exit 1 if a version is there with other bytes."""
    from dataclasses import asdict

    from ...serving.stores.adding import add as put

    added = put(archives, store=store, trusted=trusted_keys(key), say=say_to(as_json))
    if as_json:
        emit([asdict(one) for one in added])


@commands.command()
def remove(
    models: Annotated[list[str], typer.Argument(metavar="NAME:VERSION…", help="Versions to remove.")],
    store: Store = _STORE,
    force: Annotated[bool, typer.Option("--force", help="Also what the running server serves.")] = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Remove versions; exit 1 for one that the running server serves."""
    from dataclasses import asdict

    from ...serving.stores.removal import remove as take

    removed = take(models, store=store, force=force, state_dir=state_dir, say=say_to(as_json))
    if as_json:
        emit([asdict(one) for one in removed])


@commands.command()
def gc(
    store: Store = _STORE,
    keep: Annotated[int, typer.Option(metavar="N", help="Versions of each name to keep.", min=1)] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    key: Keys = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Remove all but the newest versions of each name, but nothing that is served or that a rollback may need."""
    from dataclasses import asdict

    from ...serving.stores.removal import gc as collect

    found = collect(
        store=store,
        keep=keep,
        dry_run=dry_run,
        trusted=trusted_keys(key),
        state_dir=state_dir,
        say=say_to(as_json),
    )
    emit(asdict(found)) if as_json else print_line(str(found))


@commands.command()
def history(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only of this model.")] = None,
    store: Store = _STORE,
    as_json: Json = False,
) -> None:
    """Show when which version was added, removed or made the default, by which command and user."""
    from dataclasses import asdict

    from ...reports.store_tables import events
    from ...serving.stores.history import read_history

    found = read_history(store, name)
    for problem in found.problems:
        print_line(problem, err=True)
    if as_json:
        emit([asdict(event) for event in found.events])
    elif found.events:
        show(events([asdict(event) for event in found.events]))
    else:
        print_line(f"The store {store} has no history{f' of {name}' if name else ''}.")


@commands.command()
def push(
    model: Model,
    registry: Registry,
    store: Store = _STORE,
    force: Annotated[bool, typer.Option("--force", help="Move a tag that names something else.")] = False,
    plain_http: PlainHttp = None,
    credentials: Credentials = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Send an archive to a registry as an artefact, with its evidence as annotations."""
    from dataclasses import asdict

    from ...serving.stores.oci.artifact import push as send

    pushed = send(
        model,
        registry,
        store=store,
        trusted=trusted_keys(key),
        plain_http=plain_http,
        credentials=credentials,
        force=force,
        say=say_to(as_json),
    )
    if as_json:
        emit(asdict(pushed))


@commands.command()
def pull(
    registry: Registry,
    store: Store = _STORE,
    plain_http: PlainHttp = None,
    credentials: Credentials = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Add an archive of a registry to the store, once its digest and its contents are verified."""
    from dataclasses import asdict

    from ...serving.stores.oci.artifact import pull as fetch

    added = fetch(
        registry,
        store=store,
        trusted=trusted_keys(key),
        plain_http=plain_http,
        credentials=credentials,
        say=say_to(as_json),
    )
    if as_json:
        emit(asdict(added))
