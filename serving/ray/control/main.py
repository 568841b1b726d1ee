"""The process above a server on a Ray cluster: it holds the connection and answers for the server here.

`embedded.processes.main` says how it is started and ended.
"""

from __future__ import annotations

from ...embedded.processes.main import run
from .startup import RayOrders
from .supervisor import Supervisor


def main() -> int:
    """Run one server until it must stop. Return 0 after a requested stop, 1 if it could not be started."""
    return run(RayOrders, Supervisor)
