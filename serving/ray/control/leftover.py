"""Take the models of a server from its cluster whose supervisor has died: they are still answered there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ....errors import LexportError, SystemProblem
from ... import launch
from ...settings.environment import allowed
from ...state import Server
from ..replicas import is_rays

_MODULE = "lexport.serving.ray.control.leftover"
_TIMEOUT = 180.0  # seconds


def remove_models(server: Server) -> None:
    """Take the models of a server from its cluster. Raises SystemProblem with the names that may be left."""
    names = ", ".join(server.models)
    orders = json.dumps({"address": server.cluster, "models": list(server.models)})
    try:
        done = subprocess.run(
            launch.command(_MODULE),
            input=orders,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            env=allowed(os.environ, [name for name in os.environ if is_rays(name)]),
        )
        reason = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"it has not answered within {_TIMEOUT:g} s"
    if reason:
        raise SystemProblem(
            f"{names} may still be answered on the Ray cluster at {server.cluster}: {reason}. Serve them again with "
            f"lexport serve --engine ray --address {server.cluster}, which takes them over, and stop that; or end "
            "them with: serve shutdown",
            code="LX-RAY-157",
        )


def main() -> int:
    """Do it in a process of its own: Ray is imported, and logs."""
    from ..cluster import Cluster

    orders = json.loads(sys.stdin.read())
    try:
        cluster = Cluster.connect(orders["address"])
        for name in orders["models"]:
            cluster.remove(name)
        cluster.close()
    except LexportError as error:
        raise SystemExit(str(error)) from None
    return 0
