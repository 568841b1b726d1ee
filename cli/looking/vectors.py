"""Commands of word vectors: vectors similar, analogy, evaluate, search, map."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...data.reading.options import Reading
from ...evaluation.vectors.map_options import Colour, Method
from ..options import (
    Json,
    Keys,
    Lang,
    LanguageColumn,
    TextColumn,
    app,
    bar,
    emit,
    print_line,
    say_to,
    show,
)
from ..reading import one_or_all, takes_file_reading

commands = typer.Typer(
    help="Look at word vectors: the nearest words, how good they are, maps; search texts by their vectors.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(commands, name="vectors")

Table = Annotated[
    str, typer.Argument(metavar="VECTORS", help="A run, an archive, a file of vectors, or glove-6b-50d.")
]
Top = Annotated[int, typer.Option(help="How many are listed.", min=1)]


@commands.command()
def similar(
    source: Table,
    words: Annotated[list[str], typer.Argument(metavar="WORD…", help="Words; of several their mean direction.")],
    top: Top = 10,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """List the words whose vectors have the highest cosine to those of some words."""
    from ...api.vectors.table import vectors

    with vectors(source, keys=key or None) as table:
        found = [asdict(one) for one in table.similar(words, top)]
    if as_json:
        return emit({"words": words, "similar": found})
    return _show_words(found)


@commands.command()
def analogy(
    source: Table,
    first: Annotated[str, typer.Argument(metavar="A", help="Such as man.")],
    second: Annotated[str, typer.Argument(metavar="B", help="What belongs to it, such as king.")],
    third: Annotated[str, typer.Argument(metavar="C", help="Such as woman.")],
    top: Top = 10,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """List what is to C as B is to A: the words nearest to B - A + C."""
    from ...api.vectors.table import vectors

    with vectors(source, keys=key or None) as table:
        found = [asdict(one) for one in table.analogy(first, second, third, top)]
    if as_json:
        return emit({"words": [first, second, third], "similar": found})
    return _show_words(found)


@commands.command()
def evaluate(
    source: Table,
    sets: Annotated[
        str | None,
        typer.Option(help="Of wordsim353, simlex999, analogies; comma-separated.", show_default="all"),
    ] = None,
    sample: Annotated[
        int, typer.Option(help="Words whose neighbours are compared with those in int8 and int4; 0: none.", min=0)
    ] = 1000,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Compare vectors with people's judgements, and with themselves in int8 and int4."""
    from ...api.vectors.table import vectors

    names = None if sets is None else [name.strip() for name in sets.split(",")]
    with vectors(source, keys=key or None) as table, bar("evaluating") as progress:
        found = table.evaluate(names, sample=sample, progress=progress)
    if as_json:
        return emit(asdict(found))
    from ...reports.vectors.vector_tables import evaluation

    return show(evaluation(asdict(found)))


@commands.command()
@takes_file_reading
def search(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, an archive or http://HOST:PORT, of vectors.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the texts found are like.")],
    data: Annotated[
        list[str],
        typer.Option("--in", metavar="DATA", help="A file, a pattern, a folder, or a sample set; may be repeated."),
    ],
    text_column: TextColumn = "text",
    language_column: LanguageColumn = None,
    lang: Lang = None,
    top: Top = 10,
    *,
    reading: Reading,
    token_file: Annotated[
        Path | None,
        typer.Option(help="The server's key file, or its token's.", show_default="of this machine's server"),
    ] = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """List the texts of a data file that are nearest to a text, by the vectors of a vector or joint model."""
    from ...api.functions import load

    with load(model, keys=key or None, token_file=token_file) as loaded, bar("searching") as progress:
        found = loaded.search(
            text,
            one_or_all(data),
            text_column=text_column,
            language_column=language_column,
            lang=lang,
            top=top,
            reading=reading,
            say=say_to(as_json),
            progress=progress,
        )
    if as_json:
        return emit({"text": text, "found": [asdict(one) for one in found]})
    from ...reports.vectors.vector_tables import matches

    return show(matches([asdict(one) for one in found]))


@commands.command("map")
def draw(
    source: Table,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="map.html, a page, or map.png, a picture.", show_default="none"),
    ] = None,
    projector: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the vectors for TensorBoard's projector.", show_default="none"),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(help="Comma-separated, or a file of words, one a line.", show_default="the first of the table"),
    ] = None,
    top: Annotated[int, typer.Option(help="So many first words, without --words.", min=1)] = 1000,
    method: Annotated[Method, typer.Option(help="How words are placed.")] = Method.TSNE,
    colour: Annotated[Colour, typer.Option(help="What colours say.")] = Colour.FREQUENCY,
    seed: Annotated[int, typer.Option(help="The same seed makes the same map.", min=0, max=2**32 - 1)] = 0,
    font: Annotated[
        Path | None, typer.Option(help="Font file for the labels of a picture.", show_default="found")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE or DIR if it is there.")] = False,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Draw a map of words: like vectors lie near to each other."""
    from ...api.vectors.table import check_map, save_map, vectors
    from ...errors import InputError
    from ...storage.atomic import check_file

    if out is None and projector is None:
        raise InputError("Nothing is to be written. Give --out FILE or --projector DIR.", code="LX-VECTORS-114")
    if out is not None:
        check_map(out)
        check_file(out, replace=force)
    say = say_to(as_json)
    chosen = None if words is None else _words_of(words)
    written = []
    with vectors(source, keys=key or None) as table:
        if projector is not None:
            written.append(table.projector(projector, chosen, top=top, replace=force))
        if out is not None:
            made = table.map(chosen, top=top, method=method, colour=colour, seed=seed, say=say)
            written.append(save_map(made, out, font=font, say=say))
    if as_json:
        return emit({"written": [str(path) for path in written]})
    for path in written:
        print_line(f"{path} is written")
    return None


def _words_of(given: str) -> list[str]:
    """Return the words of a file, one a line, or those between commas."""
    from ...storage.compression import readable

    if not os.path.isfile(given):  # noqa: PTH113  (Path's raises where a name is too long)
        return [word.strip() for word in given.split(",") if word.strip()]
    path = Path(given)
    with readable(path):
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [line.strip() for line in lines if line.strip()]


def _show_words(found: list[dict[str, object]]) -> None:
    from ...reports.vectors.vector_tables import words

    show(words(found))
