"""The command line: each command is a thin layer over one function; what it needs is imported inside it."""

from __future__ import annotations

# Importing a group of commands adds them to the application.
from . import catalog as listing
from . import doctor as checking
from . import generate as generating
from . import load as loading
from . import pack as packing
from . import record as recording
from . import score as scoring
from . import train as learning
from .options import app
from .servers import operate as operating
from .servers import serve as serving
from .servers import store as storing

__all__ = [
    "app",
    "checking",
    "generating",
    "learning",
    "listing",
    "loading",
    "operating",
    "packing",
    "recording",
    "scoring",
    "serving",
    "storing",
]

# The order in --help: along the pipeline.
_ORDER = (
    *("demo", "samples", "recipes", "train", "expand", "evaluate", "score"),
    *("export", "archive", "handler", "verify", "inspect", "diff", "record"),
    *("run", "serve", "predict", "status", "stop"),
    *("deploy", "promote", "rollback", "scale", "undeploy"),
    *("generate", "loadtest", "doctor"),
)
_PLACES = {name: place for place, name in enumerate(_ORDER)}
app.registered_commands.sort(key=lambda command: _PLACES.get(getattr(command.callback, "__name__", ""), len(_ORDER)))
