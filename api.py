"""The functions behind the commands, under one roof: `from lexport import api`, then `api.train(...)`.

Each is imported when it is first asked for, so that `api.predict` does not wait for torch. They have a module of
their own because `lexport.export` and `lexport.loadtest` are packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import import_problem

if TYPE_CHECKING:
    from .demo import run_demo as run_demo
    from .doctor import examine as examine
    from .export.archive import archive as archive
    from .export.compare import compare as compare
    from .export.evaluate import evaluate as evaluate
    from .export.export import export as export
    from .export.inprocess import opened as opened
    from .export.inspection import inspect as inspect
    from .export.keys import read_public as read_public
    from .export.recorded import compare_recording as compare_recording
    from .export.stock import handler as handler
    from .export.strangers import stranger as stranger
    from .export.variants import choose as choose
    from .export.verify import verify as verify
    from .loadtest.lab import loadtest as loadtest
    from .loadtest.objectives import require as require
    from .loadtest.record import record as record
    from .models import recipes as recipes
    from .models.data import Columns as Columns
    from .models.expand import expand as expand
    from .models.machine import machine as machine
    from .models.run import open_run as open_run
    from .models.train import train as train
    from .serving import explain as explain
    from .serving import predict as predict
    from .serving import serve as serve
    from .serving import status as status
    from .serving import stop as stop
    from .serving import wait as wait
    from .serving.proxies import Proxy as Proxy
    from .serving.proxies import proxy_configuration as proxy_configuration

_MODULES = {
    "Columns": "models.data",
    "Proxy": "serving.proxies",
    "archive": "export.archive",
    "choose": "export.variants",
    "compare": "export.compare",
    "compare_recording": "export.recorded",
    "evaluate": "export.evaluate",
    "examine": "doctor",
    "expand": "models.expand",
    "explain": "serving",
    "export": "export.export",
    "handler": "export.stock",
    "inspect": "export.inspection",
    "loadtest": "loadtest.lab",
    "machine": "models.machine",
    "open_run": "models.run",
    "opened": "export.inprocess",
    "predict": "serving",
    "proxy_configuration": "serving.proxies",
    "read_public": "export.keys",
    "recipes": "models",
    "record": "loadtest.record",
    "require": "loadtest.objectives",
    "run_demo": "demo",
    "serve": "serving",
    "status": "serving",
    "stop": "serving",
    "stranger": "export.strangers",
    "train": "models.train",
    "verify": "export.verify",
    "wait": "serving",
}

__all__ = [*_MODULES]


def __getattr__(name: str) -> object:
    """What `from .MODULE import NAME` would give. Raises MissingExtra where a package that it needs is absent."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(_MODULES)}")
    try:
        module = __import__(f"{__package__}.{_MODULES[name]}", fromlist=[name])
    except ImportError as error:
        problem = import_problem(error, f"lexport.api.{name}")
        if problem is None:
            raise
        raise problem from error
    found: object = getattr(module, name)
    return found
