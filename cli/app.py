"""The command line: each command is a thin layer over one function; what it needs is imported inside it."""

from __future__ import annotations

import typer
from typer.core import TyperGroup

# Importing a group of commands adds them to the application.
from . import catalog as listing
from . import diagnose as diagnosing
from . import doctor as checking
from . import expand as growing
from . import load as loading
from . import pack as packing
from . import record as recording
from . import score as scoring
from . import train as learning
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
    "generating",
    "growing",
    "learning",
    "listing",
    "loading",
    "operating",
    "packing",
    "recording",
    "rotating",
    "scoring",
    "serving",
    "storing",
    "trying",
    "watching",
    "writing",
]

# The order in --help: along the pipeline.
_ORDER = (
    *("demo", "samples", "recipes", "train", "expand", "evaluate", "diagnose", "score"),
    *("export", "archive", "handler", "verify", "inspect", "report", "diff", "record"),
    *("run", "serve", "predict", "status", "logs", "drift", "stop"),
    *("deploy", "promote", "rollback", "scale", "undeploy", "canary", "tokens", "store"),
    *("generate", "loadtest", "doctor"),
)


class _InOrder(TyperGroup):
    """The commands in their order; a command from outside comes last."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names in order."""
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


app.info.cls = _InOrder
