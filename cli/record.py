"""The command that records a model's answers: record."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Keys, StateDir, TextColumn, TrustCode, app, emit, print_line, say_to, trusted_keys


@app.command()
def record(
    source: Annotated[
        str, typer.Argument(metavar="MAR|URL|NAME", help="Any archive, http://HOST:PORT/predictions/NAME, or a NAME.")
    ],
    texts: Annotated[
        Path, typer.Argument(metavar="TEXTS", help="A data file, or a .txt file with one text per line.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The recording to write, JSON lines.")],
    text_column: TextColumn = "text",
    no_texts: Annotated[bool, typer.Option("--no-texts", help="Record digests in place of the texts.")] = False,
    host: Annotated[str | None, typer.Option(help="HOST:PORT of the server of NAME.")] = None,
    state_dir: StateDir = None,
    token_file: Annotated[Path | None, typer.Option(help="Its key file, or its token's.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)] = 60.0,
    key: Keys = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Record the answers of any model to some texts; `lexport diff` compares an archive with them later."""
    from dataclasses import asdict

    from ..loadtest.record import record as keep

    kept = keep(
        source,
        texts,
        out,
        column=text_column,
        keep_texts=not no_texts,
        host=host,
        state_dir=state_dir,
        token_file=token_file,
        timeout=timeout,
        trusted=trusted_keys(key),
        trust_code=trust_code,
        say=say_to(as_json),
    )
    if as_json:
        return emit(asdict(kept))
    refused = f", {kept.refused:,} without an answer" if kept.refused else ""
    print_line(f"{out}: {kept.answers:,} answers of {kept.source}{refused}; median {kept.median_ms:.1f} ms.")
    print_line(f"Next: lexport diff {shlex.quote(str(out))} model_store/NAME-VERSION.mar")
    return None
