"""Run TorchServe: start it, wait until it is ready, show its status, stop it."""

from .state import Server
from .torchserve.server import check_live, check_ready, running, status, stop, wait
from .torchserve.start import serve

__all__ = ["Server", "check_live", "check_ready", "running", "serve", "status", "stop", "wait"]
