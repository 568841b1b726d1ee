"""The command line: each command is a thin layer over one function; what it needs is imported inside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ..messages.output import output

# Importing a group of commands adds them to the application.
from . import catalog as listing
from . import doctor as checking
from . import expand as growing
from . import load as loading
from . import pack as packing
from . import record as recording
from . import score as scoring
from . import train as learning
from .exchange import export_to as exiting
from .exchange import hub as sharing
from .exchange import importing
from .looking import archives as verifying
from .looking import diagnose as diagnosing
from .looking import ui as looking
from .looking import vectors as exploring
from .options import app
from .servers import canary as trying
from .servers import drift as comparing
from .servers import generate as generating
from .servers import generated as writing
from .servers import operate as operating
from .servers import serve as serving
from .servers import store as storing
from .servers import tokens as rotating
from .servers import watch as watching

__all__ = [
    "app",
    "checking",
    "comparing",
    "diagnosing",
    "exiting",
    "exploring",
    "generating",
    "growing",
    "importing",
    "learning",
    "listing",
    "loading",
    "looking",
    "operating",
    "packing",
    "recording",
    "rotating",
    "scoring",
    "serving",
    "sharing",
    "storing",
    "trying",
    "verifying",
    "watching",
    "writing",
]

# The order in --help: along the pipeline.
_ORDER = (
    *("demo", "samples", "recipes", "train", "import", "expand", "evaluate", "diagnose", "score", "vectors"),
    *("export", "archive", "handler", "verify", "inspect", "report", "diff", "record", "export-to", "hub"),
    *("run", "serve", "predict", "status", "logs", "drift", "stop"),
    *("deploy", "promote", "rollback", "scale", "undeploy", "canary", "tokens", "store"),
    *("generate", "loadtest", "tune", "ui", "doctor"),
)


class _InOrder(TyperGroup):
    """The commands in their order; a command from outside comes last. Each takes --quiet and --verbose."""

    def __init__(self, **options: Any) -> None:
        """Add the two options to every command, also of the groups inside."""
        super().__init__(**options)
        only = typer.Typer(add_completion=False)
        only.command()(_takes_output_options)
        _add_options(self.commands.values(), get_command(only).params)

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names in order."""
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def _be_quiet(asked: bool) -> None:
    output.quiet = asked


def _be_verbose(asked: bool) -> None:
    output.verbose = asked


def _takes_output_options(
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print results and errors alone.", callback=_be_quiet, expose_value=False),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Print times with the progress, and the traceback of an error.",
            callback=_be_verbose,
            expose_value=False,
        ),
    ] = False,
) -> None:
    """Be the command whose options every command gets."""


def _add_options(commands: Iterable[Any], options: Sequence[Any]) -> None:
    for command in commands:
        if hasattr(command, "commands"):
            _add_options(command.commands.values(), options)
        else:
            command.params += options


app.info.cls = _InOrder
