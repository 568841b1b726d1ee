"""The command that answers a whole file: score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..data.reading.options import Reading
from .options import Data, Json, Keys, LanguageColumn, TextColumn, app, bar, emit, print_line, say_to
from .reading import one_or_all, takes_file_reading


@app.command()
@takes_file_reading
def score(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MAR|URL", help="A run folder, an archive, or http://HOST:PORT/predictions/NAME of a server."
        ),
    ],
    source: Data,
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="To write: .csv, .tsv, .jsonl, each also with .gz, .parquet, .arrow; - for JSON lines on stdout.",
        ),
    ],
    text_column: TextColumn = "text",
    language_column: LanguageColumn = None,
    *,
    reading: Reading,
    scores: Annotated[bool, typer.Option("--scores", help="Also write the score of every label.")] = False,
    prefix: Annotated[str, typer.Option(help="What the names of the new columns begin with.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(help="The server's key file, or its token's.", show_default="of this machine's server"),
    ] = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Write the rows of a file with a model's answers; exit 1 if the model refused some of them."""
    from dataclasses import asdict

    from ..api.functions import load
    from ..data.writing.targets import STDOUT
    from ..errors import InputError, RefusedError

    if as_json and out == STDOUT:
        raise InputError("--json and --out - would both print on stdout. Leave one of them out.", code="LX-CLI-014")
    with load(model, keys=key or None, token_file=token_file) as loaded, bar("scoring") as progress:
        found = loaded.score(
            one_or_all(source),
            out,
            text_column=text_column,
            language_column=language_column,
            reading=reading,
            scores=scores,
            prefix=prefix,
            replace=force,
            say=say_to(as_json or out == STDOUT),
            progress=progress,
        )
    if as_json:
        emit(asdict(found))
    else:
        left_out = "".join(f"; {count:,} {reason} left out" for reason, count in found.dropped.items())
        added = ", ".join(found.columns[:6]) + (", …" if len(found.columns) > 6 else "")
        print_line(f"{out}: {found.rows:,} rows with {added}{left_out}", err=out == STDOUT)
    if found.refused:
        raise RefusedError(
            f"{found.refused:,} of {found.rows:,} rows were refused by {model}; they have no answer. Read the column "
            f"{prefix}error of {out}, correct these rows and score them again.",
            code="LX-CLI-015",
        )
