"""Run a server: start it, wait until it is ready, show its status, stop it."""

from .server import check_live, check_ready, running, status, stop, wait
from .start import serve
from .state import Server

__all__ = ["Server", "check_live", "check_ready", "running", "serve", "status", "stop", "wait"]
