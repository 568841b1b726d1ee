"""The command that tries a version on a share of the requests."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, StateDir, app, emit, print_line, say_to, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...serving.canary.run import Result


_SECONDS = 30.0  # between two lines where there is no terminal


@app.command()
def canary(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A served model.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that is to be tried.")],
    share: Annotated[str, typer.Option(help="Of the requests that name no version, such as 10%.")] = "10%",
    header: Annotated[
        str, typer.Option(help="Requests with the same value of this header go to the same version.")
    ] = "X-Request-Id",
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Only copies go to it, and its answers are compared with the default's.")
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make it the default if it passes.")] = False,
    requests: Annotated[int, typer.Option(help="It can pass when it has answered so many.", min=1)] = 1_000,
    max_errors: Annotated[
        str, typer.Option(help="By how much more of its answers may be errors than of the default's.")
    ] = "1%",
    max_latency: Annotated[
        float, typer.Option(help="How many times the default's 95th percentile its own may be.", min=1)
    ] = 1.5,
    min_agreement: Annotated[
        str, typer.Option(help="With --mirror: how many of its answers must be the default's.")
    ] = "95%",
    seconds: Annotated[float, typer.Option("--for", metavar="SECONDS", help="The longest it runs.", min=1)] = 3_600.0,
    listen: Annotated[
        str | None,
        typer.Option(help="TorchServe: an address for the proxy.", show_default="in TorchServe's place, on Linux"),
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Try a version on a share of the requests until there is a verdict; exit 1 if it does not pass."""
    from ...errors import RefusedError
    from ...reports import canary_tables as screens
    from ...serving.canary.rule import Rule
    from ...serving.canary.run import canary as run
    from ...serving.canary.run import reason
    from ...serving.canary.verdict import Limits
    from ...serving.settings.addresses import option_address

    rule = Rule(name, version, _part(share, "--share"), header.lower(), mirror)
    limits = Limits(_part(max_errors, "--max-errors"), max_latency, _part(min_agreement, "--min-agreement"), requests)
    with _screen(as_json=as_json) as watch:
        result = run(
            rule,
            limits,
            promoted=promote,
            listen=None if listen is None else option_address(listen, "--listen"),
            seconds=seconds,
            state_dir=state_dir,
            say=say_to(as_json),
            watch=watch,
        )
    emit(result.to_json()) if as_json else show(screens.result(result.to_json()))
    if result.verdict.state != "passed":
        raise RefusedError(
            f"{result.canary} has not passed ({result.verdict.state}): {reason(result)}. All requests for {name} go "
            f"to {result.stable}, as before. Take the other out with: lexport undeploy {name} --version {version}",
            code="LX-CLI-063",
        )
    if result.promoted:
        print_line(f"{result.canary} answers {name} from now on.", err=as_json)
    else:
        print_line(f"It has passed. Make it the default with: lexport promote {name} {version}", err=as_json)


@contextmanager
def _screen(*, as_json: bool) -> Iterator[Callable[[Result], None]]:
    """Context manager: what shows the looks at a canary; where there is no terminal, a line now and then."""
    if as_json or not sys.stdout.isatty():
        yield _now_and_then(as_json=as_json)
        return
    from rich.console import Console
    from rich.live import Live

    from ...reports import canary_tables as screens
    from ...reports.tables import Escaped

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda result: live.update(Escaped(screens.result(result.to_json())), refresh=True)


def _now_and_then(*, as_json: bool) -> Callable[[Result], None]:
    due = _SECONDS

    def watch(result: Result) -> None:
        nonlocal due
        if result.seconds >= due:
            due += _SECONDS
            states = ", ".join(f"{one.name} {one.state}" for one in result.verdict.criteria)
            print_line(f"{result.canary} has answered {result.tally.canary.answers:,} times: {states}", err=as_json)

    return watch


def _part(text: str, option: str) -> float:
    """Return a share of 0 to 1 that is written as `10%` or `0.1`. Raises InputError."""
    from ...errors import InputError

    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        raise InputError(
            f"{option} {text!r} is not a share. Expected a percentage, such as 10%, or a number such as 0.1.",
            code="LX-CLI-064",
        ) from None
    return value / 100 if text.strip().endswith("%") else value
