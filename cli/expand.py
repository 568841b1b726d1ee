"""The command that adds words to a run: expand."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..data.reading.options import Reading
from .options import Json, LanguageColumn, PairColumn, RunFolder, StateDir, app, emit, print_line, say_to
from .reading import one_or_all, takes_file_reading


@app.command()
@takes_file_reading
def expand(
    run: RunFolder,
    out: Annotated[Path, typer.Option(metavar="RUN2", help="The run folder to make.")],
    words: Annotated[Path | None, typer.Option(help="A file of new words, one a line.", show_default="none")] = None,
    from_oov: Annotated[
        list[str] | None,
        typer.Option(
            "--from-oov",
            metavar="DATA",
            help="Take the unknown words of these texts; may be repeated.",
            show_default="none",
        ),
    ] = None,
    from_drift: Annotated[
        str | None,
        typer.Option(
            "--from-drift",
            metavar="NAME[:VERSION]",
            help="Take the unknown words that a server has collected: lexport drift NAME --sample.",
            show_default="none",
        ),
    ] = None,
    state_dir: StateDir = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.", show_default="text")] = None,
    language_column: LanguageColumn = None,
    pair_column: PairColumn = None,
    language: Annotated[
        str | None, typer.Option(help="Of the new words, in a multilingual model.", show_default="none")
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(help="Vectors for the new words: a file, or glove-6b-50d.", show_default="none")
    ] = None,
    min_count: Annotated[
        int | None, typer.Option(help="With --from-oov: rarer words stay unknown.", min=1, show_default="2")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Add the first so many words.", min=1, show_default="all")] = None,
    *,
    reading: Reading,
    seed: Annotated[int, typer.Option(help="Of vectors drawn at random.", min=0, max=2**63 - 1)] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace RUN2 if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Add words to a run's vocabulary; every old word keeps its vector."""
    from ..data.load import Columns
    from ..errors import InputError
    from ..training.expansion.expand import expand as grow

    columns = Columns("text" if text_column is None else text_column, None, language_column, pair_column)
    named = any(name is not None for name in (text_column, language_column, pair_column))
    if from_drift is not None and words is not None:
        raise InputError(
            f"--from-drift {from_drift} and --words {words} were given together. Give one of them.", code="LX-CLI-081"
        )
    grown = grow(
        run,
        out,
        words=words if from_drift is None else _collected(from_drift, language, state_dir),
        from_oov=one_or_all(from_oov) if from_oov else None,
        columns=columns if named else None,
        reading=reading,
        vectors=vectors,
        language=language,
        min_count=min_count,
        limit=limit,
        seed=seed,
        replace=force,
        say=say_to(as_json),
    )
    if as_json:
        return emit({"run": str(out), **grown.info.history[-1]})
    print_line(f"{out}: {len(grown.encoder.vocabulary):,} words. Next: lexport export {shlex.quote(str(out))}")
    return None


def _collected(served: str, language: str | None, state_dir: Path | None) -> list[str]:
    """Return the words that a server has collected of NAME[:VERSION]."""
    from ..serving.monitoring.words import words_to_add

    name, _, version = served.partition(":")
    return words_to_add(name, version or None, language=language, state_dir=state_dir)
