"""The functions behind the commands, under one roof: `from lexport import api`, then `api.train(...)`.

Each is imported when it is first asked for, so that `api.predict` does not wait for torch. They have a module of
their own because `lexport.export` and `lexport.loadtest` are packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import import_problem

if TYPE_CHECKING:
    from ..client.once import explain as explain
    from ..client.once import predict as predict
    from ..data.load import Columns as Columns
    from ..export.archive.archiver_inputs import handler as handler
    from ..export.archive.diff import compare as compare
    from ..export.archive.inprocess import opened as opened
    from ..export.archive.inspect import inspect as inspect
    from ..export.archive.keys import read_public as read_public
    from ..export.archive.pack import archive as archive
    from ..export.archive.recorded import compare_recording as compare_recording
    from ..export.archive.strangers import stranger as stranger
    from ..export.archive.verify import verify as verify
    from ..export.evaluate import evaluate as evaluate
    from ..export.export import export as export
    from ..export.formats.variants import choose as choose
    from ..loadtest.objectives import require as require
    from ..loadtest.record import record as record
    from ..loadtest.runner import loadtest as loadtest
    from ..models import recipes
    from ..models.run import open_run as open_run
    from ..serving import serve as serve
    from ..serving import status as status
    from ..serving import stop as stop
    from ..serving import wait as wait
    from ..serving.proxies.configuration import Proxy as Proxy
    from ..serving.proxies.configuration import proxy_configuration as proxy_configuration
    from ..training.device import machine as machine
    from ..training.expand import expand as expand
    from ..training.train import train as train
    from .demo import run_demo as run_demo
    from .doctor import examine as examine

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
