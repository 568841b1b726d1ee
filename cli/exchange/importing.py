"""The command that makes a run or an archive of another program's model: import."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ...data.reading.options import Reading
from ..options import Json, TextColumn, app, emit, print_line, say_to
from ..reading import one_or_all, takes_file_reading


@app.command(name="import")
@takes_file_reading
def import_model(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file or folder of the model.")],
    texts: Annotated[
        list[str],
        typer.Option(
            "--texts", metavar="DATA", help="Texts to compare its answers on; labels are not read; may be repeated."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN|MAR", help="A run folder to make, or NAME-VERSION.mar.")],
    text_column: TextColumn = "text",
    *,
    reading: Reading,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The row of each word, or a tokenizer.json, of a model that does not say it."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The labels in the order of the outputs, likewise.")
    ] = None,
    tokenizer: Annotated[
        str,
        typer.Option(help="How such a model's texts are split: basic_english, whitespace[_lower] or words_lower."),
    ] = "basic_english",
    label_prefix: Annotated[
        str, typer.Option(help="What the names of labels begin with, which is left out.")
    ] = "__label__",
    variant: Annotated[str, typer.Option(help="For an archive: its variant, or auto.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace RUN or MAR.")] = False,
    as_json: Json = False,
) -> None:
    """Make a run or an archive of a model that another program trained, if both answer alike."""
    from ...api.functions import import_model as bring_in
    from ...api.run import Run
    from ...export.archive.format.reader import EVIDENCE, read_json

    made = bring_in(
        path,
        texts=one_or_all(texts),
        out=out,
        text_column=text_column,
        reading=reading,
        vocabulary=vocabulary,
        labels=labels,
        tokenizer=tokenizer,
        label_prefix=label_prefix,
        variant=variant,
        replace=force,
        say=say_to(as_json),
    )
    if as_json:
        found = made.info.imported if isinstance(made, Run) else read_json(out, EVIDENCE)["run"]["imported"]
        return emit({"out": str(out), **found})
    following = "export" if isinstance(made, Run) else "serve"
    print_line(f"{out}: done. Next: lexport {following} {shlex.quote(str(out))}")
    return None
