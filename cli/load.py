"""Commands that put a model under load: loadtest, and the demo of the whole chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .live import watching
from .options import Json, Keys, TrustCode, app, bar, emit, print_line, say_to, show, trusted_keys

_Texts = Annotated[Path | None, typer.Option(help="A data file, or a text a line.", show_default="the goldens")]
_TextColumn = Annotated[str | None, typer.Option(help="Column or field of the texts.", show_default="text")]
_Need = Annotated[
    float | None, typer.Option(metavar="RPS", help="Say how many such machines serve so many requests/s.")
]
_ModelStore = Annotated[Path, typer.Option(help="Where NAME is looked up.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("lexport-demo"),
    duration: Annotated[float, typer.Option(help="Seconds of load at each number of users.", min=1)] = 10.0,
) -> None:
    """Run the whole chain on real data: train, export, archive, serve, load-test, report."""
    from ..api.demo import run_demo

    with bar("training") as progress:
        run_demo(out, duration=duration, say=print_line, show=show, progress=progress)


def _print_locustfile(asked: bool) -> None:
    if asked:
        from ..loadtest.locust_process import LOCUSTFILE

        print_line(str(LOCUSTFILE))
        raise typer.Exit


@app.command()
def loadtest(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|MAR|RUN", help="A model of the store, an archive or a run.", show_default=False),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Load a server that runs: its URL, with a path, or NAME there.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="'Name: value' to send; may be repeated.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="The token of --host.", show_default="LEXPORT_TOKEN, or the own server's")
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="Load a server on another machine, which must be yours to load.")
    ] = False,
    workers: Annotated[str, typer.Option(help="Worker sets, comma-separated.")] = "cpu:1,cpu:2,gpu:1",
    engines: Annotated[str, typer.Option(help="torchserve, embedded, ray, comma-separated.")] = "torchserve",
    users: Annotated[str, typer.Option(help="Numbers of users of a closed loop, comma-separated.")] = "1,16,64",
    arrivals: Annotated[
        str, typer.Option(help="closed, open, constant, step, ramp, spike, soak, or replay:FILE.")
    ] = "closed",
    rate: Annotated[
        str | None, typer.Option(help="Requests/s of arrivals that are not closed, comma-separated.")
    ] = None,
    duration: Annotated[str, typer.Option(help="Of each run, for example 10s or 1m.")] = "10s",
    repeat: Annotated[int, typer.Option(help="Runs of each cell, in rounds, each in another order.")] = 1,
    slo: Annotated[list[str] | None, typer.Option(help="For example p99=50ms, rps=500, failures=0%.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="RESULTS", help="Exit 1 if worse than this earlier results.json.")
    ] = None,
    max_regression: Annotated[
        str, typer.Option(help="What counts as worse than --baseline, if it is more than noise.")
    ] = "5%",
    judge_anyway: Annotated[
        bool,
        typer.Option("--judge-anyway", help="Judge beside other work, and against --baseline of another machine."),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every check as JUnit XML.", show_default="none")
    ] = None,
    texts: _Texts = None,
    text_column: _TextColumn = None,
    body: Annotated[
        str, typer.Option(help='Body with {text} in it, such as {"inputs": "{text}"}.', show_default="the text")
    ] = "",
    expect: Annotated[
        str | None,
        typer.Option(
            help="What counts as an answer: label, status, or a JSONPath.", show_default="label; status of others"
        ),
    ] = None,
    unknown_share: Annotated[float, typer.Option(help="Share of words replaced by unknown ones.")] = 0.0,
    mix: Annotated[
        str, typer.Option(help="Shares of other requests: long=5%,bad=1%,list=10%.", show_default="none")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of texts, words and arrivals.")] = 0,
    processes: Annotated[
        int | None, typer.Option(help="Of Locust.", show_default="1; more where Locust is the limit")
    ] = None,
    driver: Annotated[
        str, typer.Option(help="What sends: locust, or wrk or k6 where installed, to confirm a client's limit.")
    ] = "locust",
    ui: Annotated[
        bool, typer.Option("--ui", help="Show Locust's own web page, on 127.0.0.1, while a run goes on.")
    ] = False,
    need: _Need = None,
    model_store: _ModelStore = Path("model_store"),
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("loadtest-report"),
    locustfile: Annotated[
        bool,
        typer.Option(
            "--locustfile",
            help="Print the path of the locustfile, for Locust itself, and do nothing else.",
            callback=_print_locustfile,
            is_eager=True,
        ),
    ] = False,
    key: Keys = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Load a model, or any server that takes texts, with Locust; exit 1 if an objective is missed."""
    from ..loadtest.command import run_loadtest

    with watching(as_json) as (say, watch):
        report = run_loadtest(
            name,
            host=host,
            headers=header or [],
            token_file=token_file,
            remote=remote,
            worker_sets=workers,
            engines=engines,
            users=users,
            arrivals=arrivals,
            rate=rate,
            duration=duration,
            repeat=repeat,
            slo=slo or [],
            baseline=baseline,
            max_regression=max_regression,
            judge_anyway=judge_anyway,
            junit=junit,
            texts=texts,
            text_column=text_column,
            body=body,
            expect=expect,
            unknown_share=unknown_share,
            mix=mix,
            seed=seed,
            processes=processes,
            driver=driver,
            need=need,
            model_store=model_store,
            out=out,
            trusted=trusted_keys(key),
            trust_code=trust_code,
            say=say,
            watch=watch,
            ui=ui,
            show=None if as_json else show,
        )
    if as_json:
        emit(report.as_dict())
    from ..loadtest import objectives

    objectives.check_slo(report)


@app.command()
def tune(
    name: Annotated[str, typer.Argument(metavar="NAME|MAR|RUN", help="A model of the store, an archive or a run.")],
    slo: Annotated[
        list[str], typer.Option(help="A latency at least, for example p99=20ms; may be repeated.", show_default=False)
    ],
    budget: Annotated[str, typer.Option(help="How long it may take, for example 5m.")] = "5m",
    engines: Annotated[str, typer.Option(help="Engines to try, comma-separated.")] = "torchserve,embedded",
    users: Annotated[
        str | None,
        typer.Option(help="Numbers of users of closed loops, comma-separated.", show_default="1,2,4,…,256"),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Requests/s of open loops, comma-separated, in their place.")
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            help="Settings to try first: engine=torchserve,variant=onnx-int8,workers=4,threads=1,batch=1,delay=100.",
            show_default="the defaults",
        ),
    ] = "",
    need: _Need = None,
    texts: _Texts = None,
    text_column: _TextColumn = None,
    seed: Annotated[int, typer.Option(help="Of texts and arrivals.")] = 0,
    model_store: _ModelStore = Path("model_store"),
    out: Annotated[Path, typer.Option(help="Folder for the journal and the result.")] = Path("tune"),
    force: Annotated[bool, typer.Option("--force", help="Begin anew: forget the runs that --out has.")] = False,
    key: Keys = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Search the engine, batches and workers that serve most requests/s within an objective; exit 1 if none does."""
    from ..loadtest.tuning.command import run_tune

    report = run_tune(
        name,
        slo=slo,
        budget=budget,
        engines=engines,
        users=users,
        rate=rate,
        start=start,
        need=need,
        texts=texts,
        text_column=text_column,
        seed=seed,
        model_store=model_store,
        out=out,
        force=force,
        trusted=trusted_keys(key),
        trust_code=trust_code,
        say=say_to(as_json),
        show=None if as_json else show,
    )
    if as_json:
        emit(report.as_dict())
