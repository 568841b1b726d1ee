"""Commands that export and pack a model: export, archive, handler."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .options import Json, RunFolder, app, bar, emit, print_line, say_to, show


@app.command()
def export(
    run: RunFolder,
    variants: Annotated[
        str | None,
        typer.Option(
            help="Only these, comma-separated; * and ? are wildcards, as in 'onnx-*'. Others are removed.",
            show_default="fp32 and int8 of torchscript and onnx",
        ),
    ] = None,
    goldens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="More golden requests: a data file with the column text.",
            show_default="none",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a run to several variants and measure each against the trained model."""
    from dataclasses import asdict

    from ..export.export import export as export_run
    from ..export.formats.variants import choose
    from ..models.run import open_run
    from ..reports.evidence_table import evidence as evidence_table

    chosen = choose(variants)
    with bar("exporting") as progress:
        found = export_run(open_run(run), chosen, goldens=goldens, say=say_to(as_json), progress=progress)
    evidence = asdict(found)
    if as_json:
        return emit(evidence)
    show(evidence_table(evidence))
    print_line(f"{run}/export/evidence.json has it all. Next: lexport archive {shlex.quote(str(run))} --version 1.0")
    return None


@app.command()
def archive(
    run: RunFolder,
    version: Annotated[str, typer.Option(help="Of the archive, for example 1.0.")],
    name: Annotated[str | None, typer.Option(help="Of the model.", show_default="the run folder's")] = None,
    variant: Annotated[
        str, typer.Option(help="A variant's name, or auto: the smallest of the fastest that passed.")
    ] = "auto",
    prefer: Annotated[
        str | None,
        typer.Option(help="The only criterion of auto: speed, size or accuracy.", show_default="speed, then size"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the archive.")] = Path("model_store"),
    force: Annotated[bool, typer.Option("--force", help="Replace a different archive.")] = False,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign with this Ed25519 private key.", show_default="unsigned")
    ] = None,
    no_texts: Annotated[
        bool,
        typer.Option("--no-texts", help="Pack no text of the data: golden requests are made of words it knows."),
    ] = False,
    with_load: Annotated[
        Path | None,
        typer.Option(metavar="RESULTS", help="Add a load test of it: results.json of loadtest.", show_default="none"),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="throughput: batches of up to 64. latency: no batches, for a client at a time.")
    ] = "throughput",
    batch_size: Annotated[
        int | None, typer.Option(help="Requests of a batch, at most.", show_default="the profile's")
    ] = None,
    batch_delay: Annotated[
        int | None,
        typer.Option(metavar="MS", help="How long TorchServe waits for a batch to fill.", show_default="1"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Pack an exported variant into NAME-VERSION.mar, with its evidence."""
    from ..export.archive.format.reader import EVIDENCE, read_json
    from ..export.archive.pack import archive as pack

    path = pack(
        run,
        version=version,
        name=name,
        variant=variant,
        out=out,
        force=force,
        sign=sign,
        no_texts=no_texts,
        profile=profile,
        batch_size=batch_size,
        batch_delay=batch_delay,
        prefer=prefer,
        with_load=with_load,
        say=say_to(as_json),
    )
    packed = read_json(path, EVIDENCE)["variant"]
    if as_json:
        return emit({"archive": str(path), "variant": packed, "bytes": path.stat().st_size})
    print_line(f"{path}: {packed}, {path.stat().st_size:,} bytes. Next: lexport serve {shlex.quote(str(path))}")
    return None


@app.command()
def handler(
    run: RunFolder,
    version: Annotated[str, typer.Option(help="Of the archive, for example 1.0.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    name: Annotated[str | None, typer.Option(help="Of the model.", show_default="the run folder's")] = None,
    variant: Annotated[
        str, typer.Option(help="A variant's name, or auto: the smallest of the fastest that passed.")
    ] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace DIR if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write the input files of torch-model-archiver, with the handler, and print its command line."""
    from ..export.archive.archiver_inputs import write_archiver_inputs as write

    command = write(run, version=version, name=name, variant=variant, out=out, force=force, say=say_to(True))
    return emit({"folder": str(out), "command": command}) if as_json else print_line(shlex.join(command))
