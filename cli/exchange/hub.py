"""Commands of folders in the layout of the Hugging Face Hub: hub push, hub pull."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, Keys, app, emit, print_line, trusted_keys

hub = typer.Typer(
    name="hub",
    help="Write a run or an archive as a folder for the Hugging Face Hub, and take it out of one.",
    no_args_is_help=True,
)
app.add_typer(hub)

Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@hub.command()
def push(
    source: Annotated[Path, typer.Argument(metavar="RUN|MAR", help="A run folder or an archive.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    license_id: Annotated[
        str | None, typer.Option("--license", help="License for the card, as apache-2.0.", show_default="none")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(help="Language for the card, as en; may be repeated.", show_default="the model's own, if any"),
    ] = None,
    force: Force = False,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Write a folder with a model card, digests and the files; the Hub's own tools upload it."""
    from dataclasses import asdict

    from ...export.hub.push import push as write

    made = write(
        source, out, license_id=license_id, languages=language or (), replace=force, trusted=trusted_keys(key)
    )
    if as_json:
        return emit(asdict(made))
    what = made.record.name if made.record.version is None else f"{made.record.name} {made.record.version}"
    print_line(f"{out}: {what}, files: {len(made.record.files):,}. Its {made.texts:,} texts of the data can be read.")
    print_line(f"Next: hf upload USER/{shlex.quote(made.record.name)} {shlex.quote(str(out))}")
    return None


@hub.command()
def pull(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that hub push wrote.")],
    out: Annotated[
        Path, typer.Option(metavar="RUN|MAR", help="The run folder or the archive to make; a store's folder for one.")
    ],
    force: Force = False,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Check every file of a folder by its digest and make the run or the archive again."""
    from dataclasses import asdict

    from ...export.hub.pull import pull as take

    target, record = take(folder, out, replace=force, trusted=trusted_keys(key))
    if as_json:
        return emit({"path": str(target), **asdict(record)})
    print_line(f"{target}: {record.kind} {record.name}{f' {record.version}' if record.version else ''}.")
    command = "serve" if record.version else "evaluate"
    print_line(f"Next: lexport {command} {shlex.quote(str(target))}")
    return None
