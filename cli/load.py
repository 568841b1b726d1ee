"""Commands that put a model under load: loadtest, and the demo of the whole chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Keys, TrustCode, app, bar, emit, print_line, say_to, show, trusted_keys


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("lexport-demo"),
    duration: Annotated[float, typer.Option(help="Seconds of load at each number of users.", min=1)] = 10.0,
) -> None:
    """Run the whole chain on real data: train, export, archive, serve, load-test, report."""
    from ..api.demo import run_demo

    with bar("training") as progress:
        run_demo(out, duration=duration, say=print_line, show=show, progress=progress)


@app.command()
def loadtest(
    name: Annotated[str, typer.Argument(metavar="NAME|MAR|RUN", help="A model of the store, an archive or a run.")],
    workers: Annotated[str, typer.Option(help="Worker sets, comma-separated.")] = "cpu:1,cpu:2,gpu:1",
    engines: Annotated[str, typer.Option(help="torchserve, embedded, comma-separated.")] = "torchserve",
    users: Annotated[str, typer.Option(help="Numbers of users, comma-separated.")] = "1,16,64",
    duration: Annotated[str, typer.Option(help="Of each run, for example 10s or 1m.")] = "10s",
    slo: Annotated[list[str] | None, typer.Option(help="For example p99=50ms, rps=500, failures=0%.")] = None,
    unknown_share: Annotated[float, typer.Option(help="Share of words replaced by unknown ones.")] = 0.1,
    texts: Annotated[Path | None, typer.Option(help="Texts to send.", show_default="the goldens")] = None,
    model_store: Annotated[Path, typer.Option(help="Where NAME is looked up.")] = Path("model_store"),
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("loadtest-report"),
    key: Keys = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Load a model with Locust on several worker sets; exit 1 if an objective is missed."""
    from ..loadtest.command import run_loadtest

    report = run_loadtest(
        name,
        worker_sets=workers,
        engines=engines,
        users=users,
        duration=duration,
        slo=slo or [],
        unknown_share=unknown_share,
        texts=texts,
        model_store=model_store,
        out=out,
        trusted=trusted_keys(key),
        trust_code=trust_code,
        say=say_to(as_json),
        show=None if as_json else show,
    )
    if as_json:
        emit(report.as_dict())
    from ..loadtest import objectives

    objectives.check_slo(report)
