"""Commands that list what there is to start from: recipes, samples."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json, app, emit, print_line, print_text


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="With --toml: the recipe to print.")] = None,
    toml: Annotated[bool, typer.Option("--toml", help="Print NAME as TOML, to change and give to --model.")] = False,
    as_json: Json = False,
) -> None:
    """List the recipes for --model, with a line on when to use each, or print one."""
    from ..models import recipes as shipped

    if toml != (name is not None):
        raise typer.BadParameter("A recipe is printed with its name and --toml: lexport recipes bag --toml")
    if name is not None:
        return print_text(shipped.toml(name))
    found = {name: shipped.load(name).when for name in shipped.names()}
    if as_json:
        return emit(found)
    for name, when in found.items():
        print_line(f"{name:12} {when}")
    return None


@app.command()
def samples(as_json: Json = False) -> None:
    """List the sample sets that DATA may name, and whether their packages are installed."""
    from ..data.samples import SAMPLES

    found = {
        name: {
            "about": sample.about,
            "columns": sample.columns.named(),
            "packages": [source.package + source.versions for source in sample.sources],
            "installed": sample.is_installed,
        }
        for name, sample in SAMPLES.items()
    }
    if as_json:
        return emit(found)
    for name, sample in SAMPLES.items():
        missing = "" if sample.is_installed else '  (pip install "lexport[samples]")'
        print_line(f"{name:20} {sample.about}{missing}")
    return None
