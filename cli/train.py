"""Commands that train and evaluate models: train, evaluate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..data.reading.options import Reading
from .again import given_options
from .options import (
    Data,
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
    say_to,
    show,
    trusted_keys,
)
from .reading import one_or_all, takes_reading


@app.command()
@takes_reading
def train(
    context: typer.Context,
    source: Data,
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run folder to make.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="A recipe (`lexport recipes`), a file of your own, *.toml, or auto: the best of several.",
            show_default="auto; bag if an option changes words or vectors",
        ),
    ] = None,
    start: Annotated[Path | None, typer.Option("--from", metavar="RUN", help="Train this run further.")] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = None,
    language_column: LanguageColumn = None,
    pair_column: PairColumn = None,
    image_column: ImageColumn = None,
    *,
    reading: Reading,
    validation: Annotated[
        str | None, typer.Option(metavar="FILE", help="Validation texts.", show_default="a part of DATA")
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="FILE", help="Test texts.", show_default="a part of DATA")
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="hash, stratified (by label), group:COLUMN (kept together) or time:COLUMN (the newest held out).",
        ),
    ] = "hash",
    shares: Annotated[str, typer.Option(help="Percent for training, validation and test.")] = "80/10/10",
    split_column: Annotated[
        str | None, typer.Option(help="Column with train, validation or test.", show_default="none")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|RUN|MAR|URL",
            help="Learn its probabilities of the labels: a file's columns, or a model's answers.",
            show_default="none",
        ),
    ] = None,
    multi_label: Annotated[bool, typer.Option("--multi-label", help="A text may have several labels: a|b.")] = False,
    budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="With --model auto: none begins later.", show_default="120"),
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(help="Pretrained word vectors: a file, or glove-6b-50d.", show_default="recipe")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the model; the split never depends on it.", min=0, max=2**63 - 1)] = 0,
    min_count: Annotated[int | None, typer.Option(help="Rarer words are UNK.", show_default="recipe")] = None,
    max_vocabulary: Annotated[int | None, typer.Option(help="Keep this many words.", show_default="all")] = None,
    dim: Annotated[int | None, typer.Option(help="Width of a vector.", show_default="by the data's size")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.", show_default="recipe")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.OPTION=VALUE", help="Any option of the recipe; may be repeated."),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="KIND",
            help="Texts with a suspicious label (doubted), or held-out texts that are in training too (shared).",
        ),
    ] = None,
    cv: Annotated[
        int | None,
        typer.Option("--cv", metavar="FOLDS", help="Also cross-validate, in 5 folds or so.", show_default="no"),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="After judging the model, fit it on all texts, held-out ones too.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N; auto is CUDA where it is there.")] = "auto",
    threads: Annotated[int, typer.Option(help="Of the processor.", min=1)] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a training of RUN that was interrupted.")
    ] = False,
    checkpoint_every: Annotated[float, typer.Option(metavar="SECONDS", help="For --resume.", min=0)] = 30.0,
    force: Annotated[bool, typer.Option("--force", help="Replace RUN if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model on labelled texts."""
    from ..api.train import train as train_run
    from ..evaluation.diagnostics.advice import Command
    from ..reports.evaluation_tables import cross_validation, leaderboard, metrics
    from ..training.distributed import is_main_process

    with bar("training") as progress:
        run = train_run(
            one_or_all(source),
            out=out,
            recipe=model,
            start=start,
            text_column=text_column,
            label_column=label_column,
            language_column=language_column,
            pair_column=pair_column,
            image_column=image_column,
            validation=validation,
            test=test,
            split=split,
            shares=shares,
            split_column=split_column,
            reading=reading,
            teacher=teacher,
            multi_label=multi_label,
            budget=budget,
            vectors=vectors,
            seed=seed,
            min_count=min_count,
            max_vocabulary=max_vocabulary,
            dim=dim,
            epochs=epochs,
            settings=settings or [],
            leave_out=leave_out or [],
            cv=cv,
            final=final,
            device=device,
            threads=threads,
            resume=resume,
            checkpoint_every=checkpoint_every,
            replace=force,
            command=Command(one_or_all(source), out, given_options(context, ("out", "resume", "force", "as_json"))),
            say=say_to(as_json),
            progress=progress,
        )
    if not is_main_process():
        return None
    if as_json:
        further = {"leaderboard": run.info.leaderboard, "cross_validation": run.info.cross_validation}
        further = {name: value for name, value in further.items() if value}
        return emit({"run": str(out), **run.metrics["test"], "warnings": run.info.warnings, **further})
    if run.info.leaderboard:
        show(leaderboard(run.task, run.info.leaderboard))
    if run.info.cross_validation:
        show(cross_validation(run.task, run.info.cross_validation))
    show(metrics(run.task, f"{run.metrics['test']['count']:,} test texts", run.metrics["test"]))
    print_line(
        f"{out}: trained in {run.info.training['seconds']:.0f} s. Next: lexport export {shlex.quote(str(out))}"
    )
    return None


@app.command()
@takes_reading
def evaluate(
    target: RunOrArchive,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]",
            help="Files, patterns, a folder, - for stdin, or a sample set.",
            show_default="the run's own test texts",
        ),
    ] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = None,
    language_column: LanguageColumn = None,
    pair_column: PairColumn = None,
    image_column: ImageColumn = None,
    *,
    reading: Reading,
    part: Annotated[str, typer.Option(help="Only these texts: all, train, validation or test.")] = "all",
    mistakes: Annotated[int, typer.Option(help="Show so many of the worst mistakes.", min=0)] = 10,
    unknown_rate: Annotated[
        str | None,
        typer.Option(help="Also evaluate with these shares of the tokens replaced by unknown words, 0.1,0.3."),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write each text with its answer: .csv, .tsv, .jsonl, .parquet, .arrow."),
    ] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option(
            "--min", metavar="METRIC=VALUE", help="Exit 1 below this value, as accuracy=0.9; may be repeated."
        ),
    ] = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Evaluate a trained run, or an archive's variant, on labelled texts; exit 1 below a minimum."""
    from ..data.load import Columns
    from ..evaluation.robustness import parse_rates
    from ..export.evaluate import evaluate as judge
    from ..export.evaluation import parse_minimum
    from ..reports import evaluation as evaluation_page
    from ..reports import evaluation_tables as evaluation_screens
    from ..reports import pages

    columns = Columns(text_column, label_column, language_column, pair_column, image_column)
    rates = [] if unknown_rate is None else parse_rates(unknown_rate)
    least = parse_minimum(minimum or [])
    if report is not None:
        pages.check(report, option="--report")
    evaluation = judge(
        target,
        one_or_all(source) if source else None,
        columns=columns,
        reading=reading,
        part=part,
        mistakes=mistakes,
        unknown_rates=rates,
        minimum=least,
        predictions=predictions,
        trusted=trusted_keys(key),
    )
    found = evaluation.to_json()
    if found["seen"]:
        remedy = "--part test leaves them out" if found["seen"] < found["count"] else "the metrics are too good"
        print_line(f"note: {found['seen']:,} of these {found['count']:,} texts were trained on; {remedy}", err=True)
    if report is not None:
        evaluation_page.write(found, str(target), report)
    if as_json:
        emit(found)
    else:
        for note in evaluation.notes:
            print_line(note)
        for screen in evaluation_screens.evaluation(found):
            show(screen)
        if report is not None:
            print_line(f"report: {report}")
        if predictions is not None:
            print_line(f"predictions: {predictions}")
    evaluation.require()
