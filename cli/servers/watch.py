"""Commands that look at a server: status, logs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, StateDir, app, emit, print_line, show

if TYPE_CHECKING:
    from rich.console import Group

    from ...serving.monitoring.looks import Look


@app.command()
def status(
    seconds: Annotated[
        float | None,
        typer.Argument(metavar="[SECONDS]", help="With --watch: from look to look.", min=0.1, show_default="2"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, with rates, until Ctrl-C.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Only check if the server is alive; exit 3 if it must be restarted.")
    ] = False,
    ready: Annotated[
        bool, typer.Option("--ready", help="Only check if each model can answer; exit 3 if one cannot.")
    ] = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Show the running server, its models, their figures and workers; exit 3 if one is not ready."""
    from ... import serving
    from ...errors import InputError, SystemProblem
    from ...reports import status_tables as screens

    if watch and (live or ready):
        raise InputError(
            "--watch was given beside --live or --ready, which answer once. Give one of them.", code="LX-SERVE-202"
        )
    if seconds is not None and not watch:
        raise InputError(
            f"{seconds:g} was given without --watch, whose seconds it would be. Expected: lexport status --watch "
            f"{seconds:g}",
            code="LX-SERVE-203",
        )
    if watch:
        return _watch(state_dir, 2.0 if seconds is None else seconds, as_json=as_json)
    if live or ready:
        if live:
            serving.check_live(state_dir)
        if ready:
            serving.check_ready(state_dir)
        state = "ready" if ready else "live"
        return emit({"status": state}) if as_json else print_line(state)
    found = serving.status(state_dir)
    emit(found) if as_json else show(screens.status(found))
    if found["restarts"] and not as_json:
        what = "TorchServe" if found["engine"] == "torchserve" else "A process"
        print_line(f"{what} was started again {found['restarts']} times, the last time after: {found['last_reason']}")
    if found["problems"] or not found["healthy"]:
        raise SystemProblem(
            "; ".join(found["problems"]) or "the server reports that it is not healthy", code="LX-CLI-013"
        )
    return None


def _watch(state_dir: Path | None, seconds: float, *, as_json: bool) -> None:
    """Show one look after another: on a terminal in the same place, else below each other."""
    from rich.console import Console
    from rich.live import Live

    from ... import serving
    from ...reports.tables import Escaped

    if as_json:
        for look in serving.looks(state_dir, seconds=seconds):
            emit(_facts(look), indent=None)
    elif not sys.stdout.isatty():
        for look in serving.looks(state_dir, seconds=seconds):
            show(_screen(look))
            print_line("")
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        with Live(console=console, auto_refresh=False) as screen:
            for look in serving.looks(state_dir, seconds=seconds):
                screen.update(Escaped(_screen(look)), refresh=True)


def _facts(look: Look) -> dict[str, object]:
    from ...serving.monitoring.entries import stamp

    return {"time": stamp(look.time), "note": look.note, "problem": look.problem, **(look.values or {})}


def _screen(look: Look) -> Group:
    from ...reports import status_tables as screens
    from ...serving.monitoring.entries import stamp

    return screens.look(stamp(look.time)[:19], look.values, look.note, look.problem)


@app.command()
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new lines until the server ends.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every line of every file, not only the useful ones.")
    ] = False,
    last: Annotated[
        int | None, typer.Option("--lines", "-n", metavar="LINES", help="Only the last ones.", show_default="all")
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Show what happened to a server, by time: starts, ends, changes, errors, refused requests."""
    from ... import serving
    from ...reports import status_tables as screens

    for entry in serving.logs(state_dir, everything=everything, last=last, follow=follow):
        facts = entry.to_json()
        if as_json:
            emit(facts, indent=None)
        elif sys.stdout.isatty():
            show(screens.entry(facts, everything=everything))
        else:
            print_line(screens.entry_text(facts, everything=everything))
