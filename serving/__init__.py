"""TorchServe's life: start, ready, ask, look, stop."""

from .predict import explain, predict
from .state import Server
from .torchserve import running, serve, status, stop, wait

__all__ = ["Server", "explain", "predict", "running", "serve", "status", "stop", "wait"]
