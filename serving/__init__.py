"""TorchServe's life: start, ready, ask, look, stop."""

from ..client.once import explain, predict
from .state import Server
from .torchserve.server import running, serve, status, stop, wait

__all__ = ["Server", "explain", "predict", "running", "serve", "status", "stop", "wait"]
