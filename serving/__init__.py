"""TorchServe's life: start, ready, ask, look, stop."""

from .state import Server
from .torchserve.server import running, serve, status, stop, wait

__all__ = ["Server", "running", "serve", "status", "stop", "wait"]
