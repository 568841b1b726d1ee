"""The commands that look at a whole model: diagnose what is wrong with it, report what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...data.reading.options import Reading
from ..options import (
    ImageColumn,
    Json,
    Keys,
    LabelColumn,
    LanguageColumn,
    PairColumn,
    RunOrArchive,
    TextColumn,
    app,
    bar,
    emit,
    print_line,
    show,
    trusted_keys,
)
from ..reading import one_or_all, takes_reading


@app.command()
@takes_reading
def diagnose(
    target: RunOrArchive,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]",
            help="The data it was trained on, or other data: files, patterns, a folder, - or a sample set.",
            show_default="the run's held-out texts",
        ),
    ] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = None,
    language_column: LanguageColumn = None,
    pair_column: PairColumn = None,
    image_column: ImageColumn = None,
    *,
    reading: Reading,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="CHECK", help="Leave out a check, as labels; may be repeated."),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="RECIPE",
            help="Judge labels of the training data by models of this recipe, or bayes; may be repeated.",
            show_default="linear and bayes",
        ),
    ] = None,
    relabel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write DATA with suggested labels, likely errors first: .csv, .tsv, .jsonl, .parquet, .arrow.",
        ),
    ] = None,
    most: Annotated[int, typer.Option("--show", metavar="N", help="Show so many texts.", min=0)] = 10,
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page.")] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="SEVERITY",
            help="Exit 1 for a finding that is serious, a warning or a note, or worse.",
            show_default="never",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --relabel if it is there.")] = False,
    seed: Annotated[int, typer.Option(help="Of the models that judge labels.", min=0, max=2**63 - 1)] = 0,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Find what usually goes wrong: vectors, words, labels, texts in two parts, drift; say what fixes it."""
    from ...data.load import Columns
    from ...evaluation.diagnostics.findings import check_severity
    from ...export.diagnose import diagnose as examine
    from ...reports import diagnosis as screens
    from ...reports import pages

    if fail_on is not None:
        check_severity(fail_on)
    if out is not None:
        pages.check(out)
    with bar("checking") as progress:
        found = examine(
            target,
            one_or_all(source) if source else None,
            columns=Columns(text_column, label_column, language_column, pair_column, image_column),
            reading=reading,
            skip=skip or [],
            judges=judge or [],
            relabel=relabel,
            replace_file=force,
            seed=seed,
            trusted=trusted_keys(key),
            progress=progress,
        )
    values = found.to_json()
    if out is not None:
        screens.write(values, out)
    if as_json:
        emit(values)
    else:
        for note in found.notes:
            print_line(note)
        for screen in screens.screens(values, most):
            show(screen)
        for what, file in (("page", out), ("texts with suggested labels", relabel)):
            if file is not None:
                print_line(f"{what}: {file}")
    if fail_on is not None:
        found.require(fail_on)


@app.command()
def report(
    target: RunOrArchive,
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write.")],
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="TEXT",
            help="Show what the words of this text contribute; may be repeated.",
            show_default="the worst mistakes",
        ),
    ] = None,
    loadtest: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Show the load test that `lexport loadtest --out` wrote.")
    ] = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Write one page of a run or an archive: data, training, evaluation, variants, contributions, how to call it."""
    from ...export.report import write_report

    found = write_report(target, out, texts=text or [], loadtest=loadtest, trusted=trusted_keys(key))
    if as_json:
        return emit(found)
    for what, reason in found["left_out"].items():
        print_line(f"without {what}: {reason}")
    return print_line(f"report: {out}")
