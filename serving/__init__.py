"""Run a server: start it, wait until it is ready, show its status, stop it."""

from .monitoring.journal import Journal
from .monitoring.looks import looks
from .monitoring.reading import logs
from .server import check_live, check_ready, running, status, stop, wait
from .start import serve
from .state import Server

__all__ = [
    "Journal",
    "Server",
    "check_live",
    "check_ready",
    "logs",
    "looks",
    "running",
    "serve",
    "status",
    "stop",
    "wait",
]
